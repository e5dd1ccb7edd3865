/** The screen of a running chaos proxy, seen from outside: each proxy with its traffic second by second and its toxics, and the journal's latest lines. */
import { visible } from '../../../visible.ts'
import type { ToxicFacts } from '../../proxy-client.ts'
import type { ProxyView, WatchedProxy } from '../../proxy-view.ts'
import { story, strikeKey } from '../../proxy-view.ts'
import { span as length } from '../../sentence.ts'
import type { Line } from './lines.ts'
import { fit, fitLine, flow, line, span, wrap } from './lines.ts'
import type { Frame, Section } from './parts.ts'
import { arrange, blank, headOf, LABEL, labelled, labelledFlow, labelledWrap, rule, walkedRows } from './parts.ts'

/** From little to much. */
export const BARS = '▁▂▃▄▅▆▇█'
/** Longest sparkline, in seconds, each of which is a cell. */
const SPARK_SECONDS = 100
/** Cells behind a sparkline for what its highest bar stands for. */
const SCALE = 24
/** Longest text of a toxic's attributes, cells. */
const ATTRIBUTES = 120
/** Cells by which the later lines of a toxic are set in. */
const HANG = 6
/** Of a line of a toxic, cells: narrower terminals cut it. */
const NARROWEST = 12
/** Rows that the events get, at the least, before the list of proxies is told in full. */
const EVENT_ROWS = 5

/** How much is told of each proxy, the most first; what fits is taken. */
const DETAILS = ['all', 'toxics', 'line'] as const
type Detail = (typeof DETAILS)[number]

export function proxyHead(view: ProxyView, { title, columns, now }: Frame): Line[] {
  const facts = [visible(view.url), `seed ${visible(view.seed)}`, `up ${length(view.lost ? view.uptimeMs : now)}`]
  return headOf(title, facts, view.lost ? span(' STALE ', 'loud') : span('LIVE', 'good'), columns)
}

export function proxyLines(view: ProxyView, frame: Frame): Line[] {
  const { columns, now, hint, walk } = frame
  const rows = Math.max(1, frame.rows - 1)
  const head = proxyHead(view, frame)
  if (view.lost) head.push(...wrap(line(span(` STALE since ${new Date(view.heardAt).toISOString().slice(11, 19)} UTC, for ${length(Math.max(0, now - view.uptimeMs))}: `, 'bad'), span(visible(view.lost.why))), columns - 1, 1))
  const foot: Section[] = [
    { rank: 7, lines: [rule(columns)] },
    { rank: 0, lines: view.refused === '' ? [] : wrap(line(' ', span(visible(view.refused), 'bad')), columns - 1, 1) },
    { rank: 0, lines: wrap(line(' ', span(`${view.lost ? 'At its last word: ' : ''}${story(view)}`, 'title')), columns - 1, 1) },
    { rank: 0, lines: [fitLine([span(' '), ...hint], columns - 1)] },
  ]
  const used = [head, ...foot.map((section) => section.lines)].reduce((sum, lines) => sum + lines.length, 0)
  const room = rows - used - 1 - (walk === null ? EVENT_ROWS + 1 : walkedRows(rows) + 1)
  return arrange({ head, above: [blank(), { rank: 1, lines: proxies(view, frame, Math.max(1, room)) }], foot, events: view.events }, frame)
}

function proxies(view: ProxyView, frame: Frame, room: number): Line[] {
  if (view.proxies.length === 0) return labelledWrap('proxies', [span('none yet; resil proxy create makes one', 'quiet')], frame.columns - 1)
  for (const detail of DETAILS) {
    const lines = view.proxies.flatMap((proxy, n) => [...(n > 0 && detail === 'all' ? [[span(' ')]] : []), ...told(proxy, view, frame, detail)])
    if (lines.length <= room) return lines
  }
  const lines = view.proxies.map((proxy) => fitLine(told(proxy, view, frame, 'line')[0]!, frame.columns - 1))
  if (lines.length <= room) return lines
  const shown = Math.max(0, room - 1)
  return [...lines.slice(0, shown), fitLine(labelled('', [span(`and ${lines.length - shown} more, which need more rows`, 'doubt')]), frame.columns - 1)]
}

function told(proxy: WatchedProxy, view: ProxyView, frame: Frame, detail: Detail): Line[] {
  const { columns, switches } = frame
  const { name, listen, upstream, enabled, traffic, toxics } = proxy
  const facts: Line[] = [[span(`${visible(listen)} > ${visible(upstream)}`, 'title')]]
  if (!enabled) facts.push([span('OFF: refuses connections', 'fault')])
  else facts.push([span(`${traffic.connectionsOpen} open`)], ...rates(proxy))
  if (traffic.cut > 0) facts.push([span(`${traffic.cut} cut`, 'doubt')])
  if (traffic.connectionsFailed > 0) facts.push([span(`${traffic.connectionsFailed} not connected`, 'doubt')])
  const off = switches.filter(({ link, on }) => link === name && on === false)
  if (detail === 'line') {
    if (toxics.length > 0) facts.push([span(`× ${toxics.length} ${toxics.length === 1 ? 'toxic' : 'toxics'}`, 'fault')])
    return labelledFlow(visible(name), facts, columns)
  }
  return [
    ...labelledFlow(visible(name), facts, columns),
    ...(detail === 'all' ? [sparkline(proxy, view, frame)] : []),
    ...toxics.flatMap((toxic) => hanging(struck(toxic, proxy, view, frame), columns)),
    ...off.flatMap(({ key, toxic }) => hanging([[span(`[${key}] `, 'title'), span(`× ${visible(toxic)}`, 'quiet')], [span(`off; ${key} puts it back`, 'doubt')]], columns)),
  ]
}

/** Later lines stand under the name of the toxic, not under its key. */
function hanging(items: readonly Line[], columns: number): Line[] {
  return flow(items, Math.max(NARROWEST, columns - LABEL - HANG - 1)).map((one, n) => labelled('', n === 0 ? one : [span(' '.repeat(HANG)), ...one]))
}

function rates({ requestsPerS, bytesPerS, meanMs, traffic }: WatchedProxy): Line[] {
  const rate = requestsPerS < 10 ? requestsPerS.toFixed(1) : String(Math.round(requestsPerS))
  return [
    ...(traffic.requestsTotal > 0 ? [[span(`${rate} requests/s`)]] : []),
    [span(`${size(bytesPerS)}/s`)],
    ...(meanMs === null ? [] : [[span(`mean ${length(meanMs)}`)]]),
  ]
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB']

/** `0 B`, `1.2 kB`, `41 MB`. */
function size(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit > 0 && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`
}

/** Each of the last seconds as a bar, by its requests where there are any, by its bytes otherwise; the current second is not whole yet and is left out. */
function sparkline({ seconds }: WatchedProxy, view: ProxyView, { columns, now }: Frame): Line {
  const cells = Math.max(10, Math.min(SPARK_SECONDS, columns - LABEL - SCALE - 1))
  const end = Math.floor((view.lost ? view.uptimeMs : now) / 1000)
  const shown = seconds.filter(({ second }) => second >= end - cells && second < end)
  const what = shown.some(({ requests }) => requests > 0) ? 'requests' : 'bytes'
  const most = Math.max(0, ...shown.map((one) => one[what]))
  const bars: string[] = Array.from({ length: cells }, () => '·')
  for (const one of shown) if (one[what] > 0) bars[one.second - (end - cells)] = BARS[Math.ceil((one[what] / most) * BARS.length) - 1]!
  const scale = most === 0 ? 'nothing went over it' : what === 'requests' ? `at most ${most} a second` : `at most ${size(most)}/s`
  return fitLine(labelled('', [span(bars.join(''), most === 0 || view.lost ? 'quiet' : 'work'), span(`  ${scale}`, 'quiet')]), columns - 1)
}

function struck({ name, type, stream, toxicity, attributes, hits = 0 }: ToxicFacts, proxy: WatchedProxy, view: ProxyView, { now, switches }: Frame): Line[] {
  const key = switches.find((one) => one.link === proxy.name && one.toxic === name)?.key
  const last = view.strikes.get(strikeKey(proxy.name, name))?.at(-1)
  const agoMs = last === undefined ? undefined : Math.max(0, (view.lost ? view.uptimeMs : now) - last * 1000)
  const given = Object.entries(attributes).filter(([, value]) => value !== '' && value !== 0)
  const settings = [...(toxicity < 1 ? [`toxicity ${toxicity}`] : []), ...given.map(([key, value]) => `${key} ${value}`)].join(', ')
  return [
    [span(key ? `[${key}] ` : '    ', 'title'), span(`× ${visible(type).replaceAll('_', ' ')}`, 'fault'), span(name === `${type}_${stream}` ? '' : ` ${visible(name)}`), span(` ${stream}`, 'quiet')],
    [span(hits === 0 ? 'never struck' : `struck ${hits === 1 ? 'once' : `${hits} times`}${agoMs === undefined ? '' : agoMs < 2000 ? ', now' : `, ${length(agoMs)} ago`}`, hits === 0 ? 'doubt' : 'plain')],
    ...(settings === '' ? [] : [[span(fit(visible(settings), ATTRIBUTES), 'quiet')]]),
  ]
}
