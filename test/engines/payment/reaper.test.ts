/** What is kept for ever and what is not: sixty days of payments in virtual time, with short lifetimes. */
import { expect, it } from 'vitest'
import { VirtualClock } from '../../../src/clock.ts'
import { ResilError } from '../../../src/errors.ts'
import { EventLog } from '../../../src/events.ts'
import type { HttpRequest, Network } from '../../../src/network.ts'
import { parseJson } from '../../../src/network.ts'
import { Random } from '../../../src/random.ts'
import type { PaymentEngine } from '../../../src/engines/payment/engine.ts'
import { createEngine } from '../../../src/engines/payment/engine.ts'
import { openSqlite } from '../../../src/engines/store/sqlite.ts'
import type { Store } from '../../../src/engines/store/store.ts'
import { bank } from '../../../src/proxy/mocks/bank.ts'
import { fraud } from '../../../src/proxy/mocks/fraud.ts'
import { notification } from '../../../src/proxy/mocks/notification.ts'
import { signature, WEBHOOK_SECRET } from '../../../src/proxy/bank/webhooks.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const DAYS = 60
/** Keys are forgotten after this many days. */
const KEPT_DAYS = 4
const PER_DAY = 40

/** A card with which the bank never says what became of it, for as long as the test takes. */
const DARK_CARD = 'tok_dark'

const SETTINGS = {
  parallel: true, answerLifetimeMs: 6 * HOUR_MS, bankKeyLifetimeMs: 2 * DAY_MS, keyLifetimeMs: KEPT_DAYS * DAY_MS, bankEventSecret: WEBHOOK_SECRET,
  sweepMs: HOUR_MS, reapMs: HOUR_MS, lookupBackoff: { baseMs: HOUR_MS, capMs: DAY_MS },
}

interface World {
  clock: VirtualClock
  store: Store
  engine: PaymentEngine
  ask(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<{ status: number; body: any }>
  /** What transactions changed, by their names: the most rows of each. */
  most: Map<string, number>
}

/** An engine on a store in memory, among mocks that answer at once; `life` is driven in virtual time. */
async function among(settings: Record<string, unknown>, life: (world: World) => Promise<void>): Promise<void> {
  const clock = new VirtualClock()
  const random = Random.seeded(1)
  const silent = new EventLog('reaper', clock).from('mock')
  const latency = { p50: 0, p99: 0 }
  const mocks = { bank: bank({ clock, random: random.fork('bank'), log: silent, latency }), fraud: fraud({ clock, random: random.fork('fraud'), log: silent, latency }), notification: notification({ clock, random: random.fork('notification'), log: silent, latency }) }
  const dark = new Set<string>()
  const isDark = ({ path, body }: HttpRequest) => {
    const asked = parseJson(body) as { card?: string; reference?: string } | null | undefined
    if (asked?.card === DARK_CARD) dark.add(asked.reference!)
    return [...dark].some((reference) => path.includes(reference) || asked?.reference === reference)
  }
  const network: Network = {
    call: async (service, request) => (isDark(request) ? { kind: 'unknown', error: new ResilError('RESET', 'in the dark') } : { kind: 'ok', value: await mocks[service as keyof typeof mocks].handle(request) }),
  }
  const inner = await clock.run(openSqlite(':memory:', { clock, random }))
  const most = new Map<string, number>()
  const store: Store = {
    get insideTransaction() {
      return inner.insideTransaction
    },
    transaction: (name, work) =>
      inner.transaction(name, async (tx) => {
        const changes = async () => (await tx.query<{ n: number }>('SELECT total_changes() AS n'))[0]!.n
        if (!name.startsWith('reap')) return work(tx)
        const before = await changes()
        const result = await work(tx)
        most.set(name, Math.max(most.get(name) ?? 0, (await changes()) - before))
        return result
      }),
    migrate: (migrations) => inner.migrate(migrations),
    close: () => inner.close(),
  }
  const stop = new AbortController()
  const work = async () => {
    const engine = (await createEngine({ clock, random, network, store, log: { emit() {} }, node: 'n1', incarnation: 1 }, settings)) as PaymentEngine
    const ended = engine.start(stop.signal)
    const ask: World['ask'] = async (method, path, body, headers = {}) => {
      const answer = await engine.handle({ method, path, headers, body: body === undefined ? '' : JSON.stringify(body) })
      return { status: answer.status, body: parseJson(answer.body) }
    }
    await life({ clock, store, engine, ask, most })
    stop.abort()
    await ended
    await store.close()
  }
  await clock.run(work())
}

const count = async (store: Store, table: string, where = '1 = 1') => (await store.transaction('count', (tx) => tx.query<{ n: number }>(`SELECT COUNT(*) AS n FROM ${table} WHERE ${where}`)))[0]!.n

/** Pages of all that is not kept for ever. */
const pages = async (store: Store) =>
  (await store.transaction('count', (tx) => tx.query<{ n: number }>("SELECT COUNT(*) AS n FROM dbstat WHERE name NOT IN (SELECT name FROM sqlite_master WHERE tbl_name IN ('ledger', 'orders'))")))[0]!.n

it('sixty days of steady load: rows and pages stay level, and nothing unfinished is ever forgotten', { timeout: 120_000 }, async () => {
  await among(SETTINGS, async ({ clock, store, ask, most }) => {
    const TABLES = ['payments', 'attempts', 'outbox', 'evidence', 'refunds', 'bank_events']
    const unfinished: string[] = []
    const days: Record<string, number>[] = []
    let n = 0
    for (let day = 0; day < DAYS; day++) {
      for (let i = 0; i < PER_DAY; i++) {
        n++
        const card = n % 397 === 0 ? DARK_CARD : n % 10 === 0 ? '4000000000000002' : '4242424242424242'
        const paid = await ask('POST', '/v1/payments', { amount: 1000 + n, currency: 'USD', order: `order-${n}`, card }, { 'idempotency-key': `key-${n}` })
        if (card === DARK_CARD) unfinished.push(paid.body.payment_id)
        await clock.sleep(DAY_MS / PER_DAY)
        if (paid.status !== 201) continue
        if (n % 7 === 0) await ask('POST', `/v1/payments/${paid.body.payment_id}/refunds`, {}, { 'idempotency-key': `refund-${n}` })
        if (n % 5 === 0) {
          const event = { id: `evt-${n}`, data: { object: { id: paid.body.charge, status: 'succeeded', amount: 1000 + n, currency: 'USD', reference: paid.body.payment_id } } }
          const told = await ask('POST', '/v1/bank-events', event, { 'bank-signature': signature(WEBHOOK_SECRET, Math.floor(clock.now() / 1000), JSON.stringify(event)) })
          expect(told.status).toBe(200)
        }
      }
      const row: Record<string, number> = { pages: await pages(store) }
      for (const table of [...TABLES, 'ledger', 'orders']) row[table] = await count(store, table)
      days.push(row)
    }

    // Level: what the tables hold at the end is what they held when the first keys had gone, but for what is unfinished.
    const settled = days[2 * KEPT_DAYS]!
    const last = days.at(-1)!
    for (const table of TABLES) {
      expect(settled[table], table).toBeGreaterThan(KEPT_DAYS)
      expect(Math.max(...days.map((row) => row[table]!)), table).toBeLessThanOrEqual(settled[table]! * 1.15 + 2 * unfinished.length)
    }
    expect(last['pages']).toBeLessThanOrEqual(settled['pages']! * 1.25)
    expect(last['payments']).toBeLessThan((KEPT_DAYS + 1) * PER_DAY + unfinished.length)
    // For ever: what was paid.
    expect(last['orders']).toBe((await count(store, 'ledger', "account = 'merchant' AND amount > 0")) - (await count(store, 'payments', "state = 'succeeded'")))
    expect(last['ledger']).toBeGreaterThan(5 * settled['ledger']!)
    // And nothing that somebody still has to see to.
    expect(unfinished.length).toBeGreaterThan(5)
    expect(await count(store, 'payments', "state = 'unknown'")).toBe(unfinished.length)
    expect((await store.transaction('count', (tx) => tx.query<{ id: string }>("SELECT id FROM payments WHERE state = 'unknown' ORDER BY created_at"))).map(({ id }) => id)).toEqual(unfinished)
    expect(await count(store, 'attempts', "payment IN (SELECT id FROM payments WHERE state = 'unknown')")).toBeGreaterThanOrEqual(unfinished.length)
    expect([...most.keys()].toSorted()).toEqual(['reap-answers', 'reap-events', 'reap-keys'])
  })
})

it('a thousand old keys at once go in turns of two hundred, and leave the store to others between them', { timeout: 60_000 }, async () => {
  await among({ ...SETTINGS, parallel: false }, async ({ clock, store, ask, most }) => {
    for (let n = 0; n < 1000; n++) await ask('POST', '/v1/payments', { amount: 1000, currency: 'USD', order: `order-${n}`, card: '4242424242424242' }, { 'idempotency-key': `key-${n}` })
    expect(await count(store, 'payments')).toBe(1000)
    await clock.sleep((KEPT_DAYS + 1) * DAY_MS)
    expect(await count(store, 'payments')).toBe(0)
    expect(await count(store, 'orders')).toBe(1000)
    // Of each payment: its row, an attempt, a word to the customer, and its order.
    expect(most.get('reap-keys')).toBe(4 * 200)
    expect(most.get('reap-answers')).toBe(200)
  })
})

it('what was paid is known by its order and its id when the key is forgotten, and by nobody else', { timeout: 30_000 }, async () => {
  await among(SETTINGS, async ({ clock, ask }) => {
    const paid = await ask('POST', '/v1/payments', { amount: 1000, currency: 'USD', order: 'order-1', card: '4242424242424242' }, { 'idempotency-key': 'key-1' })
    await clock.sleep((KEPT_DAYS + 1) * DAY_MS)
    const id = paid.body.payment_id
    expect((await ask('GET', '/v1/payments?order=order-1')).body.payments).toEqual([expect.objectContaining({ payment_id: id, state: 'succeeded', charge_state: 'charged', amount: 1000 })])
    expect(await ask('GET', `/v1/payments/${id}`)).toMatchObject({ status: 200, body: { payment_id: id, charge: paid.body.charge } })
    expect(await ask('GET', `/v1/payments/${id}`, undefined, { authorization: 'Bearer somebody else' })).toMatchObject({ status: 404 })
    expect(await ask('POST', '/v1/payments', { amount: 1000, currency: 'USD', order: 'order-1', card: '4242424242424242' }, { 'idempotency-key': 'key-1' })).toMatchObject({ status: 409, body: { payment_id: id, safe_new_key: false } })
  })
})
