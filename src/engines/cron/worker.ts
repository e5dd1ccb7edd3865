/**
 * A node's pool of workers: each claims one queued tick, runs its job, and writes down how it ended.
 *
 *   queued ── claim: a new token ──▶ running ── checkpoint, checkpoint ... ──▶ succeeded
 *     ▲                                 ├── failed, attempts left: later again
 *     ├─────────────────────────────────┤
 *     └── its worker died, or drained ──┘         ──▶ failed, dead, cancelled
 *
 * Whatever a worker writes carries the token of its claim: when another has claimed the tick since, nothing of it stands (`attempt.fenced`). The job gets
 * the tick's key and the token, so that whoever takes its effects can refuse a second one and one that comes too late.
 */
import type { Clock } from '../../clock.ts'
import { ResilError } from '../../errors.ts'
import type { Log } from '../../events.ts'
import type { HttpResponse, Network, Outcome } from '../../network.ts'
import type { Random } from '../../random.ts'
import { visible } from '../../visible.ts'
import { backoff } from '../policies/backoff.ts'
import type { Store, Tx } from '../store/store.ts'
import { isStoreTrouble } from '../store/store.ts'
import { Fenced } from './elector.ts'
import type { Tick, TickId, TickState } from './ledger.ts'
import { factsOf, idOf, THIS_TICK } from './ledger.ts'
import type { Job, Spec } from './spec.ts'
import { tickKey } from './spec.ts'

/** What a job is told, and what it may say while it runs. */
export interface Run {
  readonly key: string
  readonly schedule: string
  /** The slot, ms since 1970. */
  readonly scheduledAt: number
  readonly lateMs: number
  /** From 1. */
  readonly attempt: number
  /** Higher than that of every claim before it. */
  readonly token: number
  /** What the last committed step left, and its number from 1; null and 0 at the first. */
  readonly checkpoint: string | null
  readonly step: number
  readonly timeoutMs: number
  /** Aborts when the job shall end: cancelled, timed out, drained, or claimed by another. */
  readonly signal: AbortSignal
  /** Per cent. */
  progress(percent: number): void
  /**
   * Commits a step. With its number a repeat is told apart: it resolves as the first one did. Throws Fenced when the run is another's by now,
   * STEP_OUT_OF_ORDER when a step before it is missing.
   */
  commit(data: string, step?: number): Promise<void>
}

export interface Ended {
  ok: boolean
  /** What it printed or answered; capped when it is kept. */
  output: string
  /** Trying again cannot help. */
  final?: boolean
}

/** Starts processes and modules; HTTP jobs need none. */
export interface Runner {
  /** Whether this node can run such a job. */
  knows(job: Job): boolean
  /** Ends after the job has: nothing of it runs any more. Never rejects. */
  run(job: Job, run: Run): Promise<Ended>
}

export interface PoolSetup {
  clock: Clock
  random: Random
  network: Network
  store: Store
  log: Log
  runner: Runner
  node: string
  life: string
  build: number
  slots: number
  pollMs: number
  beatMs: number
}

/** Why a nap ends: a reason of its own spares the error that is made without one. */
const WOKEN = 'woken'
/** Queued ticks that are looked at together, and how many times as many in one claim. */
const LOOKED_AT = 100
const PAGES = 10
/** A look that went through a whole page and found nothing that this node can run is not repeated sooner, whatever is added to the queue meanwhile. */
const LOOK_AGAIN_MS = 100
/** What is kept of a job's output, characters. */
export const OUTPUT_KEPT = 16_384
/** What a checkpoint may hold, characters. */
export const CHECKPOINT_MAX = 65_536
/** Between two tries to write down how a run ended, while the store cannot. */
const WRITE_AGAIN_MS = 200

/** What a look at the queue needs to know: the rest of a row is read when it is claimed. */
type Waiting = TickId & Pick<Tick, 'overlap' | 'attempts'> & { spec: string }

interface Active {
  tick: Tick
  spec: Spec
  stop: AbortController
  /** Why it was stopped. */
  why: 'cancelled' | 'timed out' | 'drained' | 'fenced' | undefined
  /** The last step that was given, and resolves when it is durable. */
  step: number
  durable: Promise<void>
  run: Run | undefined
  ended: Promise<void>
}

export class Pool {
  readonly #setup: PoolSetup
  readonly #active = new Map<string, Active>()
  #woken: () => void = () => {}
  #draining = false
  #bug: unknown
  /** Tokens that the store says are ours, and that were not under way here at the last beat. */
  #unknown = new Set<number>()

  constructor(setup: PoolSetup) {
    this.#setup = setup
  }

  get running(): number {
    return this.#active.size
  }

  get draining(): boolean {
    return this.#draining
  }

  wake(): void {
    this.#woken()
  }

  /** The run of that claim, when it is under way here. */
  runOf(token: number): Run | undefined {
    return [...this.#active.values()].find((active) => active.tick.token === token)?.run
  }

  /** Claims and runs until the signal aborts; then claims no more. `drain` ends what is running. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, pollMs } = this.#setup
    while (!signal.aborted) {
      if (this.#bug !== undefined) throw this.#bug
      let waitMs = pollMs
      let inVain = false
      if (!this.#draining && this.#active.size < this.#setup.slots) {
        await this.#guarded(async () => {
          const looked = await this.#claim()
          waitMs = Math.min(pollMs, looked.waitMs)
          inVain = looked.inVain
        })
      }
      if (signal.aborted) break
      const nap = new AbortController()
      this.#woken = () => nap.abort(WOKEN)
      const stop = () => nap.abort(WOKEN)
      signal.addEventListener('abort', stop, { once: true })
      if (inVain) await clock.sleep(LOOK_AGAIN_MS, signal)
      await clock.sleep(waitMs, nap.signal)
      signal.removeEventListener('abort', stop)
    }
  }

  /** Tells that this node lives, and hears what was decided about it and its runs. */
  async beat(signal: AbortSignal): Promise<void> {
    const { clock, beatMs } = this.#setup
    while (!signal.aborted) {
      await this.#guarded(() => this.#tell())
      await clock.sleep(beatMs, signal)
    }
  }

  /** Lets what runs come to its end for `ms`, then stops it and gives it back to the queue. */
  async drain(ms: number): Promise<void> {
    this.#draining = true
    const { clock } = this.#setup
    const all = [...this.#active.values()]
    const late = clock.after(ms, () => {
      for (const active of all) this.#stop(active, 'drained')
    })
    await Promise.allSettled(all.map((active) => active.ended))
    late()
  }

  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (!isStoreTrouble(error)) throw error
      this.#setup.log.emit('store.failed', { code: error.code })
    }
  }

  async #tell(): Promise<void> {
    const { store, clock, node, life } = this.#setup
    const now = clock.now()
    const told = await store.transaction('beat', async (tx) => {
      const [mine] = await tx.query<{ draining: number }>('UPDATE node SET beat = beat + 1, ended = 0, seen_at = :now WHERE name = :node AND life = :life RETURNING draining', { node, life, now })
      const runs = await tx.query<Tick>("SELECT * FROM tick WHERE state = 'running' AND node = :node AND life = :life", { node, life })
      return { mine, runs }
    })
    if (!told.mine) throw new ResilError('NODE_REPLACED', `another process runs as node ${node} now`, 'give each node its own name')
    if (told.mine.draining === 1) this.#draining = true
    for (const active of this.#active.values()) {
      const row = told.runs.find((run) => tickKey(run) === tickKey(active.tick))
      if (row?.token !== active.tick.token) this.#stop(active, 'fenced')
      else if (row.cancelling === 1) this.#stop(active, 'cancelled')
    }
    // A claim that was committed and never answered, or is being answered just now: by the next beat it is known which.
    const unknown = told.runs.filter((run) => this.#active.get(tickKey(run))?.tick.token !== run.token)
    for (const run of unknown) if (this.#unknown.has(run.token)) await this.#giveBack(run)
    this.#unknown = new Set(unknown.map(({ token }) => token))
  }

  /** Puts a tick back into the queue that this node has claimed and does not run. */
  async #giveBack(tick: Tick): Promise<void> {
    await this.#setup.store.transaction('give-back', (tx) =>
      tx.query(`UPDATE tick SET state = 'queued', attempts = attempts - 1, node = NULL, life = NULL, progress = NULL WHERE ${THIS_TICK} AND token = :token AND state = 'running'`, { ...idOf(tick), token: tick.token }),
    )
    this.wake()
  }

  /** Answers ms until the next queued tick may begin, and whether a whole page was looked at in vain. */
  async #claim(): Promise<{ waitMs: number; inVain: boolean }> {
    const { store, clock, node, life, build, slots, runner, log } = this.#setup
    const now = clock.now()
    const { claimed, skipped, nextAt, passed } = await store.transaction('claim', async (tx) => {
      const claimed: { tick: Tick; spec: Spec; checkpoint: string | null; step: number }[] = []
      const skipped: Tick[] = []
      const [me] = await tx.query<{ life: string }>('SELECT life FROM node WHERE name = :node AND ended = 0 AND draining = 0', { node })
      if (me?.life !== life) return { claimed, skipped, nextAt: null, passed: 0 }
      const busy = new Set<string>()
      // What stays in the queue, because it waits for another or this node does not know its job, must not hide what is behind it.
      let left = 0
      for (let page = 0; page < PAGES && claimed.length + this.#active.size < slots; page++) {
        // Mostly the first ones will do: a hundred rows are read only when they do not.
        const limit = page === 0 ? 2 * (slots - this.#active.size) : LOOKED_AT
        const waiting = await tx.query<Waiting>(
          `SELECT t.schedule, t.slot_at, t.kind, t.seq, t.overlap, t.attempts, d.spec FROM tick t JOIN definition d ON d.schedule = t.schedule AND d.generation = t.generation
           WHERE t.state = 'queued' AND t.run_at <= :now AND t.min_build <= :build
             AND (t.overlap IN ('allow', 'skip') OR NOT EXISTS (SELECT 1 FROM tick r WHERE r.state = 'running' AND r.schedule = t.schedule))
           ORDER BY t.run_at, t.schedule LIMIT :limit OFFSET :left`,
          { now, build, limit, left },
        )
        left += waiting.length
        for (const tick of waiting) {
          if (claimed.length + this.#active.size >= slots) break
          const spec = JSON.parse(tick.spec) as Spec
          if (tick.overlap !== 'allow') {
            if (!busy.has(tick.schedule) && tick.overlap === 'skip') {
              const running = await tx.query("SELECT 1 FROM tick WHERE state = 'running' AND schedule = :schedule LIMIT 1", { schedule: tick.schedule })
              if (running.length > 0) busy.add(tick.schedule)
            }
            if (busy.has(tick.schedule)) {
              // A second attempt is no second run: it waits.
              if (tick.overlap !== 'skip' || tick.attempts > 0 || tick.kind !== 'cron') continue
              skipped.push(await this.#skip(tx, tick, now))
              left--
              continue
            }
          }
          if (spec.job.kind !== 'http' && !runner.knows(spec.job)) continue
          const mine = await this.#take(tx, tick, now)
          left--
          busy.add(tick.schedule)
          const [last] = await tx.query<{ ord: number; data: string }>(`SELECT ord, data FROM checkpoint WHERE ${THIS_TICK} ORDER BY ord DESC LIMIT 1`, idOf(tick))
          claimed.push({ tick: mine, spec, checkpoint: last?.data ?? null, step: last?.ord ?? 0 })
        }
        if (waiting.length < limit) break
      }
      const [next] = await tx.query<{ at: number | null }>("SELECT MIN(run_at) AS at FROM tick WHERE state = 'queued' AND run_at > :now", { now })
      return { claimed, skipped, nextAt: next?.at ?? null, passed: left }
    })
    for (const tick of skipped) log.emit('tick.skipped', { ...factsOf(tick), state: tick.state, reason: tick.reason })
    for (const each of claimed) this.#begin(each.tick, each.spec, each.checkpoint, each.step)
    return { waitMs: nextAt === null ? Number.POSITIVE_INFINITY : Math.max(1, nextAt - clock.now()), inVain: claimed.length === 0 && passed >= LOOKED_AT }
  }

  async #take(tx: Tx, tick: TickId, now: number): Promise<Tick> {
    const { node, life } = this.#setup
    const [token] = await tx.query<{ last: number }>('UPDATE token SET last = last + 1 WHERE one = 1 RETURNING last')
    const [mine] = await tx.query<Tick>(
      `UPDATE tick SET state = 'running', token = :token, attempts = attempts + 1, node = :node, life = :life, started_at = :now, progress = NULL, cancelling = 0
       WHERE ${THIS_TICK} AND state = 'queued' RETURNING *`,
      { ...idOf(tick), token: token!.last, node, life, now },
    )
    return mine!
  }

  async #skip(tx: Tx, tick: TickId, now: number): Promise<Tick> {
    const [row] = await tx.query<Tick>(`UPDATE tick SET state = 'skipped_overlap', reason = 'another run was under way', ended_at = :now WHERE ${THIS_TICK} AND state = 'queued' RETURNING *`, { ...idOf(tick), now })
    return row!
  }

  #begin(tick: Tick, spec: Spec, checkpoint: string | null, step: number): void {
    const { clock, log } = this.#setup
    const key = tickKey(tick)
    const active: Active = { tick, spec, stop: new AbortController(), why: undefined, step, durable: Promise.resolve(), run: undefined, ended: Promise.resolve() }
    const lateMs = Math.max(0, clock.now() - tick.slot_at)
    this.#active.set(key, active)
    log.emit('attempt.started', { ...factsOf(tick), attempt: tick.attempts, token: tick.token, step, lateMs })
    const timeout = clock.after(spec.timeoutMs, () => this.#stop(active, 'timed out'))
    const run: Run = {
      key,
      schedule: tick.schedule,
      scheduledAt: tick.slot_at,
      lateMs,
      attempt: tick.attempts,
      token: tick.token,
      checkpoint,
      step,
      timeoutMs: spec.timeoutMs,
      signal: active.stop.signal,
      progress: (percent) => void this.progress(tick, tick.token, percent).catch(() => {}), // the next one says more
      commit: (data, nth = active.step + 1) => this.#commit(active, data, nth),
    }
    active.run = run
    active.ended = this.#carryOut(spec.job, run)
      .catch((error: unknown): Ended => {
        if (!(error instanceof Fenced)) return { ok: false, output: error instanceof Error ? error.message : String(error) }
        this.#stop(active, 'fenced')
        return { ok: false, output: error.message }
      })
      .then((ended) => {
        timeout()
        return this.#conclude(active, ended)
      })
      .catch((error: unknown) => {
        this.#bug ??= error
      })
      .finally(() => {
        this.#active.delete(key)
        this.wake()
      })
  }

  #stop(active: Active, why: NonNullable<Active['why']>): void {
    if (active.why !== undefined) return
    active.why = why
    active.stop.abort()
  }

  #carryOut(job: Job, run: Run): Promise<Ended> {
    return job.kind === 'http' ? this.#request(job, run) : this.#setup.runner.run(job, run)
  }

  async #request(job: Job & { kind: 'http' }, run: Run): Promise<Ended> {
    const headers = {
      ...job.headers,
      'idempotency-key': run.key,
      'resil-fencing-token': String(run.token),
      'resil-scheduled-at': new Date(run.scheduledAt).toISOString(),
      'resil-attempt': String(run.attempt),
      ...(run.checkpoint === null ? {} : { 'resil-checkpoint': run.checkpoint }),
    }
    const outcome: Outcome<HttpResponse> = await this.#setup.network.call(job.service, { method: job.method, path: job.path, headers, body: job.body }, { timeoutMs: run.timeoutMs, signal: run.signal })
    if (outcome.kind !== 'ok') return { ok: false, output: `${outcome.kind === 'unknown' ? 'it may have happened: ' : ''}${outcome.error.message}` }
    const { status, body } = outcome.value
    // With the same key and a newer token it may be asked again; what the service will never take is not asked twice.
    return { ok: status >= 200 && status < 300, output: `${status} ${body}`, final: status >= 400 && status < 500 && status !== 408 && status !== 409 && status !== 425 && status !== 429 }
  }

  #commit(active: Active, data: string, step: number): Promise<void> {
    if (step <= active.step) return active.durable
    if (step > active.step + 1) return Promise.reject(new ResilError('STEP_OUT_OF_ORDER', `step ${step} came behind step ${active.step}`, 'commit steps in order, from 1'))
    active.step = step
    active.durable = active.durable.then(() => this.checkpoint(active.tick, active.tick.token, step, data))
    return active.durable
  }

  /** Commits a step of a run. Throws Fenced when another has claimed the tick since. */
  async checkpoint(tick: TickId, token: number, ord: number, data: string): Promise<void> {
    if (data.length > CHECKPOINT_MAX) throw new ResilError('CHECKPOINT_TOO_LONG', `a checkpoint of ${data.length} characters`, `keep what is large elsewhere; at most ${CHECKPOINT_MAX}`)
    const { store, clock, log } = this.#setup
    const now = clock.now()
    const stands = await this.#surely('checkpoint', () =>
      store.transaction('checkpoint', async (tx) => {
        if (!(await this.#isMine(tx, tick, token))) return false
        await tx.query(`INSERT INTO checkpoint (schedule, slot_at, kind, seq, ord, token, data, at) VALUES (:schedule, :slot, :kind, :seq, :ord, :token, :data, :now) ON CONFLICT DO NOTHING`, { ...idOf(tick), ord, token, data, now })
        return true
      }),
    )
    if (!stands) {
      log.emit('attempt.fenced', { ...factsOf(tick), token, what: 'checkpoint' })
      throw new Fenced(`token ${token} is over`)
    }
    log.emit('attempt.checkpointed', { ...factsOf(tick), token, step: ord })
  }

  /** Notes how far a run is, per cent; nothing when it is another's by now. */
  async progress(tick: TickId, token: number, percent: number): Promise<void> {
    const to = Math.max(0, Math.min(100, Math.round(percent)))
    await this.#setup.store.transaction('progress', (tx) => tx.query(`UPDATE tick SET progress = :to WHERE ${THIS_TICK} AND token = :token AND state = 'running'`, { ...idOf(tick), to, token }))
    this.#setup.log.emit('attempt.progressed', { ...factsOf(tick), token, percent: to })
  }

  async #isMine(tx: Tx, tick: TickId, token: number): Promise<boolean> {
    return (await tx.query(`SELECT 1 FROM tick WHERE ${THIS_TICK} AND token = :token AND state = 'running'`, { ...idOf(tick), token })).length === 1
  }

  /** How a run ended, in the ledger. */
  async #conclude({ tick, spec, why }: Active, ended: Ended): Promise<void> {
    const { store, clock, random, log } = this.#setup
    if (why === 'fenced') return void log.emit('attempt.fenced', { ...factsOf(tick), token: tick.token, what: 'the run' })
    const now = clock.now()
    const { state, reason } = verdict(tick, spec, why, ended)
    const again = state === 'queued'
    const output = visible(ended.output.slice(-OUTPUT_KEPT))
    const runAt = why === 'drained' ? now : now + Math.round(backoff(tick.attempts, { baseMs: spec.retryBaseMs, capMs: spec.retryCapMs }, random))
    const stands = await this.#surely('complete', () =>
      store.transaction('complete', async (tx) => {
        const rows = await tx.query(
          `UPDATE tick SET state = :state, reason = :reason, ended_at = :ended, output = :output, run_at = :runAt, progress = NULL, node = CASE WHEN :again = 1 THEN NULL ELSE node END,
             attempts = attempts - :back
           WHERE ${THIS_TICK} AND token = :token AND state = 'running' RETURNING seq`,
          { ...idOf(tick), state, reason, ended: again ? null : now, output, runAt: again ? runAt : tick.run_at, again: again ? 1 : 0, back: why === 'drained' ? 1 : 0, token: tick.token },
        )
        if (rows.length === 1) return true
        // An earlier try whose commit was in doubt may have gone well.
        return (await tx.query(`SELECT 1 FROM tick WHERE ${THIS_TICK} AND token = :token AND state = :state`, { ...idOf(tick), token: tick.token, state })).length === 1
      }),
    )
    if (!stands) return void log.emit('attempt.fenced', { ...factsOf(tick), token: tick.token, what: 'its end' })
    log.emit('attempt.ended', { ...factsOf(tick), attempt: tick.attempts, token: tick.token, state, reason, ...(again ? { againAt: runAt } : {}) })
  }

  /** Tries until the store says yes or no: while it is busy or full, or in doubt, nobody else can have claimed the tick without its saying so. */
  async #surely<T>(what: string, work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work()
      } catch (error) {
        if (!isStoreTrouble(error)) throw error
        this.#setup.log.emit('store.failed', { code: error.code, what })
        await this.#setup.clock.sleep(WRITE_AGAIN_MS)
      }
    }
  }
}

function verdict(tick: Tick, spec: Spec, why: Active['why'], ended: Ended): { state: TickState; reason: string } {
  if (ended.ok) return { state: 'succeeded', reason: tick.reason }
  if (why === 'drained') return { state: 'queued', reason: 'its node drained' }
  if (why === 'cancelled') return { state: 'cancelled', reason: 'a newer one took its place' }
  const said = visible(ended.output.slice(-200).split('\n').findLast((line) => line.trim() !== '') ?? '')
  const reason = why === 'timed out' ? `it took longer than ${spec.timeoutMs} ms` : said
  if (ended.final || tick.attempts >= spec.attempts) return { state: why === 'timed out' ? 'dead' : 'failed', reason }
  return { state: 'queued', reason }
}
