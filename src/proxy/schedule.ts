/**
 * Faults by the clock: stages, each with what it changes on one proxy and when. A stage with `for` is undone after that long, in the state that
 * the proxy is in by then: toxics that it added go, a proxy that it turned off comes back. One schedule at a time.
 */
import type { Cancel, Clock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { Log } from '../events.ts'
import type { Proxies, ProxyToxic } from './proxies.ts'

export interface Stage {
  /** ms since the schedule's start. */
  at: number
  proxy: string
  add?: readonly ProxyToxic[]
  update?: readonly { name: string; attributes?: Record<string, number | string>; toxicity?: number }[]
  remove?: readonly string[]
  enabled?: boolean
  /** ms until it is undone; never when absent. */
  for?: number
}

export interface SchedulePlan {
  stages: readonly Stage[]
  /** ms from one beginning to the next; once when absent. */
  repeat?: number
  /** How often at the most. */
  times?: number
}

export const MAX_STAGES = 1000

export interface ScheduleState {
  state: 'none' | 'running' | 'ended' | 'stopped'
  /** How often it has begun. */
  rounds: number
  /** Stages that were carried out, and those that could not be, in all rounds. */
  done: number
  failed: { at: number; proxy: string; error: string }[]
  plan: SchedulePlan | null
}

/** Failures that are told one by one. */
const MAX_FAILURES = 100

export class Schedule {
  readonly #clock: Clock
  readonly #log: Log
  readonly #proxies: Proxies
  readonly #timers = new Set<Cancel>()
  #state: ScheduleState = { state: 'none', rounds: 0, done: 0, failed: [], plan: null }

  constructor({ clock, log, proxies }: { clock: Clock; log: Log; proxies: Proxies }) {
    this.#clock = clock
    this.#log = log
    this.#proxies = proxies
  }

  get state(): ScheduleState {
    return this.#state
  }

  /** In place of the one before it. Throws BAD_SCHEDULE, PROXY_NOT_FOUND. */
  start(plan: SchedulePlan): void {
    this.#check(plan)
    this.stop()
    this.#state = { state: 'running', rounds: 0, done: 0, failed: [], plan }
    this.#log.emit('schedule.started', { stages: plan.stages.length, repeat: plan.repeat ?? null })
    this.#round(plan)
  }

  /** Nothing more of it happens; what it did stays. */
  stop(): void {
    for (const cancel of this.#timers) cancel()
    this.#timers.clear()
    if (this.#state.state !== 'running') return
    this.#state.state = 'stopped'
    this.#log.emit('schedule.stopped', { rounds: this.#state.rounds })
  }

  #check({ stages, repeat, times }: SchedulePlan): void {
    const bad = (message: string, hint: string) => new ResilError('BAD_SCHEDULE', message, hint)
    if (stages.length === 0 || stages.length > MAX_STAGES) throw bad(`a schedule has ${stages.length} stages`, `it has between 1 and ${MAX_STAGES}`)
    for (const [n, stage] of stages.entries()) {
      this.#proxies.get(stage.proxy)
      const where = `stage ${n + 1} (${stage.proxy})`
      if (!(stage.at >= 0) || !Number.isFinite(stage.at)) throw bad(`${where}: at is ${stage.at}`, 'it is a time from the start, like 10s')
      if (stage.for !== undefined && !(stage.for > 0)) throw bad(`${where}: for is ${stage.for}`, 'it is a time above 0, like 5s')
      if (!stage.add && !stage.update && !stage.remove && stage.enabled === undefined) throw bad(`${where} changes nothing`, 'it takes add, update, remove or enabled')
      if (repeat !== undefined && stage.at + (stage.for ?? 0) > repeat) throw bad(`${where} ends after the schedule begins anew`, 'make repeat longer')
    }
    if (repeat !== undefined && !(repeat > 0)) throw bad(`repeat is ${repeat}`, 'it is a time above 0, like 1m')
    if (times !== undefined && (!Number.isSafeInteger(times) || times < 1)) throw bad(`times is ${times}`, 'it is a whole number above 0')
  }

  #round(plan: SchedulePlan): void {
    const round = ++this.#state.rounds
    let open = 0
    const finished = () => {
      if (--open > 0 || plan.repeat !== undefined) return
      this.#state.state = 'ended'
      this.#log.emit('schedule.ended', { rounds: round })
    }
    for (const stage of plan.stages) {
      open++
      this.#later(stage.at, async () => {
        await this.#carryOut(stage)
        if (stage.for === undefined) return finished()
        this.#later(stage.for, async () => {
          await this.#undo(stage)
          finished()
        })
      })
    }
    if (plan.repeat === undefined) return
    this.#later(plan.repeat, async () => {
      if (plan.times !== undefined && round >= plan.times) {
        this.#state.state = 'ended'
        this.#log.emit('schedule.ended', { rounds: round })
      } else this.#round(plan)
    })
  }

  async #carryOut(stage: Stage): Promise<void> {
    await this.#attempt(stage, async () => {
      const { rules } = this.#proxies.get(stage.proxy)
      for (const name of stage.remove ?? []) rules.remove(name)
      for (const { name, ...change } of stage.update ?? []) rules.update(name, change)
      for (const toxic of stage.add ?? []) rules.add({ ...toxic, link: stage.proxy })
      if (stage.enabled !== undefined) await this.#proxies.update(stage.proxy, { enabled: stage.enabled })
    })
  }

  async #undo(stage: Stage): Promise<void> {
    await this.#attempt(stage, async () => {
      const { rules } = this.#proxies.get(stage.proxy)
      for (const { name, type, stream } of stage.add ?? []) {
        const added = rules.list().find((rule) => rule.name === (name ?? `${type}_${stream ?? rule.toxic.stream}`))
        if (added) rules.remove(added.name)
      }
      if (stage.enabled !== undefined) await this.#proxies.update(stage.proxy, { enabled: !stage.enabled })
    })
  }

  /** What a stage cannot do is told, and the others go on. */
  async #attempt(stage: Stage, work: () => Promise<void>): Promise<void> {
    const { at, proxy } = stage
    try {
      await work()
      this.#state.done++
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      if (this.#state.failed.length < MAX_FAILURES) this.#state.failed.push({ at, proxy, error: message })
      this.#log.emit('schedule.failed', { link: proxy, at, error: message })
    }
  }

  #later(ms: number, run: () => Promise<void>): void {
    const cancel = this.#clock.after(ms, () => {
      this.#timers.delete(cancel)
      void run()
    })
    this.#timers.add(cancel)
  }
}
