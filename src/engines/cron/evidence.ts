/**
 * What the invariants of the scheduler judge by: the rows of its ledger as the laboratory read them when all had come to rest, what traps in its store
 * caught while it ran, and what the resource was asked and did. Nothing that an engine says of itself.
 */
import type { Event } from '../../events.ts'
import type { Invariant, Judgement, Violation } from '../../invariant.ts'
import { judgedAtTheEnd } from '../../invariant.ts'
import { labJob } from './lab-job.ts'
import type { Spec } from './spec.ts'

export interface SeenTick {
  seq: number
  /** tickKey. */
  tick: string
  schedule: string
  slot: number
  until: number
  slots: number
  kind: string
  generation: number
  epoch: number
  state: string
  reason: string
  recordedAt: number
}

export interface SeenDefinition {
  schedule: string
  generation: number
  spec: Spec
  /** It holds for slots behind this instant, up to the next one's. */
  createdAt: number
  untilAt: number | null
}

/** A request at the resource, or what came of it. */
export interface SeenEffect {
  seq: number
  key: string
  token: number | null
  at: number
}

export class Evidence {
  readonly ticks: SeenTick[] = []
  readonly definitions: SeenDefinition[] = []
  readonly schedules: { seq: number; schedule: string; cursorAt: number; createdAt: number }[] = []
  readonly checkpoints: { seq: number; tick: string; step: number; token: number }[] = []
  readonly reigns: { seq: number; epoch: number; holder: string }[] = []
  readonly sprung: { seq: number; trap: string; why: string }[] = []
  readonly asked: SeenEffect[] = []
  readonly applied: SeenEffect[] = []
  readonly refused: SeenEffect[] = []
  readonly repeated: SeenEffect[] = []
  /** Looks at who trusts itself, and those that saw two. */
  trust: { seq: number; looks: number; twice: readonly string[] } | undefined
  /** The longest that a wall clock was ahead of the world's, ms, at most. */
  aheadMs = 0
  /** Of the lease. */
  ttlMs = 0
  /** The ledger has been read. */
  read = false

  on(event: Event): void {
    const { seq, type } = event
    const take = <T>(list: T[]) => void list.push(event as unknown as T)
    const request = (list: SeenEffect[]) => typeof event['key'] === 'string' && void list.push({ seq, key: event['key'], token: event['token'] as number | null, at: event.at })
    if (type === 'tick.observed') take(this.ticks)
    else if (type === 'checkpoint.observed') take(this.checkpoints)
    else if (type === 'definition.observed') take(this.definitions)
    else if (type === 'schedule.observed') take(this.schedules)
    else if (type === 'reign.observed') take(this.reigns)
    else if (type === 'trap.sprung') take(this.sprung)
    else if (type === 'resource.asked') request(this.asked)
    else if (type === 'resource.applied') request(this.applied)
    else if (type === 'resource.refused') request(this.refused)
    else if (type === 'resource.repeated') request(this.repeated)
    else if (type === 'trust.observed') this.trust = event as unknown as Evidence['trust']
    else if (type === 'clock.stepped') this.aheadMs += Math.max(0, event['ms'] as number)
    else if (type === 'clocks.observed') this.aheadMs = event['aheadMs'] as number // after all steps, and exact
    else if (type === 'ledger.observed') {
      this.ttlMs = event['ttlMs'] as number
      this.read = true
    }
  }

  definition(tick: Pick<SeenTick, 'schedule' | 'generation'>): SeenDefinition | undefined {
    return this.definitions.find((each) => each.schedule === tick.schedule && each.generation === tick.generation)
  }

  /** Under which keys a tick takes effect; undefined when its job is not one of the laboratory's. */
  keys(tick: SeenTick): string[] | undefined {
    const job = this.definition(tick)?.spec.job
    const lab = job && labJob(job)
    if (!lab) return undefined
    if (lab.quiet) return []
    return lab.steps === 0 ? [tick.tick] : Array.from({ length: lab.steps }, (_, n) => `${tick.tick}/${n + 1}`)
  }
}

/** An invariant that looks at the evidence when all is in. */
export function atTheEnd(name: string, summary: string, judge: (evidence: Evidence) => Judgement): Invariant {
  return judgedAtTheEnd(name, summary, { gather: () => new Evidence(), lacks: (evidence) => (evidence.read ? undefined : 'the ledger was not read'), judge })
}

export const iso = (at: number) => new Date(at).toISOString()

/** The violations that a trap of that name caught in the store. */
export function caught({ sprung }: Evidence, trap: string): Violation[] {
  return sprung.filter((each) => each.trap === trap).map(({ seq, why }) => ({ why, witness: [seq] }))
}
