/** What time does to deliveries: too old ones are dead, ended ones are forgotten, replays go on. In small steps, so that the store stays free for the others. */
import type { Clock } from '../../clock.ts'
import type { Log } from '../../events.ts'
import type { Store, Tx } from '../store/store.ts'
import { promote } from './chains.ts'
import type { Events } from './events.ts'
import { unlessTrouble } from './ownership.ts'
import type { Replays } from './replay.ts'
import type { WebhookSettings } from './settings.ts'

export interface KeeperSetup {
  clock: Clock
  store: Store
  log: Log
  settings: WebhookSettings
  events: Events
  replays: Replays
  /** Whether this node is the one to do it. */
  isOn(): boolean
}

/** Rows of an aging step. */
const STEP = 500
/** Rows that one step forgets: it holds the store for some two ms, and messages wait behind it. */
const FORGET_STEP = 100
/** Steps of one round: at a round each second, over ten times what a million an hour leaves behind. */
const STEPS = 40
/** Numbers that one step looks through. */
const LOOKED_AT = 4000
/** Between two rounds over what is too old to be sent; and the longest between two over what has ended, however young the oldest was: clocks are set. */
const AGE_EVERY_MS = 60_000
/** Events that are named when deliveries die. */
const NAMED = 10

export class Keeper {
  readonly #setup: KeeperSetup
  /** Where the round over deliveries stands. */
  #cursor = 0
  /** Where the round over events stands. */
  #eventCursor = 0
  #agedAt = Number.NEGATIVE_INFINITY
  /** When something that this round over deliveries and events has seen will be old enough, ms since 1970. */
  #soonest = Number.POSITIVE_INFINITY
  /** Until then there is nothing to forget, monotonic ms. */
  #restsUntil = Number.NEGATIVE_INFINITY

  constructor(setup: KeeperSetup) {
    this.#setup = setup
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, settings, log, replays, isOn } = this.#setup
    while (!signal.aborted) {
      let ms = settings.keeperMs
      if (isOn()) {
        try {
          ms = Math.min(ms, (await replays.step()) ?? ms)
          if (!settings.replaysOnly) await this.#round()
        } catch (error) {
          unlessTrouble(error)
          log.emit('store.failed', { code: (error as { code: string }).code, what: 'keep' })
        }
      }
      await clock.sleep(Math.max(1, ms), signal)
    }
  }

  async #round(): Promise<void> {
    const { clock, settings } = this.#setup
    if (clock.monotonic() - this.#agedAt >= AGE_EVERY_MS) {
      this.#agedAt = clock.monotonic()
      await this.#age()
    }
    if (clock.monotonic() < this.#restsUntil) return
    for (let step = 0; step < STEPS; step++) if (!(await this.#forget())) break
    if (this.#cursor > 0 || this.#eventCursor > 0) return
    // What had not ended, or not come, when it was looked for is kept for its time from now on.
    this.#restsUntil = clock.monotonic() + Math.min(AGE_EVERY_MS, settings.keepMs, settings.keepDeadMs, this.#soonest - clock.now())
    this.#soonest = Number.POSITIVE_INFINITY
  }

  /** Waiting for longer than a delivery may: dead, unless its endpoint is paused or disabled: then it is held. */
  async #age(): Promise<void> {
    const { store, clock, settings, events, log } = this.#setup
    const now = clock.now()
    const lanes = await store.transaction('age:lanes', (tx) =>
      tx.query<{ lane: number; id: string; tenant: string }>("SELECT l.lane, e.id, e.tenant FROM lane l JOIN endpoint e ON e.lane = l.lane WHERE e.state = 'enabled' AND l.seq > l.delivered + l.dead + l.cancelled"),
    )
    for (const { lane, id, tenant } of lanes) {
      for (let more = true; more; ) {
        more = await store.transaction('age', async (tx) => {
          let dead: { id: number; event: number; chain: string | null; job: string | null }[] = []
          // First attempts stand in the order of their age; of retries and replays the earliest due are the oldest.
          for (const kind of [0, 1, 2]) {
            if (dead.length > 0) break
            dead = await tx.query(
              `UPDATE delivery SET state = 'dead', reason = 'age', ended_at = :now
               WHERE id IN (SELECT id FROM delivery WHERE lane = :lane AND class = :kind AND state = 'pending' ORDER BY due, id LIMIT ${STEP}) AND created_at < :before
               RETURNING id, event, chain, job`,
              { lane, kind, now, before: now - settings.maxAgeMs },
            )
          }
          if (dead.length === 0) return false
          await tx.query('UPDATE lane SET dead = dead + :n WHERE lane = :lane', { lane, n: dead.length })
          for (const job of new Set(dead.map((row) => row.job))) if (job !== null) await tx.query('UPDATE replay SET failed = failed + :n WHERE id = :job', { job, n: dead.filter((row) => row.job === job).length })
          for (const chain of new Set(dead.map((row) => row.chain))) if (chain !== null) await promote(tx, lane, chain)
          const named = await tx.query<{ id: string }>('SELECT id FROM event WHERE seq IN (SELECT value FROM json_each(:events)) LIMIT :named', { events: JSON.stringify(dead.slice(0, NAMED).map((row) => row.event)), named: NAMED })
          await events.enqueue(tx, { type: 'resil.delivery.exhausted', tenant, data: { endpoint: id, deliveries: dead.length, reason: 'age', events: named.map((row) => row.id) } })
          log.emit('deliveries.aged', { endpoint: id, deliveries: dead.length })
          return true
        })
      }
    }
  }

  /** One step over what has ended long ago; answers whether there may be more. */
  async #forget(): Promise<boolean> {
    const { store, clock, settings } = this.#setup
    const now = clock.now()
    return store.transaction('forget', async (tx) => {
      const [{ first, last }] = (await tx.query<{ first: number | null; last: number | null }>('SELECT (SELECT MIN(id) FROM delivery) AS first, (SELECT MAX(id) FROM delivery) AS last')) as [{ first: number | null; last: number | null }]
      const from = Math.max(this.#cursor, (first ?? 1) - 1)
      const upTo = from + LOOKED_AT
      const ended = await tx.query<{ id: number; state: string; ended_at: number }>(`SELECT id, state, ended_at FROM delivery WHERE id > :from AND id <= :upTo AND ended_at IS NOT NULL ORDER BY id LIMIT ${FORGET_STEP}`, { from, upTo })
      const gone: number[] = []
      let young = false
      for (const { id, state, ended_at } of ended) {
        const at = ended_at + (state === 'dead' ? settings.keepDeadMs : settings.keepMs)
        if (at <= now) gone.push(id)
        else this.#soonest = Math.min(this.#soonest, at)
        // They came in this order: behind one that ended a short while ago there is hardly one that ended long ago.
        young = state !== 'dead' && at > now
        if (young) break
        this.#cursor = id
      }
      if (gone.length > 0) {
        const ids = JSON.stringify(gone)
        await tx.query('DELETE FROM attempt WHERE delivery IN (SELECT value FROM json_each(:ids))', { ids })
        await tx.query('DELETE FROM delivery WHERE id IN (SELECT value FROM json_each(:ids))', { ids })
      }
      const moreEvents = await this.#forgetEvents(tx, now - settings.keepMs)
      await tx.query('DELETE FROM nudge WHERE id <= (SELECT MAX(id) FROM nudge) - 10000')
      if (!young && ended.length < FORGET_STEP) this.#cursor = upTo
      if (young || this.#cursor >= (last ?? 0)) this.#cursor = 0
      return this.#cursor > 0 || moreEvents
    })
  }

  /** Events that nobody's delivery needs any more; answers whether there may be more. */
  async #forgetEvents(tx: Tx, before: number): Promise<boolean> {
    const looked = await tx.query<{ seq: number; created_at: number; needed: number }>(
      'SELECT e.seq, e.created_at, EXISTS (SELECT 1 FROM delivery d WHERE d.event = e.seq) AS needed FROM event e WHERE e.seq > :cursor ORDER BY e.seq LIMIT :most',
      { cursor: this.#eventCursor, most: FORGET_STEP },
    )
    const gone: number[] = []
    let young = false
    for (const { seq, created_at, needed } of looked) {
      young = created_at > before
      if (young) this.#soonest = Math.min(this.#soonest, created_at + this.#setup.settings.keepMs)
      if (young) break
      this.#eventCursor = seq
      if (needed === 0) gone.push(seq)
    }
    if (gone.length > 0) await tx.query('DELETE FROM event WHERE seq IN (SELECT value FROM json_each(:seqs))', { seqs: JSON.stringify(gone) })
    if (young || looked.length < FORGET_STEP) this.#eventCursor = 0
    return this.#eventCursor > 0
  }
}
