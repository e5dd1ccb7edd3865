/** What all screens are made of: head and foot, the list of events, and how sections share the rows there are. */
import type { Event } from '../../../events.ts'
import type { Verdict, Violation } from '../../../invariant.ts'
import type { Names, Tone } from '../../sentence.ts'
import { named, sentence, stamp } from '../../sentence.ts'
import type { Line, Look, Span } from './lines.ts'
import { cell, fitLine, flow, line, lineWidth, span, spread, wrap } from './lines.ts'

/** What a screen is drawn for, besides the view. */
export interface Frame {
  columns: number
  rows: number
  title: string
  /** ms of the run, now. */
  now: number
  /** The event that the reader looks at, by `seq`; null while nobody walks the list. */
  walk: number | null
  /** The last line: keys, what was saved, when the screen closes. */
  hint: Line
  /** Faults that a key switches. */
  switches: readonly { key: string; label: string; link: string; toxic: string; on: boolean | undefined }[]
}

/** What the view of every run knows, of whatever engine. */
export interface RunView {
  readonly mode: string
  readonly seed: string
  /** Null while the run goes on; `violated` as soon as something is. */
  readonly verdict: Verdict | null
  readonly ended: boolean
  /** As it was told at the end. */
  readonly story: string
  readonly again: string
  readonly unfired: readonly string[]
  readonly invariants: readonly { readonly invariant: string; readonly verdict: Verdict | null; readonly looked: string; readonly violations: readonly Violation[] }[]
  readonly events: readonly Event[]
  /** What people call the endpoints that events name by their id. */
  readonly names?: Names
}

const NO_NAMES: Names = new Map()

export interface Section {
  lines: Line[]
  /** Sections of the highest rank give way first; rank 0 stays. */
  rank: number
  /** What stands there instead once it has given way. */
  brief?: Section
}

/** Under this only the story is told. */
export const NARROW = 60
/** Under this what stands side by side is stacked. */
export const MEDIUM = 80
/** Where lines begin, after their label. */
export const LABEL = 16

/** A line with its label in the first column, or without one. */
export function labelled(label: string, content: Line, look: Look = 'label'): Line {
  return [span(` ${cell(label, LABEL - 1)}`, look), ...content]
}

/** Content that may be long, under one label. */
export function labelledWrap(label: string, content: Line, columns: number, look: Look = 'label'): Line[] {
  return wrap(content, Math.max(20, columns - LABEL)).map((one, n) => labelled(n === 0 ? label : '', one, look))
}

/** Items that are broken only between them, under one label. */
export function labelledFlow(label: string, items: readonly Line[], columns: number, gap = 3): Line[] {
  return flow(items, Math.max(20, columns - LABEL - 1), gap).map((one, n) => labelled(n === 0 ? label : '', one))
}

/** `pay_9x0g` for `pay_9x0gbbw9654nxrxh`: enough to tell the ids of one screen apart. */
export function short(id: string): string {
  const match = /^([a-z]+_)(.{4}).+$/.exec(id)
  return match ? match[1]! + match[2]! : id.length > 14 ? `${id.slice(0, 13)}…` : id
}

/** On one line, or on two where one is too narrow. */
export function head(view: RunView, { title, columns, now }: Frame): Line[] {
  const facts = [view.mode, view.seed === '' ? '' : `seed ${view.seed}`, stamp(now)].filter((fact) => fact !== '')
  const badge =
    view.verdict === 'violated' ? span(' VIOLATED ', 'loud')
    : view.verdict === 'held' ? span('HELD', 'good')
    : view.verdict === 'undecided' ? span('UNDECIDED', 'doubt')
    : view.invariants.length === 0 ? span('')
    : span('held so far', 'quiet')
  return headOf(title, facts, badge, columns)
}

/** The title with its facts, and a word at the right edge. */
export function headOf(title: string, facts: readonly string[], badge: Span, columns: number): Line[] {
  const first = span(` ${title}`, 'title')
  const right = [badge, span(' ')]
  const whole = line(first, `   ${facts.join('   ')}`)
  if (lineWidth(whole) + lineWidth(right) < columns) return [spread(whole, right, columns)]
  return [spread([first], right, columns), fitLine([span(` ${facts.join('   ')}`)], columns)]
}

export const rule = (columns: number): Line => [span('─'.repeat(columns), 'quiet')]

/** What happened to the money, what each invariant looked at, and the line that makes the run again. */
export function foot(view: RunView, soFar: string, { columns, hint }: Frame): Section[] {
  const told = view.ended ? view.story : soFar
  const look: Look = view.verdict === 'violated' ? 'bad' : view.verdict === 'undecided' ? 'doubt' : 'title'
  const sections: Section[] = [{ rank: 7, lines: [rule(columns)] }, { rank: 0, lines: wrap(line(' ', span(told, look)), columns - 1, 1) }]

  for (const { invariant, violations } of view.invariants.filter(({ verdict }) => verdict === 'violated')) {
    const lines = wrap(line(span(' violated ', 'loud'), ' '.repeat(TAG - 10), span(invariant, 'bad'), `  ${violations[0]?.why ?? ''}${violations.length > 1 ? `  (and ${violations.length - 1} more)` : ''}`), columns - 1, TAG)
    sections.push({ rank: 1, lines })
    const witnesses = (violations[0]?.witness ?? []).flatMap((seq) => view.events.find((event) => event.seq === seq) ?? [])
    if (witnesses.length > 0) sections.push({ rank: 5, lines: witnesses.map((event) => fitLine([span(' '.repeat(TAG)), ...eventLine(event, view.names)], columns - 1)) })
  }
  for (const { invariant, looked } of view.invariants.filter(({ verdict }) => verdict === 'undecided')) {
    sections.push({ rank: 1, lines: wrap(line(span(tag('undecided'), 'doubt'), invariant, span(`  ${looked}`, 'quiet')), columns - 1, TAG) })
  }
  if (view.unfired.length > 0) sections.push({ rank: 1, lines: wrap(line(span(tag('undecided'), 'doubt'), `never happened: ${view.unfired.join(', ')}`), columns - 1, TAG) })
  const held = view.invariants.filter(({ verdict }) => verdict === 'held')
  if (held.length > 0) {
    const brief: Section = { rank: 2, lines: tagged('held', 'good', held.map(({ invariant }) => [span(invariant)]), columns) }
    sections.push({ rank: 8, brief, lines: tagged('held', 'good', held.map(({ invariant, looked }) => [span(invariant), span(` (${looked})`, 'quiet')]), columns) })
  }
  const open = view.invariants.filter(({ verdict }) => verdict === null)
  if (open.length > 0) sections.push({ rank: 2, lines: tagged('watching', 'quiet', open.map(({ invariant }) => [span(invariant, 'quiet')]), columns) })

  if (view.again !== '') sections.push({ rank: 0, lines: wrap(line(span(tag('again:'), 'label'), view.again), columns - 1, TAG) })
  sections.push({ rank: 0, lines: [fitLine([span(' '), ...hint], columns - 1)] })
  return sections
}

/** Where the foot's lines begin, after their tag. */
const TAG = 12
const tag = (word: string) => ` ${cell(word, TAG - 1)}`

function tagged(word: string, look: Look, items: readonly Line[], columns: number): Line[] {
  return flow(items, columns - 1 - TAG).map((one, n) => [span(n === 0 ? tag(word) : ' '.repeat(TAG), look), ...one])
}

const LOOK_OF: Record<Tone, Look> = { plain: 'plain', good: 'good', doubt: 'doubt', bad: 'bad', fault: 'fault', quiet: 'quiet' }

export function eventLine(event: Event, names: Names = NO_NAMES): Line {
  const said = sentence(named(event, names))
  if (!said) return line(span(`${stamp(event.t)}  `, 'quiet'), span(`${cell(event.src, 12)} ${event.type}`, 'quiet'))
  return line(span(`${stamp(event.t)}  `, 'quiet'), span(`${cell(said.who, 12)} `, 'label'), span(said.what, LOOK_OF[said.tone]))
}

/** The latest things that happened, as many as there are rows for. */
function latestEvents(events: readonly Event[], rows: number, columns: number, names?: Names): Line[] {
  const told = events.filter((event) => !SAID_ELSEWHERE.has(event.type) && sentence(event) !== undefined && !event.type.startsWith('exchange.')).slice(-rows)
  return told.map((event, n) => fitLine(labelled(n === 0 ? 'events' : '', eventLine(event, names)), columns))
}

const SAID_ELSEWHERE = new Set(['run.started', 'run.ended', 'world.opened'])

/** Lines of the chosen event's fields. */
const DETAIL_ROWS = 6

/** The list around the chosen event, and all that the event says. */
function walked(events: readonly Event[], seq: number, rows: number, columns: number, names?: Names): Line[] {
  const at = events.findIndex((event) => event.seq === seq)
  const chosen = events[at]
  if (!chosen) return []
  const list = Math.max(3, rows - DETAIL_ROWS - 1)
  const from = Math.max(0, Math.min(at - (list >> 1), events.length - list))
  const lines = events.slice(from, from + list).map((event, n) => {
    const here = from + n === at
    const content = fitLine([span(here ? '› ' : '  ', 'chosen'), span(`#${event.seq}`.padEnd(7), here ? 'chosen' : 'quiet'), ...eventLine(event, names)], columns - 2)
    return [span(' '), ...(here ? content.map((part) => span(part.text, 'chosen')) : content)]
  })
  const { run, seq: _seq, t, at: wall, src, node, type, ...fields } = chosen
  const facts = [`${type}  from ${src}${node ? ` ${node}` : ''}  at ${t} ms, ${new Date(wall).toISOString()}, run ${run}`, ...Object.entries(fields).map(([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`)]
  const detail = flow(facts.map((fact) => [span(fact)]), columns - 5).slice(0, DETAIL_ROWS)
  return [...lines, [span(' ')], ...detail.map((one) => [span('    '), ...one])]
}

/** Sections give way, the highest rank first, until the rest fits. What still does not fit is cut at the end, before the last line. */
export function stack(sections: Section[], rows: number): Line[] {
  let kept = sections
  const height = () => kept.reduce((sum, section) => sum + section.lines.length, 0)
  for (let rank = Math.max(0, ...sections.map((section) => section.rank)); rank > 0 && height() > rows; rank--) kept = kept.flatMap((section) => (section.rank < rank ? [section] : section.brief ? [section.brief] : []))
  const lines = kept.flatMap((section) => section.lines)
  return lines.length > rows ? [...lines.slice(0, rows - 1), lines.at(-1)!] : lines
}

export const blank = (): Section => ({ rank: 9, lines: [[span(' ')]] })

/** Draws sections into the frame, between the head and the foot of a run; `soFar` is its story while it goes on. */
export function compose(view: RunView, soFar: string, frame: Frame, above: Section[]): Line[] {
  return arrange({ head: head(view, frame), above, foot: foot(view, soFar, frame), events: view.events, names: view.names }, frame)
}

/** Rows of the list that the reader walks, with the chosen event's fields. */
export const walkedRows = (rows: number): number => Math.max(8, Math.min(20, rows >> 1))

/** Draws sections into the frame: as many of the latest events as there is room for stand above the foot, or the list that the reader walks. */
export function arrange({ head, above, foot, events, names }: { head: Line[]; above: Section[]; foot: Section[]; events: readonly Event[]; names?: Names }, frame: Frame): Line[] {
  const rows = Math.max(1, frame.rows - 1)
  const first: Section = { rank: 0, lines: head }
  if (frame.walk !== null) {
    const list: Section = { rank: 0, lines: walked(events, frame.walk, walkedRows(rows), frame.columns, names) }
    return stack([first, ...above, blank(), list, ...foot], rows)
  }
  const used = [first, ...above, ...foot].reduce((sum, section) => sum + section.lines.length, 0)
  const room = rows - used - 1
  const latest = room >= 3 && frame.columns >= NARROW ? latestEvents(events, Math.min(room, 14), frame.columns, names) : []
  return stack([first, ...above, ...(latest.length > 0 ? [blank(), { rank: 9, lines: latest }] : []), ...foot], rows)
}
