/**
 * The scheduler: each slot of each schedule is recorded once and takes effect once, through crashes, pauses, clocks and deploys.
 *
 *   schedule ── due ──▶ tick (the leader, one transaction: epoch, unique row, cursor) ──▶ claimed by a worker of any node ──▶ its end
 *
 * Safety does not rest on the election: the row of a slot is unique, so every node could fire (`mode: 'none'`), and what a leader writes carries its
 * epoch, what a worker writes its token. Each slot ends in one state of the ledger, with a reason; none is lost in silence.
 */
import type { HttpRequest, HttpResponse } from '../../network.ts'
import { json, parseJson, problem } from '../../network.ts'
import { ResilError } from '../../errors.ts'
import type { Engine, Outside } from '../engine.ts'
import { isStoreTrouble, outsideTransactions } from '../store/store.ts'
import type { Host } from './elector.ts'
import { Elector, Fenced } from './elector.ts'
import type { NodeRow } from './ledger.ts'
import { migrations } from './migrations.ts'
import { Ticker } from './ticker.ts'
import type { Runner } from './worker.ts'
import { CHECKPOINT_MAX, Pool } from './worker.ts'

export interface CronOutside extends Outside {
  runner: Runner
  /** Absent where processes cannot be told apart: then only time shows that one is dead. */
  host?: Host
}

export interface CronSettings {
  /** `none`: every node fires; the unique rows keep it to once. */
  mode: 'leader' | 'none'
  /** Of the lease. Below 500 ms a busy machine loses it for nothing. */
  ttlMs: number
  /** How often a follower looks at the lease. */
  watchMs: number
  /** Longest sleep of the ticker, and of the workers, between two looks. */
  pollMs: number
  beatMs: number
  /** A node silent for so long is dead: others take its runs. */
  workerLeaseMs: number
  /** Runs at once on this node. */
  slots: number
  /** Attempts of one tick that may end with their worker before it is dead. */
  deathsMax: number
  /** How long a node that ends lets its runs go on. */
  drainMs: number
  /** Of the program that runs the jobs; a definition may ask for a newer one. */
  build: number
  clockJump: 'hold' | 'follow'
  /** Ended ticks are kept for so long, and the newest of each schedule longer than that. */
  keepMs: number
  keepTicks: number
}

export const DEFAULTS: CronSettings = {
  mode: 'leader',
  ttlMs: 3000,
  watchMs: 50,
  pollMs: 1000,
  beatMs: 1000,
  workerLeaseMs: 30_000,
  slots: 4,
  deathsMax: 3,
  drainMs: 30_000,
  build: 1,
  clockJump: 'hold',
  keepMs: 30 * 86_400_000,
  keepTicks: 1000,
}

export class CronEngine implements Engine {
  readonly #outside: CronOutside
  readonly #settings: CronSettings
  readonly #life: string
  readonly #elector: Elector | undefined
  readonly #ticker: Ticker
  readonly #pool: Pool
  #joined: () => void = () => {}
  /** Resolves once this node is in the store; never when `start` fails before. */
  readonly joined: Promise<void> = new Promise((resolve) => {
    this.#joined = resolve
  })

  constructor(outside: CronOutside, settings: Partial<CronSettings> = {}) {
    const all = { ...DEFAULTS, ...settings }
    const { clock, store, log, node, host, runner } = outside
    const random = outside.random.fork(`cron/${node}/${outside.incarnation}`)
    this.#outside = outside
    this.#settings = all
    // Not from the counter alone: two processes that were given one name by mistake have the same.
    this.#life = random.id('life')
    const common = { clock, store, log, node, life: this.#life, build: all.build }
    this.#elector = all.mode === 'none' ? undefined : new Elector({ ...common, random: random.fork('elector'), ttlMs: all.ttlMs, watchMs: all.watchMs, host, onElected: () => this.#ticker.wake() })
    this.#pool = new Pool({ ...common, random: random.fork('pool'), network: outsideTransactions(outside.network, store), runner, slots: all.slots, pollMs: all.pollMs, beatMs: all.beatMs })
    this.#ticker = new Ticker({ clock, store, log, host, elector: this.#elector, pollMs: all.pollMs, workerLeaseMs: all.workerLeaseMs, deathsMax: all.deathsMax, clockJump: all.clockJump, keepMs: all.keepMs, keepTicks: all.keepTicks, wake: () => this.#pool.wake() })
  }

  /** The epoch in which this node leads now. */
  get epoch(): number | undefined {
    return this.#elector?.epoch
  }

  /** Runs until the signal aborts, then drains. Throws NODE_NAME_TAKEN, NODE_REPLACED, EPOCH_REGRESSED. */
  async start(signal: AbortSignal): Promise<void> {
    const { beatMs, drainMs } = this.#settings
    await this.#register(signal)
    if (signal.aborted) return
    const stop = new AbortController()
    // The heart beats while the runs come to their end: a node that drains is not dead.
    const beating = new AbortController()
    const ended = () => stop.abort()
    signal.addEventListener('abort', ended, { once: true })
    if (signal.aborted) stop.abort()
    let failure: unknown
    const loop = (work: Promise<void>) =>
      work.catch((error: unknown) => {
        failure ??= error
        stop.abort()
      })
    const heart = loop(this.#pool.beat(beating.signal).then(() => undefined))
    const drained = loop(this.#untilDraining(stop))
    await Promise.all([drained, ...(this.#elector ? [loop(this.#elector.run(stop.signal))] : []), loop(this.#ticker.run(stop.signal)), loop(this.#ticker.reap(stop.signal, beatMs)), loop(this.#pool.run(stop.signal))])
    signal.removeEventListener('abort', ended)
    await this.#pool.drain(failure === undefined ? drainMs : 0)
    beating.abort()
    await heart
    if (failure !== undefined) throw failure
    await this.#outside.store
      .transaction('leave', (tx) => tx.query('UPDATE node SET ended = 1, draining = 0 WHERE name = :node AND life = :life', { node: this.#outside.node, life: this.#life }))
      .catch((error: unknown) => {
        if (!isStoreTrouble(error)) throw error // else the others find out
      })
    this.#outside.log.emit('node.left', {})
  }

  handle = async (request: HttpRequest): Promise<HttpResponse> => {
    const { pathname } = new URL(request.path, 'http://engine')
    if (pathname === '/healthz' && request.method === 'GET') return json(200, { ok: true, leader: this.epoch !== undefined, epoch: this.epoch ?? null, running: this.#pool.running, draining: this.#pool.draining })
    const [, token, what] = /^\/v1\/runs\/(\d{1,15})\/(checkpoint|progress)$/.exec(pathname) ?? []
    if (token === undefined) return problem(404, 'not-found', 'There is nothing here', { detail: 'POST /v1/runs/{token}/checkpoint, POST /v1/runs/{token}/progress, GET /healthz' })
    if (request.method !== 'POST') return problem(405, 'method-not-allowed', 'The method is not allowed here')
    const run = this.#pool.runOf(Number(token))
    const over = () => problem(409, 'fenced', 'The run with this token is over: another may have it', { token: Number(token) })
    if (!run) return over()
    if (what === 'progress') {
      const percent = (parseJson(request.body) as { percent?: unknown } | null | undefined)?.percent
      if (typeof percent !== 'number' || !(percent >= 0 && percent <= 100)) return problem(400, 'bad-progress', 'Say {"percent": 0 to 100}')
      run.progress(percent)
      return json(202, {})
    }
    if (request.body.length > CHECKPOINT_MAX) return problem(413, 'checkpoint-too-long', `A checkpoint has at most ${CHECKPOINT_MAX} characters`)
    const given = request.headers['resil-step']
    if (given !== undefined && !/^[1-9]\d{0,8}$/.test(given)) return problem(400, 'bad-step', 'Resil-Step is the number of the step, from 1')
    try {
      await run.commit(request.body, given === undefined ? undefined : Number(given))
      return json(200, {})
    } catch (error) {
      if (error instanceof Fenced) return over()
      if (error instanceof ResilError && error.code === 'STEP_OUT_OF_ORDER') return problem(409, 'step-out-of-order', error.message)
      throw error
    }
  }

  /** A drain that an operator asked for ends the node like a signal. */
  async #untilDraining(stop: AbortController): Promise<void> {
    while (!stop.signal.aborted && !this.#pool.draining) await this.#outside.clock.sleep(this.#settings.beatMs, stop.signal)
    stop.abort()
  }

  /** Waits for a store that cannot yet, for as long as it takes. */
  async #register(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#outside
    const { build, slots, beatMs } = this.#settings
    while (!signal.aborted) {
      try {
        await this.#enter()
        log.emit('node.joined', { build, slots })
        return this.#joined()
      } catch (error) {
        if (!isStoreTrouble(error)) throw error
        log.emit('store.failed', { code: error.code, what: 'register' })
        await clock.sleep(beatMs, signal)
      }
    }
  }

  async #enter(): Promise<void> {
    const { store, clock, node, host } = this.#outside
    const { build, slots } = this.#settings
    await store.migrate(migrations)
    const now = clock.now()
    await store.transaction('register', async (tx) => {
      const [other] = await tx.query<NodeRow>('SELECT * FROM node WHERE name = :node AND ended = 0', { node })
      const process = other?.pid != null && other.host === host?.self.host ? { pid: other.pid, born: other.born ?? '', host: other.host } : undefined
      if (process && host && (process.pid !== host.self.pid || process.born !== host.self.born) && host.alive(process)) {
        throw new ResilError('NODE_NAME_TAKEN', `process ${process.pid} runs as node ${node} already`, 'give each node its own name with --node')
      }
      await tx.query(
        `INSERT INTO node (name, life, beat, pid, born, host, build, slots, draining, ended, started_at, seen_at) VALUES (:node, :life, 0, :pid, :born, :host, :build, :slots, 0, 0, :now, :now)
         ON CONFLICT (name) DO UPDATE SET life = :life, beat = 0, pid = :pid, born = :born, host = :host, build = :build, slots = :slots, draining = 0, ended = 0, started_at = :now, seen_at = :now`,
        { node, life: this.#life, pid: host?.self.pid ?? null, born: host?.self.born ?? null, host: host?.self.host ?? null, build, slots, now },
      )
    })
  }
}
