import { afterEach, describe, expect, it } from 'vitest'
import { VirtualClock } from '../../../src/clock.ts'
import { Metrics, takeStock } from '../../../src/engines/payment/metrics.ts'
import { migrations } from '../../../src/engines/payment/migrations.ts'
import { forceBreaker, resolvePayment } from '../../../src/engines/payment/operator.ts'
import { reconcile } from '../../../src/engines/payment/reconcile.ts'
import { openSqlite } from '../../../src/engines/store/sqlite.ts'
import { Random } from '../../../src/random.ts'
import { closeAll, openAlone } from './alone.ts'
import type { Sample } from './prometheus.ts'
import { parsePrometheus } from './prometheus.ts'

afterEach(closeAll)

const scrape = async (world: { ask(method: string, path: string): Promise<{ body: string }> }) => parsePrometheus((await world.ask('GET', '/metrics')).body)

const valueOf = (samples: readonly Sample[], name: string, labels: Record<string, string> = {}): number | undefined =>
  samples.find((sample) => sample.name === `resil_${name}` && Object.keys(sample.labels).length === Object.keys(labels).length && Object.entries(labels).every(([label, value]) => sample.labels[label] === value))?.value

describe('what is scraped', () => {
  it('an incident: refusals, openings, the first trial, the time to close, the budget, and what an operator would be woken by', async () => {
    const world = await openAlone()
    await world.run(async () => {
      expect(await world.pay()).toMatchObject({ status: 201 })
      const well = await scrape(world)
      expect(valueOf(well, 'told_truth_mismatches_total', { source: 'webhook' })).toBe(0)
      expect(valueOf(well, 'told_truth_mismatches_total', { source: 'reconciliation' })).toBe(0)
      expect(valueOf(well, 'payments_unknown_total')).toBe(0)
      expect(valueOf(well, 'payments_answered_total', { told: 'succeeded', status: '201' })).toBe(1)
      expect(valueOf(well, 'breaker_state', { service: 'bank', state: 'closed' })).toBe(1)
      expect(valueOf(well, 'breaker_window_calls', { service: 'bank' })).toBe(1)
      expect(valueOf(well, 'retry_budget_left', { service: 'bank' })).toBe(3)

      world.world.bankDown = true
      await Promise.all(Array.from({ length: 30 }, () => world.pay()))
      const ill = await scrape(world)
      expect(valueOf(ill, 'breaker_state', { service: 'bank', state: 'open' })).toBe(1)
      expect(valueOf(ill, 'breaker_transitions_total', { service: 'bank', to: 'opened' })).toBe(1)
      expect(valueOf(ill, 'hops_total', { hop: 'bank', service: 'bank', outcome: 'failed' })).toBeGreaterThanOrEqual(20)
      expect(valueOf(ill, 'retries_denied_total', { service: 'bank' })).toBeGreaterThan(0)
      await world.pay()
      expect(valueOf(await scrape(world), 'hops_refused_total', { hop: 'bank', service: 'bank', by: 'breaker' })).toBeGreaterThan(0)

      world.world.bankDown = false
      await world.clock.sleep(6000)
      expect(await world.pay()).toMatchObject({ status: 201 })
      const again = await scrape(world)
      expect(valueOf(again, 'breaker_first_trials_total', { service: 'bank', ended: 'closed' })).toBe(1)
      expect(valueOf(again, 'breaker_open_seconds_count', { service: 'bank' })).toBe(1)
      expect(valueOf(again, 'breaker_open_seconds_bucket', { service: 'bank', le: '5' })).toBe(0)
      expect(valueOf(again, 'breaker_open_seconds_bucket', { service: 'bank', le: '10' })).toBe(1)
    })
  })

  it('an unknown outcome, how long it was so, and that the look-up resolved it', async () => {
    const world = await openAlone()
    await world.run(async () => {
      world.mocks.bank.lie({ kind: 'charge_then_500', times: 1, after: 0, ms: 0 })
      world.mocks.bank.lie({ kind: 'lookup_down', times: 3, after: 0, ms: 0 })
      const paying = world.pay()
      await world.clock.sleep(1)
      const meanwhile = await scrape(world)
      expect(valueOf(meanwhile, 'payments_unknown')).toBe(1)
      await paying
      await world.clock.sleep(10_000)
      const samples = await scrape(world)
      expect(valueOf(samples, 'payments_unknown_total')).toBe(1)
      expect(valueOf(samples, 'payments_unknown')).toBe(0)
      expect(valueOf(samples, 'payments_resolved_total', { to: 'succeeded', source: 'lookup' })).toBe(1)
      expect(valueOf(samples, 'payment_unknown_seconds_count')).toBe(1)
      expect(valueOf(samples, 'payments_unknown_oldest_seconds')).toBe(0)
    })
  })

  it('told against truth: the bank charged what the client was told is not charged, by its event and by its listing', async () => {
    const world = await openAlone()
    const told: string[] = []
    world.log.subscribe((event) => void told.push(`${event['by']} ${event['payment']}`), (type) => type === 'payment.contradicted')
    await world.run(async () => {
      world.world.bankDown = true
      const { id, status } = await world.pay()
      expect(status).toBe(503)
      expect((await world.tell('evt_1', { id: 'ch_1', status: 'succeeded', amount: 9900, currency: 'USD', reference: id })).status).toBe(200)
      await world.tell('evt_1', { id: 'ch_1', status: 'succeeded', amount: 9900, currency: 'USD', reference: id })
      expect(told).toEqual([`webhook ${id}`])
      world.world.bankDown = false

      // The same of another, found by its listing only, and counted once however often it is found.
      const { id: paid } = await world.pay()
      await world.store.transaction('spoil', (tx) => tx.query("UPDATE payments SET state = 'declined' WHERE id = :paid", { paid }))
      const compare = () => reconcile({ clock: world.clock, network: world.network, store: world.store, log: world.log.from('engine'), acquirer: 'bank', since: 0, until: world.clock.now() + 1 })
      expect((await compare()).differences).toMatchObject([{ kind: 'charged-here-not', reference: paid }])
      await compare()
      expect(told).toEqual([`webhook ${id}`, `reconciliation ${paid}`, `reconciliation ${paid}`])
      const samples = await scrape(world)
      expect(valueOf(samples, 'told_truth_mismatches_total', { source: 'webhook' })).toBe(1)
      expect(valueOf(samples, 'told_truth_mismatches_total', { source: 'reconciliation' })).toBe(1)
    })
  })

  it("an operator's resolution, done in another process, is counted from the store", async () => {
    const world = await openAlone()
    await world.run(async () => {
      world.mocks.bank.lie({ kind: 'wrong_amount', times: 1, after: 0, ms: 0 })
      const { id } = await world.pay()
      await resolvePayment(world.store, world.clock, world.random, id, { kind: 'not-charged' }, { who: 'maria', why: 'voided at the bank' })
      expect(valueOf(await scrape(world), 'payments_resolved_total', { to: 'voided', source: 'operator' })).toBe(1)
    })
  })

  it('a thousand callers with a breaker each make no more series than one', async () => {
    const world = await openAlone({ breakerScope: 'merchant' })
    await world.run(async () => {
      for (let n = 0; n < 100; n++) await world.pay(`Bearer ${n}`)
      const few = (await scrape(world)).length
      for (let n = 100; n < 200; n++) await world.pay(`Bearer ${n}`)
      world.world.bankDown = true
      for (let n = 0; n < 25; n++) await world.pay('Bearer down')
      const samples = await scrape(world)
      expect(valueOf(samples, 'breaker_transitions_total', { service: 'bank', to: 'opened' })).toBe(1)
      expect(valueOf(samples, 'breaker_state', { service: 'bank', state: 'closed' })).toBe(200)
      expect(samples.length).toBeLessThan(few + 20)
      expect(samples.filter(({ labels }) => Object.values(labels).some((value) => value.includes('/') && !value.endsWith('/recovery')))).toEqual([])
    })
  })

  it('a label beyond all bounds counts as one', () => {
    const clock = new VirtualClock()
    const metrics = new Metrics(clock)
    const log = metrics.tee({ emit() {} })
    for (let n = 0; n < 2000; n++) log.emit('hop.ended', { hop: 'bank', service: `bank-${n}`, outcome: 'ok', ms: 1 })
    const none = { unknown: 0, oldest: null, refunds: 0, queued: 0, notifications: 0, captures: 0, voids: 0, resolvedCharged: 0, resolvedNot: 0, contradicted: 0 }
    const samples = parsePrometheus(metrics.text(none, 0, []))
    expect(samples.filter(({ name }) => name === 'resil_hops_total')).toHaveLength(501)
    expect(samples).toContainEqual({ name: 'resil_hops_total', labels: { hop: 'other', service: 'other', outcome: 'other' }, value: 1500 })
  })

  it('what breaks a line stays in its label', () => {
    const text = new Metrics(new VirtualClock()).text({ unknown: 0, oldest: null, refunds: 0, queued: 0, notifications: 0, captures: 0, voids: 0, resolvedCharged: 0, resolvedNot: 0, contradicted: 0 }, 0, [{ name: 'odd', help: 'odd', series: [{ labels: { service: 'a"b\\c\nd' }, value: 1 }] }])
    expect(parsePrometheus(text)).toContainEqual({ name: 'resil_odd', labels: { service: 'a"b\\c\nd' }, value: 1 })
  })

  it('no count walks through the payments', async () => {
    const clock = new VirtualClock()
    await clock.run((async () => {
      const store = await openSqlite(':memory:', { clock, random: Random.seeded(1) })
      await store.migrate(migrations)
      let sql = ''
      await takeStock({ ...store, transaction: (_, work) => work({ query: async (text) => ((sql = text), [{}] as never) }) })
      const plan = await store.transaction('plan', (tx) => tx.query<{ detail: string }>(`EXPLAIN QUERY PLAN ${sql}`, { contradicted: 'x' }))
      expect(plan.length).toBeGreaterThan(10)
      await store.close()
      expect(plan.map(({ detail }) => detail).filter((detail) => /^SCAN (payments|refunds|outbox)(?! USING (COVERING )?INDEX)/.test(detail))).toEqual([])
    })())
  })
})

describe('breakers by hand, on the store', () => {
  it('a release closes one that opened by itself too, and what it was forced to before is forgotten', async () => {
    const world = await openAlone()
    await world.run(async () => {
      world.world.bankDown = true
      await Promise.all(Array.from({ length: 30 }, () => world.pay()))
      await world.clock.sleep(1500)
      expect(valueOf(await scrape(world), 'breaker_state', { service: 'bank', state: 'open' })).toBe(1)
      await forceBreaker(world.store, world.clock, 'bank', null, { who: 'maria', why: 'it is back' })
      await world.clock.sleep(1500)
      expect(valueOf(await scrape(world), 'breaker_state', { service: 'bank', state: 'closed' })).toBe(1)
      world.world.bankDown = false
      expect(await world.pay()).toMatchObject({ status: 201 })
    })
  })
})

describe('the reader itself', () => {
  it.each([
    ['no end of the last line', '# HELP a b\n# TYPE a gauge\na 1'],
    ['a sample without a family', 'a 1\n'],
    ['a family twice', '# HELP a b\n# TYPE a gauge\na 1\n# HELP a b\n# TYPE a gauge\n'],
    ['a counter without _total', '# HELP a b\n# TYPE a counter\na 1\n'],
    ['a sample twice', '# HELP a b\n# TYPE a gauge\na{x="1"} 1\na{x="1"} 2\n'],
    ['a quote in a label', '# HELP a b\n# TYPE a gauge\na{x="1"2"} 1\n'],
    ['buckets that shrink', '# HELP a b\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n'],
    ['a count that is another', '# HELP a b\n# TYPE a histogram\na_bucket{le="1"} 1\na_bucket{le="+Inf"} 1\na_sum 1\na_count 2\n'],
    ['no +Inf', '# HELP a b\n# TYPE a histogram\na_bucket{le="1"} 1\na_sum 1\na_count 1\n'],
    ['a word for a number', '# HELP a b\n# TYPE a gauge\na undefined\n'],
  ])('refuses %s', (_, text) => {
    expect(() => parsePrometheus(text)).toThrow()
  })
})
