/** What a scenario can ask of its bank: a dialect, webhooks to the subject, a second acquirer, weather. */
import { expect, test } from 'vitest'
import type { Event } from '../../../src/events.ts'
import { json, parseJson } from '../../../src/network.ts'
import type { CreateEngine } from '../../../src/engines/engine.ts'
import { run } from '../../../src/lab/run.ts'
import { loadToxics } from '../../../src/lab/units.ts'
import type { PaymentScenario } from '../../../src/lab/units.ts'

/** A subject that charges whatever bank its path names, and remembers the webhooks that it heard. */
function subject() {
  const heard: Record<string, any>[] = []
  const createEngine: CreateEngine = async ({ network, store }) => {
    await store.transaction('migrate', (tx) => tx.query('CREATE TABLE attempts (bank_key TEXT, n INTEGER)'))
    return {
      async handle({ path, headers, body }) {
        if (path === '/v1/bank-events') {
          heard.push(parseJson(body) as Record<string, any>)
          return json(200, {})
        }
        const outcome = await network.call(path.slice(1), { method: 'POST', path: '/v1/charges', headers, body }, { timeoutMs: 60_000 })
        return outcome.kind === 'ok' ? outcome.value : json(502, {})
      },
      start: (signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true })),
    }
  }
  return { createEngine, heard }
}

async function drive(bank: PaymentScenario['bank'], script: PaymentScenario['drive']) {
  const { createEngine, heard } = subject()
  const events: Event[] = []
  const scenario: PaymentScenario = { name: 'bank', summary: 'a bank', engine: 'payment', invariants: [], toxics: [], failures: [], bank, drive: script }
  const plan = { scenario: 'bank', mode: 'sim' as const, seed: 1, subject: { kind: 'reference' as const }, toxics: [], invariants: [], again: '' }
  const result = await run(plan, { sinks: [(event) => events.push(event)] }, { scenario, invariants: [], toxics: await loadToxics(), createEngine })
  return { result, heard, events, of: (type: string) => events.filter((event) => event.type === type) }
}

const pay = (world: Parameters<PaymentScenario['drive']>[0], bank = 'bank', amount = 9900) =>
  world.send({ method: 'POST', path: `/${bank}`, headers: { 'idempotency-key': 'key-1' }, body: JSON.stringify({ amount, currency: 'USD', reference: 'order-1', card: 'tok_visa' }) }, { timeoutMs: 60_000 })

test('a dialect that a scenario names is the one its bank speaks', async () => {
  const { of } = await drive({ dialect: 'checkbook' }, async (world) => {
    for (const _ of [1, 2]) await pay(world)
  })
  expect(of('bank.charged')).toHaveLength(2)
})

test('webhooks reach the subject over its link, where faults hit them, and are tried again', async () => {
  const { heard, of, result } = await drive({ webhooks: true }, async (world) => {
    world.toxic({ link: 'payments', type: 'lost_response', attributes: { path: '/v1/bank-events', first: 1 } })
    await pay(world)
    await world.until((event) => event.type === 'bank.webhook_attempted' && event['status'] === 200, 60_000)
  })
  expect(result.unfired).toEqual([])
  expect(of('bank.webhook_attempted').map((event) => event['status'])).toEqual([0, 200])
  expect(heard).toMatchObject([{ type: 'charge.succeeded', bank: 'bank' }, { id: heard[0]!['id'] }])
})

test('without them the subject is told nothing', async () => {
  const { heard } = await drive(undefined, async (world) => {
    await pay(world)
    await world.clock.sleep(10_000)
  })
  expect(heard).toEqual([])
})

test('U19 a second acquirer has its own link, ledger, keys and lies, and names itself in its events', async () => {
  const { of, result, heard } = await drive({ second: true, webhooks: true }, async (world) => {
    world.lie('bank-2', 'charge_then_500')
    world.toxic({ link: 'bank-2', type: 'latency', attributes: { latency: 1000 } })
    await pay(world)
    await pay(world, 'bank-2', 500)
    await world.clock.sleep(1000)
  })
  expect(result.unfired).toEqual([])
  expect(of('bank.charged')).toMatchObject([{ amount: 9900 }, { amount: 500, bank: 'bank-2' }])
  expect(of('bank.charged')[0]).not.toHaveProperty('bank')
  expect(of('bank.lied')).toMatchObject([{ lie: 'charge_then_500', bank: 'bank-2' }])
  expect(heard.map((event) => event['bank'])).toEqual(['bank', 'bank-2'])
  expect(of('intent.observed')).toMatchObject([{ present: false }, { present: false }])
})

test('nobody has a second acquirer who did not ask for one', async () => {
  await expect(drive({}, async (world) => world.lie('bank-2', 'charge_then_500'))).rejects.toMatchObject({ code: 'UNKNOWN_MOCK' })
})

test('weather is a fault that must be met; healing takes it away', async () => {
  const storm = { slots: 1, queue: 10, latency: { p50: 1000, p99: 1000 }, failing: 0, failsAtOnce: 0, failsAfterMs: 0, seed: 1 }
  const { of, result } = await drive({ second: true }, async (world) => {
    world.weather('bank', storm)
    await Promise.all([pay(world), world.send({ method: 'POST', path: '/bank', headers: {}, body: '{"amount":1,"currency":"USD","reference":"order-2","card":"tok_visa"}' }, { timeoutMs: 60_000 })])
    world.expect('two of five in two seconds', world.mostInTime(storm, [0, 0, 0, 0, 0], 2500) === 2, '')
    await world.heal()
    await pay(world, 'bank')
    world.weather('bank-2', storm)
  })
  expect(of('bank.worked').map(({ queuedMs }) => queuedMs)).toEqual([0, 1000])
  expect(of('weather.changed')).toMatchObject([{ mock: 'bank', weather: storm }, { mock: 'bank-2' }])
  expect(result.unfired).toEqual(['bank-2:weather'])
  expect(result.findings).toMatchObject([{ verdict: 'held' }])
})
