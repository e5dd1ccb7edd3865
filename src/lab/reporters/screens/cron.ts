/** The screen of schedulers: who leads with which epoch and what is left of the lease, who works on what, the latest ticks, what was refused. */
import type { CronView, NodeView, TickView } from '../../../engines/cron/view.ts'
import { shortSlot, story } from '../../../engines/cron/view.ts'
import { span as length } from '../../sentence.ts'
import type { Line, Look } from './lines.ts'
import { cell, fitLine, flow, span, wrap } from './lines.ts'
import type { Frame, Section } from './parts.ts'
import { blank, compose, LABEL, labelled, labelledFlow, MEDIUM, NARROW } from './parts.ts'

const REFUSED_SHOWN = 4
const TICKS_SHOWN = 12
const BAR = 10
const BAR_NARROW = 4
/** From here on there is room for the names of signals. */
const SIGNALS_WIDE = 110
/** As in the elector: the part of the lease for which a leader trusts itself. */
const TRUST = 0.75

export function cronLines(view: CronView, frame: Frame): Line[] {
  const { columns } = frame
  const nodes = [...view.nodes.values()].sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))
  const sections: Section[] = []
  if (nodes.length > 0) sections.push(blank(), { rank: 0, lines: nodeTable(view, nodes, frame) })
  sections.push(blank(), { rank: 3, lines: workers(nodes, columns) })
  if (view.ticks.size > 0) sections.push({ rank: 4, lines: ticks(view, columns) })
  const refused = view.refused.slice(-REFUSED_SHOWN)
  if (refused.length > 0) sections.push({ rank: 2, lines: refused.flatMap(({ text }, n) => wrap([span(text, 'fault')], Math.max(20, columns - LABEL - 1)).map((one, row) => labelled(n + row === 0 ? 'refused' : '', one))) })
  sections.push({ rank: 1, lines: counters(view, columns) })
  return compose(view, story(view), frame, sections)
}

function nodeTable(view: CronView, nodes: readonly NodeView[], frame: Frame): Line[] {
  const { columns } = frame
  const wide = columns >= MEDIUM
  const title = wide ? ` ${cell('node', 6)}${cell('pid', 9)}${cell('role', 11)}${cell('epoch', 7)}${cell('lease', 25)}${cell('trusted', 9)}${cell('skew', 9)}` : ` ${cell('node', 6)}${cell('role', 11)}${cell('epoch', 7)}lease`
  return [[span(title.trimEnd(), 'quiet')], ...nodes.map((node) => fitLine(nodeLine(view, node, frame), columns - 1))]
}

function nodeLine(view: CronView, node: NodeView, frame: Frame): Line {
  const { now, columns } = frame
  const wide = columns >= MEDIUM
  const left = node.leads && node.state !== 'dead' ? Math.max(0, node.renewedAt + view.ttlMs - now) : null
  const trusted = left === null ? null : Math.max(0, left - (1 - TRUST) * view.ttlMs)
  const [role, look] = roleOf(view, node)
  const bar = (cells: number) => (left === null ? '' : `${'█'.repeat(Math.round((cells * left) / view.ttlMs))}`.padEnd(cells, '░'))
  const lease = left === null ? '-' : left === 0 ? 'expired' : `${seconds(left)} of ${seconds(view.ttlMs)} s`
  const signal = (name: string) => (view.mode === 'wire' && columns >= SIGNALS_WIDE ? ` (${name})` : '')
  const why = node.state === 'paused' ? `stopped ${length(now - node.since)}${signal('SIGSTOP')}` : node.state === 'dead' ? `dead ${length(now - node.since)}${signal('SIGKILL')}` : node.state === 'gone' ? 'ended in good order' : node.build !== null && node.build > 1 ? `build ${node.build}` : ''
  const whyLook: Look = node.state === 'up' || node.state === 'gone' ? 'quiet' : 'fault'
  const head: Line = [span(` ${cell(node.name, 6)}`, 'label')]
  const skew = `${node.skewMs >= 0 ? '+' : '-'}${(Math.abs(node.skewMs) / 1000).toFixed(1)} s`
  if (!wide) return [...head, span(cell(role, 11), look), span(cell(node.epoch === null ? '-' : `${node.epoch}`, 7)), span(left === null ? '' : `${bar(columns < NARROW ? BAR_NARROW : BAR)} `, 'work'), span(left === null ? (why || '-') : left === 0 ? 'expired' : `${seconds(left)} s`, left === null ? whyLook : 'plain')]
  return [
    ...head,
    span(cell(node.pid === null ? '-' : `${node.pid}`, 9)),
    span(cell(role, 11), look),
    span(cell(node.epoch === null ? '-' : `${node.epoch}`, 7)),
    span(left === null ? '' : `${bar(BAR)} `, left === 0 ? 'wait' : 'work'),
    span(cell(lease, left === null ? 25 : 25 - BAR - 1)),
    span(cell(trusted === null ? '-' : trusted > 0 ? `${seconds(trusted)} s` : 'no', 9), trusted === 0 ? 'doubt' : 'plain'),
    span(cell(skew, 9), node.skewMs === 0 ? 'quiet' : 'fault'),
    span(why, whyLook),
  ]
}

function roleOf(view: CronView, node: NodeView): [string, Look] {
  if (node.state === 'dead') return ['dead', 'bad']
  if (node.state === 'gone') return ['gone', 'quiet']
  if (node.state === 'paused') return node.leads ? [' ZOMBIE ', 'loud'] : ['stopped', 'fault']
  if (view.leaderless) return ['fires', 'plain']
  return node.leads ? ['LEADER', 'good'] : ['follower', 'plain']
}

const seconds = (ms: number) => (ms / 1000).toFixed(1)

function workers(nodes: readonly NodeView[], columns: number): Line[] {
  const items = nodes
    .filter(({ state }) => state === 'up' || state === 'paused')
    .flatMap(({ name, runs }): Line[] => {
      if (runs.size === 0) return [[span(`${name} `, 'label'), span('idle', 'quiet')]]
      return [...runs.values()].map((run) => [
        span(`${name} `, 'label'),
        span(`${run.schedule} ${shortSlot(run.slot)} `),
        ...(run.percent === null ? [] : [span(`${'█'.repeat(Math.round((BAR * run.percent) / 100)).padEnd(BAR, '░')} `, 'work')]),
        span(run.step > 0 ? `step ${run.step}` : 'runs'),
        ...(run.attempt > 1 ? [span(` attempt ${run.attempt}`, 'fault')] : []),
      ])
    })
  return items.length === 0 ? [labelled('workers', [span('none', 'quiet')])] : labelledFlow('workers', items, columns)
}

const STATE: Record<string, { word: string; look: Look }> = {
  queued: { word: 'waits', look: 'quiet' },
  running: { word: 'runs', look: 'work' },
  succeeded: { word: 'ran', look: 'good' },
  failed: { word: 'FAILED', look: 'bad' },
  dead: { word: 'DEAD', look: 'bad' },
  cancelled: { word: 'cancelled', look: 'fault' },
  skipped_overlap: { word: 'skipped: still running', look: 'fault' },
  skipped_late: { word: 'skipped: too late', look: 'fault' },
  skipped_paused: { word: 'skipped: paused', look: 'quiet' },
  coalesced: { word: 'coalesced', look: 'quiet' },
}

/** From when on a tick is called late, ms. */
const LATE_MS = 300

function ticks(view: CronView, columns: number): Line[] {
  const newest = [...view.ticks.values()].sort((a, b) => a.slot - b.slot).slice(-TICKS_SHOWN)
  const items = newest.map((tick): Line => {
    const { word, look } = STATE[tick.state] ?? { word: tick.state, look: 'plain' }
    return [span(`${tick.schedule} ${shortSlot(tick.slot)} `), span(word, look), span(facts(tick), 'quiet'), ...(tick.lateMs > LATE_MS ? [span(` late ${length(tick.lateMs)}`, 'doubt')] : [])]
  })
  const room = Math.max(20, columns - LABEL - 1)
  const rows = flow(items, room).length
  // On a narrow screen the newest ones.
  const most = columns < NARROW ? 4 : 6
  return labelledFlow('ticks', rows > most ? items.slice(-Math.max(2, Math.floor((items.length * most) / rows))) : items, columns)
}

function facts({ node, epoch }: TickView): string {
  return `${node === null ? '' : ` ${node}`}${epoch > 0 ? ` e${epoch}` : ''}`
}

function counters(view: CronView, columns: number): Line[] {
  const { due, effects, repeated, fenced, skipped } = view.counts
  const items: Line[] = [[span(`${due} due`)], [span(`${effects} effects`, 'good')], [span(`${repeated} repeats told apart`)], [span(`${fenced} refused`)]]
  if (skipped > 0) items.push([span(`${skipped} skipped`)])
  if (view.failover !== null) items.push([span(`take-over in ${view.failover.toFixed(2)} TTL`)])
  if (view.headlessSince !== null) items.push([span('nobody leads', 'doubt')])
  return labelledFlow('effects', items, columns)
}
