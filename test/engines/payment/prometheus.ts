/** A strict reader of Prometheus' text format 0.0.4: what it does not take, some scraper somewhere would not. */

export interface Sample {
  name: string
  labels: Record<string, string>
  value: number
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const LINE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|Inf)|\+Inf|NaN)$/
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/y

/**
 * Throws what is wrong, with the line: each family once, HELP before TYPE before samples, no sample twice, names of counters that end in _total,
 * histograms whose buckets grow, end with +Inf and agree with their count.
 */
export function parsePrometheus(text: string): Sample[] {
  if (!text.endsWith('\n')) throw new Error('the last line has no end')
  const samples: Sample[] = []
  const families = new Map<string, string>()
  const seen = new Set<string>()
  let family = ''
  let helped = ''
  text.slice(0, -1).split('\n').forEach((line, n) => {
    const wrong = (why: string): never => { throw new Error(`line ${n + 1}: ${why}: ${line}`) }
    const [, comment, of = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? []
    if (comment === 'HELP') {
      if (!NAME.test(of) || families.has(of)) wrong('a family begins once, by its name')
      helped = of
      return
    }
    if (comment === 'TYPE') {
      if (of !== helped || !/^(counter|gauge|histogram)$/.test(rest) || (rest === 'counter') !== of.endsWith('_total')) wrong('a type follows its help, and counters end in _total')
      families.set((family = of), rest)
      return
    }
    const [, name = '', inside, value = ''] = LINE.exec(line) ?? wrong('is no sample')
    const histogram = families.get(family) === 'histogram'
    if (histogram ? !new RegExp(`^${family}_(bucket|sum|count)$`).test(name) : name !== family) wrong(`does not belong to ${family}`)
    const labels: Record<string, string> = {}
    LABEL.lastIndex = 0
    while (inside !== undefined && LABEL.lastIndex < inside.length) {
      const [, label = '', text = ''] = LABEL.exec(inside) ?? wrong('has labels that cannot be read')
      if (label in labels) wrong('names a label twice')
      labels[label] = text.replaceAll(/\\(.)/g, (_, mark: string) => (mark === 'n' ? '\n' : mark))
    }
    const identity = `${name}${JSON.stringify(Object.entries(labels).toSorted())}`
    if (seen.has(identity)) wrong('is said twice')
    seen.add(identity)
    const last = samples.at(-1)
    const number = Number(value.replace('Inf', 'Infinity'))
    if (families.get(family) !== 'gauge' && !(number >= 0)) wrong('counts backwards')
    if (name.endsWith('_bucket') && histogram && last?.name === name && last.labels['le'] !== '+Inf' && (number < last.value || !(Number(labels['le']!.replace('Inf', 'Infinity')) > Number(last.labels['le'])))) wrong('buckets do not grow')
    if (name.endsWith('_sum') && histogram && last?.labels['le'] !== '+Inf') wrong('the last bucket has a bound')
    if (name.endsWith('_count') && histogram && samples.at(-2)?.value !== number) wrong('the count is not that of the last bucket')
    samples.push({ name, labels, value: number })
  })
  return samples
}
