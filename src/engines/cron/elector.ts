/**
 * Who leads: a row in the store with an epoch that only grows.
 *
 *   follow ── free, given back, or silent for a whole TTL ──▶ take: epoch + 1 ──▶ lead ── renew every TTL/3 ──▶ ...
 *      ▲                                                                           │
 *      └───────────── superseded, trust ran out, clock jumped, resigned ───────────┘
 *
 * Nobody's clock is compared with anybody else's. A follower counts how long the row has not changed, on its own monotonic clock; the leader trusts
 * itself for TRUST of the TTL, on its own, from before it asked. So neither skew nor a clock that runs up to a third too fast or too slow makes two
 * leaders act at once; and one that was stopped or was too slow finds its trust gone when it wakes up. Whatever a leader writes is written in one
 * transaction with a look at the epoch (`fence`): safety rests on that, not on time.
 *
 * On one host a probe tells that the holder's process is gone, long before its lease has run out; its epoch fences it all the same.
 */
import type { Clock } from '../../clock.ts'
import { within } from '../../clock.ts'
import { ResilError } from '../../errors.ts'
import type { Log } from '../../events.ts'
import type { Random } from '../../random.ts'
import type { Store, Tx } from '../store/store.ts'
import { isStoreTrouble } from '../store/store.ts'

/** A process, as others on its host can recognise it. */
export interface Process {
  pid: number
  /** When it began, in the host's own words: a pid is used again. */
  born: string
  /** The host, this boot of it, and the space its pids belong to. */
  host: string
}

export interface Host {
  readonly self: Process
  /** False only when it is certain that the process has ended. */
  alive(process: Process): boolean
}

export interface ElectorSetup {
  clock: Clock
  random: Random
  store: Store
  log: Log
  node: string
  /** Tells this life of the node from all others. */
  life: string
  build: number
  ttlMs: number
  /** How often a follower looks at the row. */
  watchMs: number
  host: Host | undefined
  /** There is something to do at once. */
  onElected(): void
}

/** Part of the TTL for which a leader trusts itself: one third of difference between two clocks' rates is allowed for. */
const TRUST = 0.75
/** Wall and monotonic time part by more than this part of the TTL: the machine slept, or its clock was set. */
const DIVERGENCE = 0.25

/** Thrown inside a transaction of a leader that leads no more: it is rolled back. */
export class Fenced extends Error {
  override name = 'Fenced'
}

interface LeaseRow {
  epoch: number
  holder: string
  beat: number
  ttl_ms: number
  pid: number | null
  born: string | null
  host: string | null
  build: number
}

const LEASE = 'cron'

export class Elector {
  readonly #setup: ElectorSetup
  readonly #me: string
  #epoch: number | undefined
  #trustedUntil = Number.NEGATIVE_INFINITY
  /** The row as it was when it last changed, and when that was seen. */
  #seen: { epoch: number; beat: number; at: number } | undefined
  #highest = 0
  /** The last renewal got no answer: the next try comes soon. */
  #unanswered = false
  #wall: number
  #mono: number

  constructor(setup: ElectorSetup) {
    this.#setup = setup
    this.#me = `${setup.node} ${setup.life}`
    this.#wall = setup.clock.now()
    this.#mono = setup.clock.monotonic()
  }

  /** The epoch in which this node may act now. */
  get epoch(): number | undefined {
    return this.#epoch !== undefined && this.#setup.clock.monotonic() < this.#trustedUntil ? this.#epoch : undefined
  }

  /** ms for which it may still act. */
  get trustedMs(): number {
    return this.#epoch === undefined ? 0 : Math.max(0, this.#trustedUntil - this.#setup.clock.monotonic())
  }

  /** To be the first thing in every transaction of a leader: throws Fenced when it leads no more. */
  async fence(tx: Tx, epoch: number): Promise<void> {
    // Whoever slept, or had its clock set, looks around before it writes anything.
    if (this.#epoch !== undefined && this.#diverged()) this.#lose('the clock jumped')
    if (this.epoch !== epoch) throw new Fenced('its trust has run out')
    const [row] = await tx.query<LeaseRow>('SELECT * FROM lease WHERE name = :name', { name: LEASE })
    if (row?.epoch !== epoch || row.holder !== this.#me) {
      this.#lose('superseded')
      throw new Fenced(`epoch ${epoch} is over`)
    }
  }

  /** Follows and leads until the signal aborts, then gives the lease back. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) await (this.#epoch === undefined ? this.#follow(signal) : this.#lead(signal))
    await this.resign()
  }

  /** Gives the lease back, so that nobody has to wait for its end. */
  async resign(): Promise<void> {
    const epoch = this.#epoch
    if (epoch === undefined) return
    this.#lose('resigned')
    await this.#setup.store
      .transaction('lease:resign', (tx) => tx.query("UPDATE lease SET holder = '', pid = NULL WHERE name = :name AND epoch = :epoch AND holder = :me", { name: LEASE, epoch, me: this.#me }))
      .catch(() => {}) // then it runs out
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { clock, random, store, ttlMs, watchMs } = this.#setup
    this.#diverged()
    try {
      const [row] = await store.transaction('lease:look', (tx) => tx.query<LeaseRow>('SELECT * FROM lease WHERE name = :name', { name: LEASE }))
      const why = this.#free(row)
      if (why !== undefined && !signal.aborted) await this.#take(row, why)
    } catch (error) {
      if (!isStoreTrouble(error)) throw error
    }
    if (this.#epoch !== undefined || signal.aborted) return
    const left = this.#seen ? this.#seen.at + ttlMs - clock.monotonic() : watchMs
    // Two that wait for the same end shall not both come in the same millisecond.
    await clock.sleep(Math.max(1, Math.min(watchMs, left)) + random.next() * Math.min(watchMs, ttlMs / 50), signal)
  }

  /** Why the lease may be taken; undefined when somebody has it. */
  #free(row: LeaseRow | undefined): string | undefined {
    const { clock, host, ttlMs, build } = this.#setup
    if (!row) return this.#highest === 0 ? 'nobody has led' : this.#regressed(0)
    if (row.epoch < this.#highest) return this.#regressed(row.epoch)
    this.#highest = row.epoch
    if (row.build > build) return undefined // a newer build has led: what it wrote is not for us to read
    if (row.holder === '' || row.holder === this.#me) return row.holder === '' ? 'it was given back' : 'it is ours'
    if (row.epoch !== this.#seen?.epoch || row.beat !== this.#seen.beat) this.#seen = { epoch: row.epoch, beat: row.beat, at: clock.monotonic() }
    if (host && row.pid !== null && row.host === host.self.host && !host.alive({ pid: row.pid, born: row.born ?? '', host: row.host })) return 'its process has ended'
    return clock.monotonic() - this.#seen.at >= Math.max(row.ttl_ms, ttlMs) ? 'it was silent' : undefined
  }

  #regressed(epoch: number): never {
    throw new ResilError('EPOCH_REGRESSED', `the store says epoch ${epoch}, this node has seen ${this.#highest}: the database is older than it was`, 'stop all nodes and restore the newest copy, or start them anew to accept this one')
  }

  async #take(row: LeaseRow | undefined, why: string): Promise<void> {
    const { clock, store, log, ttlMs, build, host } = this.#setup
    const asked = clock.monotonic()
    const epoch = row?.holder === this.#me ? row.epoch : (row?.epoch ?? 0) + 1
    const params = { name: LEASE, epoch, me: this.#me, ttl: ttlMs, pid: host?.self.pid ?? null, born: host?.self.born ?? null, host: host?.self.host ?? null, build, now: clock.now() }
    const [mine] = await store.transaction('lease:take', (tx) =>
      row
        ? tx.query<LeaseRow>(
            `UPDATE lease SET epoch = :epoch, holder = :me, beat = beat + 1, ttl_ms = :ttl, pid = :pid, born = :born, host = :host, build = :build, acquired_at = :now
             WHERE name = :name AND epoch = :seenEpoch AND beat = :seenBeat AND holder = :seenHolder RETURNING *`,
            { ...params, seenEpoch: row.epoch, seenBeat: row.beat, seenHolder: row.holder },
          )
        : tx.query<LeaseRow>(
            `INSERT INTO lease (name, epoch, holder, beat, ttl_ms, pid, born, host, build, acquired_at)
             VALUES (:name, :epoch, :me, 1, :ttl, :pid, :born, :host, :build, :now) ON CONFLICT DO NOTHING RETURNING *`,
            params,
          ),
    )
    if (!mine) return
    this.#epoch = epoch
    this.#highest = epoch
    this.#trustedUntil = asked + TRUST * ttlMs
    log.emit('leader.elected', { epoch, why, ttlMs })
    this.#setup.onElected()
  }

  async #lead(signal: AbortSignal): Promise<void> {
    const { clock, random, store, log, ttlMs } = this.#setup
    const renewMs = this.#unanswered ? ttlMs / 20 : (ttlMs / 3) * (0.9 + 0.2 * random.next())
    await clock.sleep(Math.min(renewMs, Math.max(1, this.trustedMs)), signal)
    if (signal.aborted || this.#epoch === undefined) return
    if (this.#diverged()) return this.#lose('the clock jumped')
    const asked = clock.monotonic()
    const epoch = this.#epoch
    const left = this.trustedMs
    if (left <= 0) return this.#lose('trust ran out')
    const renewed = await within(
      clock,
      left,
      store
        .transaction('lease:renew', (tx) => tx.query<LeaseRow>('UPDATE lease SET beat = beat + 1 WHERE name = :name AND epoch = :epoch AND holder = :me RETURNING *', { name: LEASE, epoch, me: this.#me }))
        .catch((error: unknown) => {
          if (isStoreTrouble(error)) return undefined // busy, full, in doubt: as long as trust lasts it is tried again
          throw error
        }),
    )
    this.#unanswered = renewed === undefined
    if (renewed?.length === 0) this.#lose('superseded')
    else if (renewed && this.#epoch === epoch) {
      this.#trustedUntil = asked + TRUST * ttlMs
      log.emit('leader.renewed', { epoch, trustedMs: Math.round(this.trustedMs) })
    }
  }

  #lose(why: string): void {
    if (this.#epoch === undefined) return
    this.#setup.log.emit(why === 'resigned' ? 'leader.resigned' : 'leader.lost', { epoch: this.#epoch, why })
    this.#epoch = undefined
    this.#unanswered = false
    this.#trustedUntil = Number.NEGATIVE_INFINITY
    this.#seen = undefined
  }

  /** Whether wall and monotonic time have parted since it was last asked. */
  #diverged(): boolean {
    const { clock, ttlMs } = this.#setup
    const [wall, mono] = [clock.now(), clock.monotonic()]
    const parted = Math.abs(wall - this.#wall - (mono - this.#mono)) > ttlMs * DIVERGENCE
    this.#wall = wall
    this.#mono = mono
    return parted
  }
}
