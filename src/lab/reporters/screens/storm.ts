/**
 * The screen of many customers at once: what they were told, second by second over the faults that struck; whether it is true; how each service fares
 * behind its breaker and bulkhead; where the time of a payment goes; what is in doubt. No payment of its own is shown but those of which something differs.
 */
import type { Spending, Word } from '../../../engines/payment/view-customers.ts'
import { inDoubt, SAID, spent, waiting, WORDS } from '../../../engines/payment/view-customers.ts'
import type { BreakerLine, ServiceLine } from '../../../engines/payment/view-services.ts'
import { areGuarded, latency, total, trafficOf, usualMs, worstBreaker } from '../../../engines/payment/view-services.ts'
import type { Tally } from '../../../engines/payment/tally.ts'
import { courseOf, lately, LATELY_S, rate, tally } from '../../../engines/payment/tally.ts'
import type { PaymentView } from '../../../engines/payment/view.ts'
import { differences, number, story } from '../../../engines/payment/view.ts'
import { span as length, stamp } from '../../sentence.ts'
import type { Scale } from './lanes.ts'
import { axis, Lane, scaleOf } from './lanes.ts'
import type { Line, Look } from './lines.ts'
import { cell, fitLine, line, lineWidth, span, wrap } from './lines.ts'
import { faults } from './payment.ts'
import type { Frame, Section } from './parts.ts'
import { arrange, blank, foot, head, LABEL, labelled, labelledFlow, labelledWrap, NARROW } from './parts.ts'
import { BARS } from './proxy.ts'

/** Differences that are told in full; the others are counted. */
const DIFFERENCES_SHOWN = 3
/** Faults that have a row of their own. */
const FAULTS_SHOWN = 6
/** Cells for the name of one: where the link's does not fit too, it is left out. */
const FAULT_CELLS = LABEL - 3
/** A bar is full from this many times the most that asked at once. */
const OUTLIER = 1.5
/** Least cells of a course that says anything. */
const COURSE = 12
/** Cells of `now` and of `last 10 s`. */
const NOW = 7
const RATE = 11

export function stormLines(view: PaymentView, frame: Frame): Line[] {
  const { columns } = frame
  const above: Section[] =
    columns < NARROW
      ? [...truth(view, columns), { rank: 2, lines: inBrief(view, columns) }]
      : [
          blank(),
          { rank: 6, lines: customers(view, frame, true), brief: { rank: 4, lines: customers(view, frame, false), brief: { rank: 2, lines: inBrief(view, columns) } } },
          ...truth(view, columns),
          blank(),
          { rank: 5, lines: services(view, frame, true), brief: { rank: 3, lines: services(view, frame, false) } },
          blank(),
          { rank: 7, lines: deadline(view, columns) },
          { rank: 6, lines: doubts(view, frame) },
          { rank: 7, lines: receipts(view, columns) },
          { rank: 8, lines: retries(view, columns) },
          { rank: 8, lines: faults(view, frame) },
        ]
  // The latest single payments would be gone before they are read: what changed for all of them is told instead.
  return arrange({ head: head(view, frame), above, foot: foot(view, story(view), frame), events: frame.walk === null ? view.moments : view.events }, frame)
}

// ── the customers ───────────────────────────────────────────────────────────────────────────────────────────────

const LOOK_OF: Record<Word, Look> = { paid: 'good', later: 'plain', pending: 'doubt', declined: 'plain', failed: 'bad' }

/** `inFull` has a row for each word, said or not, and one for each fault. */
function customers(view: PaymentView, { columns, now }: Frame, inFull: boolean): Line[] {
  const of = view.customers
  const cells = Math.max(COURSE, columns - LABEL - NOW - RATE - 3)
  const scale = scaleOf(0, Math.max(now, view.t), cells)
  const rows: { label: string; now: number; tally: Tally; look: Look }[] = [
    { label: 'asked', now: of.asked.all, tally: of.asked, look: 'work' },
    ...WORDS.map((word) => ({ label: SAID[word], now: of.now[word], tally: of.came[word], look: LOOK_OF[word] })),
    { label: `slow, > ${length(of.deadlineMs / 2)}`, now: of.slow.all, tally: of.slow, look: 'doubt' },
  ]
  const courses = rows.map(({ tally }) => courseOf(tally, scale, now))
  // A queue that is turned away all at once is an outlier: it may not press all other bars flat.
  const highest = Math.max(0, ...courses.flat())
  const most = Math.min(highest, OUTLIER * Math.max(1, ...courses[0]!))
  const lines: Line[] = [labelled('customers', [span(`${cell('now', NOW, 'right')}${cell(`last ${LATELY_S} s`, RATE, 'right')}  `, 'quiet'), span(axis(scale), 'quiet')])]
  rows.forEach(({ label, now: n, tally: of, look }, at) => {
    if (!inFull && of.all === 0) return
    const lit: Look = of.all > 0 ? look : 'quiet'
    lines.push(labelled(`  ${label}`, [span(cell(number(n), NOW, 'right'), lit), span(`${cell(`${rate(of, now).toFixed(1)}/s`, RATE, 'right')}  `, 'quiet'), span(bars(courses[at]!, most), look)]))
  })
  lines.push(fitLine(labelled('  not told yet', [span(cell(number(waiting(view.customers)), NOW, 'right')), span(`${' '.repeat(RATE + 2)}full bar: ${most < 10 ? most.toFixed(1) : Math.round(most)}/s${highest > most ? ' or more' : ''}`, 'quiet')]), columns - 1))
  return inFull ? [...lines, ...faultRows(view, scale, now)] : lines
}

/** Each fault on the scale of the customers: `─` while it is in place, `×` where it struck. */
function faultRows(view: PaymentView, scale: Scale, now: number): Line[] {
  const { strikes } = view.customers
  const names = [...new Set([...view.spells.map(({ what }) => what), ...strikes.keys()])].slice(-FAULTS_SHOWN)
  const cellMs = (scale.to - scale.from) / scale.cells
  return names.map((name) => {
    const lane = new Lane(scale)
    for (const { what, from, to } of view.spells) if (what === name) lane.bar(from, Math.max(from, Math.min(to ?? now, scale.to)), '─', 'fault')
    const of = strikes.get(name)
    courseOf(of ?? tally(), scale).forEach((one, at) => {
      if (one > 0) lane.mark(scale.from + (at + 0.5) * cellMs, '×', 'fault')
    })
    const words = name.replace(/_(up|down)stream$/, '').replaceAll('_', ' ').replace(': ', ' ')
    return labelled(`× ${words.length > FAULT_CELLS ? words.slice(words.indexOf(' ') + 1) : words}`, [span(cell(of ? number(of.all) : '', NOW, 'right'), 'fault'), span(`${cell(of ? `${rate(of, now).toFixed(1)}/s` : '', RATE, 'right')}  `, 'quiet'), ...lane.spans()], 'fault')
  })
}

function bars(course: readonly number[], most: number): string {
  return course.map((one) => (one <= 0 ? ' ' : BARS[Math.min(BARS.length - 1, Math.floor((one / most) * BARS.length))]!)).join('')
}

function inBrief(view: PaymentView, columns: number): Line[] {
  const { now, asked } = view.customers
  const items = [[span(`${number(asked.all)} asked`)], ...WORDS.filter((word) => now[word] > 0 || word === 'paid').map((word): Line => [span(`${number(now[word])} ${SAID[word]}`, LOOK_OF[word])]), [span(`${number(waiting(view.customers))} not told yet`)]]
  return labelledFlow('customers', items, columns)
}

// ── told, believed, true ────────────────────────────────────────────────────────────────────────────────────────

/** The loudest lines there are, when anything differs, and of them one for every terminal; else that nothing does. */
function truth(view: PaymentView, columns: number): Section[] {
  const different = view.differing.size + view.past.differences
  const { charges, answers } = view.counts
  if (different === 0) return charges + answers === 0 ? [] : [{ rank: 1, lines: labelledWrap('truth', [span(`= 0 different: ${number(answers)} answers beside ${number(charges)} charges in the bank's ledger`, 'good')], columns) }]
  const shown = differences(view).slice(0, DIFFERENCES_SHOWN)
  const more = different - new Set(shown.map(({ order }) => order)).size
  return [
    { rank: 0, lines: [labelled('truth', [span(` ≠ ${number(different)} ${different === 1 ? 'order' : 'orders'} DIFFERENT `, 'loud')], 'bad')] },
    { rank: 1, lines: [...shown.flatMap(({ order, words }) => wrap(line(' '.repeat(LABEL), span(`${order}: ${words}`, 'bad')), columns - 1, LABEL)), ...(more > 0 ? [labelled('', [span(`and ${number(more)} more`, 'bad')])] : [])] },
  ]
}

// ── the services ────────────────────────────────────────────────────────────────────────────────────────────────

/** Cells of the columns, and the width of the terminal from which each is one; what is none is told in words under its service. */
const COLUMNS = { breaker: 12, inFlight: 18, now: 9, most: 9, usual: 9, ill: 16, away: 14 } as const
const FROM: Partial<Record<keyof typeof COLUMNS, number>> = { usual: 74, ill: 84, away: 98, most: 120 }
/** Beside the columns there is room for words from here on. */
const WIDE = 150
/** Where the words under a service begin. */
const UNDER = 4

type Column = keyof typeof COLUMNS

function services(view: PaymentView, frame: Frame, inFull: boolean): Line[] {
  const { columns } = frame
  const shown = [...view.services.values()].filter((service) => service.told.ended.all + service.seen.ended.all + service.breakers.size > 0 || total(service.told.inFlight) + total(service.seen.inFlight) > 0)
  if (shown.length === 0) return []
  const has = (name: Column) => columns >= (FROM[name] ?? 0)
  const titles: Record<Column, string> = { breaker: 'breaker', inFlight: 'in flight', now: 'takes', most: '95 % in', usual: 'usually', ill: `failing, ${LATELY_S} s`, away: 'turned away' }
  const kept = (Object.keys(COLUMNS) as Column[]).filter(has)
  const title = fitLine(labelled('services', kept.map((name) => span(`${cell(titles[name], COLUMNS[name], name === 'breaker' ? 'left' : 'right')}`, 'quiet'))), columns - 1)
  return [title, ...shown.flatMap((service) => serviceLines(view, service, frame, kept, inFull))]
}

function serviceLines(view: PaymentView, service: ServiceLine, { columns, now }: Frame, kept: readonly Column[], inFull: boolean): Line[] {
  const traffic = trafficOf(service)
  const breaker = worstBreaker(service)
  const takes = latency(traffic, now, LATELY_S * 1000)
  const usual = usualMs(traffic)
  const inFlight = total(traffic.inFlight)
  const limit = total(service.limits)
  const full = limit > 0 && inFlight >= limit
  const slower = takes && usual && takes.medianMs >= SLOWER * usual ? takes.medianMs / usual : null
  const [calls, ill] = [lately(traffic.ended, now), lately(traffic.ill, now)]
  const away = rate(service.turnedAway.bulkhead, now) + rate(service.turnedAway.breaker, now)
  const [word, look] = traffic === service.told && areGuarded(view.services) ? stateOf(breaker) : ['-', 'quiet' as Look]
  const right = (text: string, name: Column, as: Look) => span(cell(text, COLUMNS[name], 'right'), as)
  const cells: Record<Column, { text: Line; words: string }> = {
    breaker: { text: [span(cell(word, COLUMNS.breaker), look)], words: '' },
    inFlight: { text: [right(`${inFlight}${limit > 0 ? ` of ${limit}` : ''}${full ? ' FULL' : ''}`, 'inFlight', full ? 'doubt' : 'plain')], words: '' },
    now: { text: [right(takes ? length(takes.medianMs) : '-', 'now', slower ? 'doubt' : 'plain')], words: '' },
    most: { text: [right(takes ? length(takes.p95Ms) : '-', 'most', 'plain')], words: takes ? `95 % take ${length(takes.p95Ms)} or less` : '' },
    usual: { text: [right(usual === null ? '-' : length(usual), 'usual', 'quiet')], words: usual === null ? '' : `usually ${length(usual)}` },
    ill: { text: [right(calls === 0 ? '-' : `${percent(ill / calls)} of ${number(calls)}`, 'ill', ill > 0 ? 'bad' : 'plain')], words: calls === 0 ? '' : `${percent(ill / calls)} of ${number(calls)} fail` },
    away: { text: [right(away > 0 ? `${away.toFixed(1)}/s` : '-', 'away', away > 0 ? 'doubt' : 'plain')], words: away > 0 ? `${away.toFixed(1)}/s turned away` : '' },
  }
  const first = labelled(`  ${service.service}`, kept.flatMap((name) => cells[name].text))
  const hidden = (Object.keys(COLUMNS) as Column[]).filter((name) => !kept.includes(name) && name !== 'most').map((name) => cells[name].words)
  const notes: Line[] = [
    ...hidden.filter((words) => words !== '').map((words): Line => [span(words)]),
    ...breakerWords(service, breaker, now),
    ...(slower ? [[span(`${slower.toFixed(1)} times its usual`, 'doubt')]] : []),
    ...(service.service === 'bank' && view.customers.waiting > 0 ? [[span(view.customers.waiting === 1 ? '1 payment waits for a place' : `${number(view.customers.waiting)} payments wait for a place`, 'doubt')]] : []),
    ...(service.warning ? [[span(`early warning at ${stamp(service.warning.t)}: ${length(service.warning.recentMs)}, usually ${length(service.warning.usualMs)}`, 'fault')]] : []),
  ]
  const told = inFull ? notes : breaker && breaker.state !== 'closed' ? breakerWords(service, breaker, now) : []
  if (told.length === 0) return [first]
  const joined = told.flatMap((note, n): Line => (n === 0 ? note : [span('; ', 'quiet'), ...note]))
  if (columns >= WIDE && lineWidth(first) + lineWidth(joined) + 3 < columns) return [[...first, span('   '), ...joined]]
  return [first, ...wrap(joined, columns - 1 - UNDER).map((one): Line => [span(' '.repeat(UNDER)), ...one])]
}

/** From this many times the usual on it is said. */
const SLOWER = 1.5

const often = (n: number) => (n === 1 ? 'once' : n === 2 ? 'twice' : `${n} times`)
const percent = (share: number) => `${Math.round(share * 100)} %`

/** A breaker that has not been heard of is closed: each begins so. */
function stateOf(breaker: BreakerLine | undefined): [string, Look] {
  switch (breaker?.state ?? 'closed') {
    case 'open':
      return ['OPEN', 'bad']
    case 'forced-open':
      return ['FORCED OPEN', 'bad']
    case 'half-open':
      return ['HALF-OPEN', 'doubt']
    case 'disabled':
      return ['disabled', 'fault']
    case 'metrics-only':
      return ['only counts', 'fault']
    default:
      return ['closed', 'good']
  }
}

function breakerWords(service: ServiceLine, breaker: BreakerLine | undefined, now: number): Line[] {
  if (!breaker) return []
  const bad = [...service.breakers.values()].filter(({ state }) => state === breaker.state).length
  const whose = service.breakers.size > 1 ? `${bad} of ${service.breakers.size} breakers are ${breaker.state}, the latest of ${[breaker.node, breaker.name].filter((part) => part !== '').join(' ')}: ` : ''
  const times = breaker.openings > 1 ? `, opened ${often(breaker.openings)}` : ''
  const left = length(Math.max(0, breaker.untilT - now))
  switch (breaker.state) {
    case 'open':
      return [[span(`${whose}${reasonOf(breaker)}; ${breaker.untilT > now ? `asks again in ${left}` : 'the next caller may try'}${times}`, 'bad')]]
    case 'half-open':
      return [[span(`${whose}a few calls may try${times}`, 'doubt')]]
    case 'closed':
      return breaker.untilT > now ? [[span(`${whose}callers come back over ${left}${times}`, 'doubt')]] : breaker.openings > 0 ? [[span(`closed since ${stamp(breaker.t)}, opened ${often(breaker.openings)}`, 'quiet')]] : []
    default:
      return [[span(`${whose}by hand`, 'fault')]]
  }
}

function reasonOf({ why, calls, failures, slow }: BreakerLine): string {
  if (why === 'failures') return `${failures} of ${calls} calls failed (${percent(failures / Math.max(1, calls))})`
  if (why === 'slow') return `${slow} of ${calls} calls were slow (${percent(slow / Math.max(1, calls))})`
  if (why === 'probes') return 'the calls that tried failed too'
  return why === 'restored' ? 'so an earlier life left it' : why
}

// ── where the time goes ─────────────────────────────────────────────────────────────────────────────────────────

const PARTS: readonly { name: string; glyph: string; look: Look; ms(of: Spending): number }[] = [
  { name: 'fraud', glyph: '▒', look: 'plain', ms: ({ fraudMs }) => fraudMs },
  { name: 'waiting', glyph: '░', look: 'wait', ms: ({ waitingMs }) => waitingMs },
  { name: 'bank', glyph: '█', look: 'work', ms: ({ bankMs }) => bankMs },
  { name: 'other', glyph: '▓', look: 'quiet', ms: ({ fraudMs, waitingMs, bankMs, spentMs }) => Math.max(0, spentMs - fraudMs - waitingMs - bankMs) },
]
/** Cells of the bar. */
const BAR = 40

function deadline(view: PaymentView, columns: number): Line[] {
  const found = spent(view.customers)
  if (!found) return []
  const { mean, longest, answers } = found
  const { deadlineMs } = mean
  const cells = Math.max(COURSE, Math.min(BAR, columns - LABEL - 2))
  const bar = new Lane({ from: 0, to: deadlineMs, cells }).bar(0, deadlineMs, '·', 'quiet')
  // Backwards, so that what took too little for a cell of its own is not drawn over.
  for (let n = PARTS.length - 1; n >= 0; n--) {
    const { glyph, look, ms } = PARTS[n]!
    const from = PARTS.slice(0, n).reduce((sum, part) => sum + part.ms(mean), 0)
    if (ms(mean) >= 1) bar.bar(from, from + ms(mean), glyph, look)
  }
  const { reserveMs } = view.customers
  if (reserveMs !== null) bar.mark(deadlineMs - reserveMs, '│', 'doubt')
  const seconds = (ms: number) => (ms / 1000).toFixed(2)
  const late = longest.spentMs > longest.deadlineMs
  const items: Line[] = [
    bar.spans(),
    [span(`${seconds(mean.spentMs)} of ${seconds(deadlineMs)} s`)],
    ...PARTS.map(({ name, glyph, look, ms }): Line => [span(`${glyph} `, look), span(`${name} ${seconds(ms(mean))}`)]),
    ...(reserveMs === null ? [] : [[span('│ ', 'doubt'), span(`kept back ${seconds(reserveMs)}`)]]),
    [span(late ? `LATE: the longest took ${seconds(longest.spentMs)}` : `longest ${seconds(longest.spentMs)}`, late ? 'bad' : 'plain')],
    [span(`(mean of the latest ${answers === 1 ? 'payment' : `${answers} payments`} that asked the bank)`, 'quiet')],
  ]
  return labelledFlow('deadline', items, columns, 2)
}

function doubts(view: PaymentView, { columns, now }: Frame): Line[] {
  const { unknown } = view.customers
  if (unknown.made === 0) return [labelled('in doubt', [span('nothing so far', 'quiet')])]
  const { open, oldestMs } = inDoubt(view.customers, now)
  const lookups = [...view.services.values()].reduce((sum, { recovering }) => sum + total(recovering), 0)
  const items: Line[] = [
    [span(`${number(unknown.made)} became unknown`, 'doubt')],
    [span(`${number(unknown.resolved)} resolved${unknown.longestMs > 0 ? `, the longest in ${length(unknown.longestMs)}` : ''}`, 'good')],
    [span(open === 0 ? '0 open' : `${number(open)} open, the oldest for ${length(oldestMs)}`, open === 0 ? 'good' : 'doubt')],
    ...(unknown.handed > 0 ? [[span(`${number(unknown.handed)} with an operator`, 'bad')]] : []),
    ...(lookups > 0 ? [[span(`${number(lookups)} ${lookups === 1 ? 'look-up' : 'look-ups'} under way`, 'quiet')]] : []),
  ]
  return labelledFlow('in doubt', items, columns)
}

/** What the customers hear afterwards: it may be late, and has no part in how they were answered. */
function receipts(view: PaymentView, columns: number): Line[] {
  const { received, duplicates } = view.notifications
  const paid = view.fates.charged + view.fates.twice
  if (received + paid === 0) return []
  const items: Line[] = [[span(`${number(received)} delivered`)], [span(received < paid ? `${number(paid - received)} to come` : 'none to come', received < paid ? 'doubt' : 'good')]]
  if (duplicates > 0) items.push([span(`${number(duplicates)} came again`, 'quiet')])
  return labelledFlow('receipts', items, columns)
}

function retries(view: PaymentView, columns: number): Line[] {
  const services = [...view.services.values()]
  const repeats = services.reduce((sum, service) => sum + service.retries, 0)
  const items: Line[] = [[span(`${number(repeats)} ${repeats === 1 ? 'call' : 'calls'} made again`)]]
  if (view.counts.payments > 0 && view.customers.chargesAsked > 0) items.push([span(`the bank was asked ${(view.customers.chargesAsked / view.counts.payments).toFixed(2)} times a payment`)])
  for (const { service, emptied } of services) {
    if (emptied) items.push([span(`the budget for ${service} ran dry ${often(emptied.times)}, last at ${stamp(emptied.t)} (${emptied.retrying} of ${emptied.inFlight} were repeats)`, 'doubt')])
  }
  return labelledFlow('retries', items, columns)
}
