/**
 * Faults by the clock: stages, each with what it changes on one proxy and when. A stage with `for` is undone after that long: toxics that it
 * added go, those that it took away come back at the end of their chain, what it changed is as it was before, and so is whether the proxy is
 * on. What somebody else took away or put in its place meanwhile is left alone. One schedule at a time.
 */
import type { Cancel, Clock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { Log } from '../events.ts'
import type { Proxies, ProxyToxic } from './proxies.ts'
import { targeting } from './rules.ts'

/** Carried out in this order; at the first thing that cannot be done the rest of the stage is left. */
export interface Stage {
  /** ms since the schedule's start. */
  at: number
  proxy: string
  remove?: readonly string[]
  update?: readonly { name: string; attributes?: Record<string, number | string>; toxicity?: number }[]
  add?: readonly ProxyToxic[]
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
/** Shortest time from one beginning to the next, ms. */
const MIN_REPEAT_MS = 10

export interface ScheduleState {
  state: 'none' | 'running' | 'ended' | 'stopped'
  /** How often it has begun. */
  rounds: number
  /** Stages that were carried out or undone, in all rounds. */
  done: number
  /** Those that could not be. */
  failed: { at: number; proxy: string; error: string }[]
  plan: SchedulePlan | null
}

/** Failures that are told one by one. */
const MAX_FAILURES = 100

/** Takes back one thing that a stage did. */
type Undo = () => unknown

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
    this.#round(plan, this.#state)
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
    if (repeat !== undefined && !(repeat >= MIN_REPEAT_MS)) throw bad(`repeat is ${repeat} ms`, `it is a time of at least ${MIN_REPEAT_MS} ms, like 1m`)
    if (times !== undefined && (!Number.isSafeInteger(times) || times < 1)) throw bad(`times is ${times}`, 'it is a whole number above 0')
  }

  #round(plan: SchedulePlan, run: ScheduleState): void {
    const round = ++run.rounds
    const end = () => {
      run.state = 'ended'
      this.#log.emit('schedule.ended', { rounds: round })
    }
    let open = plan.stages.length
    const finished = () => {
      if (--open === 0 && plan.repeat === undefined && run.state === 'running') end()
    }
    for (const stage of plan.stages) {
      this.#later(run, stage.at, async () => {
        const undos = await this.#carryOut(stage, run)
        if (stage.for === undefined) return finished()
        this.#later(run, stage.for, async () => {
          await this.#attempt(stage, run, async () => {
            for (const undo of undos.reverse()) await undo()
          })
          finished()
        })
      })
    }
    if (plan.repeat === undefined) return
    this.#later(run, plan.repeat, async () => {
      if (plan.times !== undefined && round >= plan.times) end()
      else this.#round(plan, run)
    })
  }

  async #carryOut(stage: Stage, run: ScheduleState): Promise<Undo[]> {
    const undos: Undo[] = []
    await this.#attempt(stage, run, async () => {
      const proxy = this.#proxies.get(stage.proxy)
      const { rules } = proxy
      for (const name of stage.remove ?? []) {
        const rule = rules.get(name)
        if (!rule) continue
        rules.remove(name)
        const { toxic, stream, toxicity, attributes } = rule
        undos.push(() => rules.get(name) ?? rules.add({ link: stage.proxy, type: toxic.name, name, stream, toxicity, attributes }))
      }
      for (const { name, attributes = {}, toxicity } of stage.update ?? []) {
        const rule = rules.get(name)
        const before = Object.keys(attributes).map((key) => [key, rule?.attributes[key] ?? targeting[key as keyof typeof targeting]?.default])
        const was = { attributes: Object.fromEntries(before), toxicity: toxicity === undefined ? undefined : rule?.toxicity }
        rules.update(name, { attributes, toxicity })
        undos.push(() => rules.get(name) === rule && rules.update(name, was))
      }
      for (const toxic of stage.add ?? []) {
        const rule = rules.add({ ...toxic, link: stage.proxy })
        undos.push(() => rules.get(rule.name) === rule && rules.remove(rule.name))
      }
      if (stage.enabled === undefined) return
      const was = proxy.enabled
      await this.#proxies.update(stage.proxy, { enabled: stage.enabled })
      undos.push(() => this.#proxies.update(stage.proxy, { enabled: was }))
    })
    return undos
  }

  /** What a stage cannot do is told, and the others go on. */
  async #attempt({ at, proxy }: Stage, run: ScheduleState, work: () => Promise<void>): Promise<void> {
    try {
      await work()
      run.done++
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      if (run.failed.length < MAX_FAILURES) run.failed.push({ at, proxy, error: message })
      this.#log.emit('schedule.failed', { link: proxy, at, error: message })
    }
  }

  /** Nothing of a run that was stopped, or gave way to another one, while its stage was being carried out. */
  #later(run: ScheduleState, ms: number, work: () => Promise<void>): void {
    if (run.state !== 'running') return
    const cancel = this.#clock.after(ms, () => {
      this.#timers.delete(cancel)
      void work()
    })
    this.#timers.add(cancel)
  }
}
