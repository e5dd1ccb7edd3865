import { readFileSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import type { Event } from '../../src/events.ts'
import { run } from '../../src/lab/run.ts'

const ENVELOPE = new Set(['run', 'seq', 't', 'at', 'src', 'node', 'type'])

/** Scenarios that together say every word, and every field of it, that any scenario says in virtual time. All of them take four times as long. */
const PLAYED = [
  'U6', 'U11', 'U16', 'U19', 'O3', 'O5', 'D10', 'B9', 'R6', 'network-repeats', 'notify-down', 'bank-slow', 'original-after-failover', 'parallel', 'cascade', 'black-friday',
  'C-11', 'C-24', 'C-46', 'C-52', 'C-54', 'C-60', 'C-72', 'store-partition',
  'W-410', 'W-TLS', 'W-200-DEFER', 'W-2-DISPATCH', 'W-DISKFULL', 'W-SKEW', 'W-DLQ-IDEMP', 'one-customer-down',
]
/** Said where something is wrong, or by what no scenario in virtual time has: keys, connections, the proxy's own control, processes of a subject, a clock of days. */
const UNPLAYED = [
  'key.pressed', 'invariant.violated', 'expectation.failed', 'connection.opened', 'connection.closed', 'toxic.updated', 'proxy.created', 'proxy.updated', 'proxy.deleted', 'schedule.started', 'schedule.stopped', 'schedule.ended', 'schedule.failed', 'hop.failed', 'toxic.failed',
  'bank.expired', 'bank.replayed', 'notification.worked', 'bank.webhook_dropped', 'resource.refused', 'resource.lied', 'customer.lied', 'customer.selected', 'node.ended', 'slot.begun', 'slot.expected', 'trap.sprung', 'deliveries.aged', 'service.failed',
]

/** The action of a toxic brings numbers of its own. */
const OPEN = new Set(['toxic.hit'])

interface Documented {
  sources: string[]
  fields: Set<string>
}

/** The table of docs/events.md: type, who says it, and every word in code marks that its row names. */
function documented(): Map<string, Documented> {
  const text = readFileSync(fileURLToPath(new URL('../../docs/events.md', import.meta.url)), 'utf8')
  const rows = new Map<string, Documented>()
  let before = new Set<string>()
  for (const line of text.split('\n')) {
    const [, sources, types, fields] = /^\| ([a-z, ]+) \| (`[^|]+) \|([^|]*)\|/.exec(line) ?? []
    if (!sources || !types) continue
    const words = new Set([...fields!.matchAll(/`([^`]+)`/g)].map((match) => match[1]!))
    if (fields!.includes('the same, and')) for (const word of before) words.add(word)
    before = words
    for (const [, type] of types.matchAll(/`([^`]+)`/g)) rows.set(type!, { sources: sources.split(', '), fields: words })
  }
  return rows
}

test('every event that scenarios emit is documented, with its source and every field', { timeout: 400_000 }, async () => {
  const rows = documented()
  const seen = new Map<string, { sources: Set<string>; fields: Set<string> }>()
  const look = (event: Event) => {
    const facts = seen.get(event.type) ?? { sources: new Set(), fields: new Set() }
    seen.set(event.type, facts)
    facts.sources.add(event.src)
    for (const field of Object.keys(event)) if (!ENVELOPE.has(field)) facts.fields.add(field)
  }
  for (const scenario of PLAYED) {
    await run({ scenario, mode: 'sim', seed: 1, subject: { kind: 'reference' }, toxics: [], invariants: [], options: { clicks: 2, amountMinor: 9900, currency: 'USD' }, again: '' }, { sinks: [look], untold: true })
  }
  expect([...rows.keys()].filter((type) => !seen.has(type)).toSorted(), 'a new event needs a scenario in PLAYED, or a place in UNPLAYED').toEqual(UNPLAYED.toSorted())
  const undocumented = [...seen].flatMap(([type, { sources, fields }]) => {
    const row = rows.get(type)
    if (!row) return [`${type} is not in docs/events.md`]
    return [
      ...[...sources].filter((source) => !row.sources.includes(source)).map((source) => `${type} is said by ${source}`),
      ...(OPEN.has(type) ? [] : [...fields].filter((field) => !row.fields.has(field)).map((field) => `${type} has a field ${field}`)),
    ]
  })
  expect(undocumented).toEqual([])
})

test('every event that stands in the sources is documented, whoever plays it', () => {
  const src = fileURLToPath(new URL('../../src/', import.meta.url))
  const texts = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => /\.tsx?$/.test(file)).map((file) => readFileSync(`${src}${file}`, 'utf8'))
  const said = new Set(texts.flatMap((text) => [...text.matchAll(/\b(?:emit|note)\((?:'\w+', )?'([a-z_]+\.[a-z_]+)'/g)].map(([, type]) => type!)))
  expect(said.size).toBeGreaterThan(100)
  const rows = documented()
  expect([...said].filter((type) => !rows.has(type))).toEqual([])
})
