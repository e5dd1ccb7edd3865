/** The screen of webhooks: each customer's lane with what waits in it and what comes next, what is dead and why, the latest attempts. */
import type { AttemptView, LaneView, LaneWord, WebhookView } from '../../../engines/webhook/view.ts'
import { DEATH_WORDS, lengthOf, number, owedOf, rateOf, requestsEach, SPARKS, story, sums, wordOf } from '../../../engines/webhook/view.ts'
import { stamp } from '../../sentence.ts'
import type { Line, Look } from './lines.ts'
import { cell, fitLine, line, span, wrap } from './lines.ts'
import type { Frame, Section } from './parts.ts'
import { blank, compose, LABEL, labelled, labelledFlow, MEDIUM } from './parts.ts'
import { BARS } from './proxy.ts'

const LANES_SHOWN = 12
const ATTEMPTS_SHOWN = 5
const ATTEMPTS_SHOWN_NARROW = 3
/** From so many failures in a row on a lane has a line of its own. */
const ALARMING = 5
const ALARMS_SHOWN = 3
/** From here on there is room for why a lane stands still. */
const WIDE = 130

export function webhookLines(view: WebhookView, frame: Frame): Line[] {
  const { columns } = frame
  const attempts = latest(view, columns)
  const names = new Map([...view.lanes.values()].map(({ endpoint, name }) => [endpoint, name]))
  return compose({ ...view, names }, story(view), frame, [
    ...laneSections(view, frame),
    blank(),
    { rank: 1, lines: totals(view, columns) },
    { rank: 3, lines: dead(view, columns) },
    ...(attempts.length > 0 ? [{ rank: 5, lines: attempts }] : []),
  ])
}

/** The table of lanes, and a line for each that fails again and again. */
export function laneSections(view: WebhookView, frame: Frame): Section[] {
  const { columns, now } = frame
  if (view.lanes.size === 0) return []
  const all = [...view.lanes.values()]
  // Each keeps its place as long as all have one; else those come first of which there is something to say.
  const ill = (lane: LaneView) => (wordOf(lane, now) === 'healthy' ? 1 : 0)
  const shown = all.length <= LANES_SHOWN ? all : all.toSorted((a, b) => ill(a) - ill(b)).slice(0, LANES_SHOWN)
  const more = all.length - shown.length
  const failing = all.filter((lane) => lane.failures >= ALARMING).toSorted((a, b) => b.failures - a.failures)
  const alarms = failing.slice(0, ALARMS_SHOWN).flatMap((lane) => alarm(lane, frame))
  return [
    blank(),
    { rank: 0, lines: [tableTitle(columns), ...shown.map((lane) => fitLine(laneLine(view, lane, frame), columns - 1)), ...(more > 0 ? [[span(`   and ${more} more`, 'quiet')]] : [])] },
    ...(alarms.length > 0 ? [{ rank: 2, lines: alarms }] : []),
  ]
}

/** Cells of each column; the next attempt has the rest. */
function widthsOf(columns: number) {
  return columns >= MEDIUM
    ? { name: columns >= WIDE ? 20 : 14, state: 10, backlog: 8, oldest: 10, inFlight: 10, spark: SPARKS, rate: 9 }
    : { name: 11, state: 9, backlog: 7, oldest: 9, inFlight: 7, spark: 0, rate: 0 }
}

function tableTitle(columns: number): Line {
  const w = widthsOf(columns)
  const spark = w.spark === 0 ? '' : `  ${cell('delivered', w.spark)}${cell('rate', w.rate, 'right')}`
  return fitLine([span(`  ${cell('endpoint', w.name)} ${cell('state', w.state)}${cell('backlog', w.backlog, 'right')}${cell('oldest', w.oldest, 'right')}${cell(columns >= MEDIUM ? 'in flight' : 'flying', w.inFlight, 'right')}${spark}  next`, 'quiet')], columns - 1)
}

/** How long a bar stands for: a lane that has been silent for long may be behind the others. */
function stretchMs(view: WebhookView): number {
  return Math.max(1000, ...[...view.lanes.values()].map(({ delivered }) => delivered.stretchMs))
}

const LOOK_OF: Record<LaneWord, Look> = { healthy: 'good', slow: 'doubt', parked: 'bad', quiet: 'doubt', paused: 'fault', disabled: 'fault' }

function laneLine(view: WebhookView, lane: LaneView, frame: Frame): Line {
  const { columns, now } = frame
  const w = widthsOf(columns)
  const word = wordOf(lane, now)
  const isChosen = lane.name === view.selected
  const rate = rateOf(lane.delivered, now)
  const flying = columns >= MEDIUM ? `${lane.inFlight} / ${String(lane.limit).padStart(2)}` : `${lane.inFlight}/${lane.limit}`
  return [
    span(isChosen ? '› ' : '  ', 'chosen'),
    span(cell(lane.name, w.name), isChosen ? 'chosen' : 'label'),
    span(' '),
    span(cell(word === 'parked' ? 'PARKED' : word, w.state), LOOK_OF[word]),
    span(cell(number(lane.waiting), w.backlog, 'right'), lane.waiting === 0 ? 'quiet' : 'plain'),
    span(cell(lane.oldestAt === null ? '-' : lengthOf(Math.max(0, now - lane.oldestAt)), w.oldest, 'right')),
    span(cell(flying, w.inFlight, 'right')),
    ...(w.spark === 0 ? [] : [span('  '), ...spark(view, lane), span(cell(`${rate.toFixed(1)}/s`, w.rate, 'right'), rate === 0 ? 'quiet' : 'plain')]),
    span('  '),
    ...next(lane, word, frame),
  ]
}

/** Ten cells over the whole run so far: `·` for a stretch in which nothing was delivered. */
function spark(view: WebhookView, { delivered }: LaneView): Line {
  const whole = stretchMs(view)
  const each = whole / delivered.stretchMs
  const counts = Array.from({ length: SPARKS }, (_, n) => delivered.counts.slice(n * each, (n + 1) * each).reduce((sum, one) => sum + one, 0))
  const most = Math.max(1, ...counts)
  const lived = Math.min(SPARKS, Math.floor(view.t / whole) + 1)
  return [span(counts.map((n, at) => (at >= lived ? ' ' : n === 0 ? '·' : BARS[Math.ceil((n / most) * BARS.length) - 1]!)).join(''), 'work')]
}

function next(lane: LaneView, word: LaneWord, { columns, now }: Frame): Line {
  const inMs = lane.nextAt === null ? 0 : Math.max(0, lane.nextAt - now)
  const when = inMs < 1000 ? 'now' : `${columns < MEDIUM ? '' : 'in '}${lengthOf(Math.round(inMs / 1000) * 1000)}`
  if (word === 'parked') return [span(`probe ${when}`, 'doubt'), ...(columns >= WIDE && lane.parkedAt !== null ? [span(`   breaker open for ${lengthOf(now - lane.parkedAt)}`, 'quiet')] : [])]
  if (word === 'quiet') return [span(`sends ${when}`, 'doubt'), ...(columns >= WIDE ? [span('   as the receiver asked', 'quiet')] : [])]
  if (word === 'paused' || word === 'disabled') return [span(lane.reason ?? 'held', 'fault')]
  if (lane.failures > 0) return [span(`${number(lane.failures)} failed in a row`, 'doubt')]
  if (word === 'slow') return [span(`${lengthOf(lane.typicalMs)} each`, 'doubt'), ...(columns >= WIDE && lane.limit > 0 ? [span(`   concurrency found: ${lane.limit} of ${lane.places}`, 'quiet')] : [])]
  return [span('-', 'quiet')]
}

function alarm(lane: LaneView, { columns, now }: Frame): Line[] {
  const since = lane.failingAt === null ? '' : `, for ${lengthOf(now - lane.failingAt)}`
  const oldest = lane.oldestAt === null ? '' : `; oldest undelivered ${lengthOf(Math.max(0, now - lane.oldestAt))}`
  return wrap(line(span('  ! ', 'bad'), span(lane.name, 'label'), span(` has failed ${number(lane.failures)} times in a row${since}${oldest}`, 'bad')), columns - 1, 4)
}

function totals(view: WebhookView, columns: number): Line[] {
  return [...labelledFlow('so far', [[span(`${number(view.accepted)} events`)], ...sumsOfAll(view)], columns), ...untrue(view, columns)]
}

/** What is owed, and what came of it. */
export function sumsOfAll(view: WebhookView): Line[] {
  const { waiting } = sums(view)
  const each = requestsEach(view)
  return [
    [span(`${number(owedOf(view))} webhooks owed`)],
    [span(`${number(view.delivered)} delivered`, 'good')],
    [span(`${number(waiting)} waiting`, waiting > 0 ? 'doubt' : 'plain')],
    [span(each === null ? 'no request yet' : `${each.toFixed(2)} requests a message`)],
  ]
}

/** The loudest line there is, where what counts as delivered was not taken. */
export function untrue(view: WebhookView, columns: number): Line[] {
  if (view.unprocessed === 0) return []
  return wrap(line(span(' ≠ DIFFERENT ', 'loud'), '   ', span(`${number(view.unprocessed)} were answered 2xx and not processed`, 'bad')), columns - 1, LABEL)
}

/** What is dead now, and what ever died, by reason. */
function dead(view: WebhookView, columns: number): Line[] {
  const now = sums(view).dead
  const ever = [...view.deaths.values()].reduce((sum, n) => sum + n, 0)
  const shown = DEATH_WORDS.filter((word) => word !== 'other' || view.deaths.has(word))
  const items: Line[] = shown.map((word) => [span(`${number(view.deaths.get(word) ?? 0)} ${word}`, view.deaths.has(word) ? 'bad' : 'quiet')])
  if (ever > now) items.push([span(`${number(ever - now)} of these were sent again`)])
  return labelledFlow('dlq', [[span(`${number(now)} now`, now > 0 ? 'bad' : 'plain')], ...items], columns)
}

function latest(view: WebhookView, columns: number): Line[] {
  return view.latest.slice(columns < MEDIUM ? -ATTEMPTS_SHOWN_NARROW : -ATTEMPTS_SHOWN).toReversed().map((attempt, n) => {
    const { word, look } = outcomeOf(attempt)
    const wide = columns >= MEDIUM
    const facts: Line = [
      span(`${stamp(attempt.t)}  `, 'quiet'),
      span(cell(attempt.name, wide ? 14 : 11), 'label'),
      ...(wide ? [span(` ${cell(tail(attempt.event), 8)}`)] : []),
      span(` #${String(attempt.n).padEnd(3)}`),
      span(cell(word, wide ? 22 : 12), look),
      ...(wide ? [span(cell(lengthOf(attempt.ms), 9, 'right'))] : []),
      ...(columns >= WIDE && attempt.parked && look !== 'good' ? [span('  its lane is parked: it costs the message nothing', 'quiet')] : []),
    ]
    return fitLine(wide ? labelled(n === 0 ? 'latest' : '', facts) : [span(' '), ...facts], columns - 1)
  })
}

/** Ids begin with their time, so that their ends tell them apart. */
const tail = (id: string) => (id.length <= 8 ? id : `…${id.slice(-6)}`)

function outcomeOf({ meaning, status, detail }: AttemptView): { word: string; look: Look } {
  const answer = status === null ? (detail ?? 'no answer').toLowerCase().replaceAll('_', ' ') : String(status)
  if (meaning === 'delivered') return { word: answer, look: 'good' }
  if (meaning === 'deferred') return { word: `${answer} deferred`, look: 'plain' }
  if (meaning === 'throttled') return { word: `${answer} throttled`, look: 'doubt' }
  return { word: status === null ? answer : `${answer} ${detail ?? meaning.replaceAll('_', ' ')}`, look: 'bad' }
}
