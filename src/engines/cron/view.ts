/** What a reader sees of schedulers at work, folded from the events of a run: the same for the screen and for the story at the end. */
import type { Event } from '../../events.ts'
import type { Finding, Verdict, Violation } from '../../invariant.ts'

export interface RunView {
  tick: string
  schedule: string
  slot: number
  attempt: number
  step: number
  percent: number | null
}

export interface NodeView {
  name: string
  pid: number | null
  state: 'up' | 'paused' | 'dead' | 'gone'
  /** When it came into that state, ms of the run. */
  since: number
  /** It has led since its last life began, and what it believed last. */
  epoch: number | null
  leads: boolean
  /** When its lease was given or renewed last, ms of the run. */
  renewedAt: number
  build: number | null
  skewMs: number
  runs: Map<number, RunView>
}

export interface TickView {
  tick: string
  schedule: string
  slot: number
  state: string
  node: string | null
  epoch: number
  lateMs: number
}

export interface CronView {
  t: number
  started: boolean
  scenario: string
  summary: string
  mode: string
  seed: string
  ttlMs: number
  leaderless: boolean
  verdict: Verdict | null
  ended: boolean
  story: string
  again: string
  unfired: readonly string[]
  invariants: readonly { invariant: string; verdict: Verdict | null; looked: string; violations: readonly Violation[] }[]
  nodes: Map<string, NodeView>
  /** The newest, by key, in the order in which they were recorded. */
  ticks: Map<string, TickView>
  /** What was refused, newest last. */
  refused: { t: number; text: string }[]
  counts: { due: number; effects: number; repeated: number; fenced: number; skipped: number; elections: number; kills: number; pauses: number; violations: number }
  /** When the leader was hit that nobody has followed yet, ms of the run. */
  headlessSince: number | null
  /** Of the last take-over, TTLs. */
  failover: number | null
  events: Event[]
}

const TICKS_KEPT = 60
const REFUSED_KEPT = 20
const EVENTS_KEPT = 2000

export function empty(): CronView {
  return {
    t: 0,
    started: false,
    scenario: '',
    summary: '',
    mode: '',
    seed: '',
    ttlMs: 3000,
    leaderless: false,
    verdict: null,
    ended: false,
    story: '',
    again: '',
    unfired: [],
    invariants: [],
    nodes: new Map(),
    ticks: new Map(),
    refused: [],
    counts: { due: 0, effects: 0, repeated: 0, fenced: 0, skipped: 0, elections: 0, kills: 0, pauses: 0, violations: 0 },
    headlessSince: null,
    failover: null,
    events: [],
  }
}

const fresh = (name: string): NodeView => ({ name, pid: null, state: 'gone', since: 0, epoch: null, leads: false, renewedAt: 0, build: null, skewMs: 0, runs: new Map() })

export const shortSlot = (slot: number) => new Date(slot).toISOString().slice(11, 19)

/** Changes the view, and answers it. */
export function fold(view: CronView, event: Event): CronView {
  // What is read at the very end is for the judge.
  if (event.src === 'audit') return view
  view.t = event.t
  if (view.events.length >= EVENTS_KEPT) view.events = view.events.slice(-EVENTS_KEPT / 2)
  view.events.push(event)
  const { node, type, t } = event
  const get = <T>(field: string) => event[field] as T
  const at = (name: string) => view.nodes.get(name) ?? fresh(name)
  const set = (name: string, change: Partial<NodeView>) => {
    view.nodes.set(name, { ...at(name), ...change })
  }
  const count = (what: keyof CronView['counts'], by = 1) => {
    view.counts[what] += by
  }
  const refuse = (text: string) => {
    view.refused = [...view.refused.slice(-REFUSED_KEPT + 1), { t, text }]
    count('fenced')
  }
  const tick = (change: Partial<TickView>) => {
    const key = get<string>('tick')
    const known = view.ticks.get(key) ?? { tick: key, schedule: get<string>('schedule'), slot: get<number>('slot'), state: '', node: null, epoch: 0, lateMs: 0 }
    view.ticks.set(key, { ...known, ...change })
    while (view.ticks.size > TICKS_KEPT) view.ticks.delete(view.ticks.keys().next().value!)
  }
  const runs = (change: (runs: Map<number, RunView>) => void) => {
    set(node!, {})
    change(at(node!).runs)
  }
  const runEnds = () => runs((all) => all.delete(get<number>('token')))
  const beheaded = () => {
    if (at(node!).leads) view.headlessSince ??= t
  }

  if (type === 'run.started') {
    const options = get<{ ttlMs: number; leaderless: boolean }>('options')
    Object.assign(view, { started: true, scenario: get<string>('scenario'), summary: get<string>('summary'), mode: get<string>('mode'), seed: String(get('seed')), ttlMs: options.ttlMs, leaderless: options.leaderless, invariants: get<string[]>('invariants').map((invariant) => ({ invariant, verdict: null, looked: '', violations: [] })) })
  } else if (type === 'run.ended') Object.assign(view, { ended: true, verdict: get<Verdict>('verdict'), story: get<string>('story'), again: get<string>('again'), unfired: get<string[]>('unfired'), invariants: get<(Finding & { invariant: string })[]>('findings') })
  else if (type === 'invariant.violated' || type === 'expectation.failed') count('violations')
  else if (type === 'node.started') set(node!, { ...fresh(node!), state: 'up', since: t, pid: get<number | null>('pid') ?? null, skewMs: view.mode === 'wire' ? 0 : at(node!).skewMs })
  else if (type === 'node.joined') set(node!, { build: get<number>('build') })
  else if (type === 'node.killed') {
    beheaded()
    count('kills')
    set(node!, { state: 'dead', since: t, leads: false, runs: new Map() })
  } else if (type === 'node.terminated') set(node!, { state: 'gone', since: t, leads: false, runs: new Map() })
  else if (type === 'node.paused') {
    beheaded()
    count('pauses')
    set(node!, { state: 'paused', since: t })
  } else if (type === 'node.resumed') set(node!, at(node!).state === 'paused' ? { state: 'up', since: t } : {})
  else if (type === 'clock.stepped') set(node!, { skewMs: at(node!).skewMs + get<number>('ms') })
  else if (type === 'leader.elected') {
    for (const other of view.nodes.values()) if (other.leads && other.state !== 'paused') set(other.name, { leads: false })
    set(node!, { leads: true, epoch: get<number>('epoch'), renewedAt: t })
    count('elections')
    if (view.headlessSince !== null) view.failover = (t - view.headlessSince) / view.ttlMs
    view.headlessSince = null
  } else if (type === 'leader.renewed') set(node!, { renewedAt: t })
  else if (type === 'leader.lost' || type === 'leader.resigned') {
    set(node!, { leads: false })
    if (type === 'leader.lost') refuse(`${node} no longer leads epoch ${get<number>('epoch')}: ${get<string>('why')}`)
  } else if (type === 'leader.fenced') refuse(`${node} tried to write in epoch ${get<number>('epoch')}: refused, ${get<string>('why')}`)
  else if (type === 'tick.recorded') {
    tick({ state: get<string>('state'), epoch: get<number>('epoch'), lateMs: get<number>('lateMs') })
    count(get<string>('state') === 'queued' ? 'due' : 'skipped', get<number>('slots') ?? 1)
  } else if (type === 'tick.skipped') {
    tick({ state: get<string>('state') })
    count('skipped')
  } else if (type === 'attempt.started') {
    tick({ state: 'running', node })
    runs((all) => all.set(get<number>('token'), { tick: get<string>('tick'), schedule: get<string>('schedule'), slot: get<number>('slot'), attempt: get<number>('attempt'), step: get<number>('step'), percent: null }))
  } else if (type === 'attempt.progressed' || type === 'attempt.checkpointed') {
    runs((all) => {
      const run = all.get(get<number>('token'))
      if (run) all.set(get<number>('token'), { ...run, ...(type === 'attempt.progressed' ? { percent: get<number>('percent') } : { step: get<number>('step') }) })
    })
  } else if (type === 'attempt.ended') {
    runEnds()
    tick({ state: get<string>('state'), node })
  } else if (type === 'attempt.abandoned') tick({ state: get<string>('state') })
  else if (type === 'attempt.fenced') {
    runEnds()
    refuse(`${node} tried to write ${get<string>('what')} of ${get<string>('schedule')} ${shortSlot(get<number>('slot'))} with token ${get<number>('token')}: another has it`)
  } else if (type === 'resource.applied') count('effects')
  else if (type === 'resource.repeated') count('repeated')
  else if (type === 'resource.refused') refuse(`an effect for ${get<string>('key')} came with token ${get<number>('token')}: refused by the resource, it saw ${get<number>('seen')}`)
  return view
}

/** What happened, in two or three sentences. */
export function story({ counts, nodes, failover, leaderless }: CronView): string {
  const many = (n: number, one: string, more = `${one}s`) => `${n} ${n === 1 ? one : more}`
  const hurt = [counts.kills > 0 ? many(counts.kills, 'kill') : '', counts.pauses > 0 ? many(counts.pauses, 'pause') : ''].filter((part) => part !== '')
  const led = leaderless ? 'Every node fired, nobody led' : `${many(counts.elections, 'election')}${failover === null ? '' : `, the last take-over in ${failover.toFixed(2)} of the lease`}`
  const kept = [counts.repeated > 0 ? `${many(counts.repeated, 'repeat')} told apart by key` : '', counts.fenced > 0 ? `${many(counts.fenced, 'late word')} refused` : ''].filter((part) => part !== '')
  return `${many(nodes.size, 'node')}${hurt.length > 0 ? `, ${hurt.join(' and ')}` : ''}. ${led}. ${many(counts.due, 'tick')} due, ${many(counts.effects, 'effect')}${counts.skipped > 0 ? `, ${counts.skipped} skipped with a reason` : ''}${kept.length > 0 ? `; ${kept.join(', ')}` : ''}.`
}
