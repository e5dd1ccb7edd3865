import { afterAll, describe, expect, it } from 'vitest'
import { readLie } from '../../src/lab/mock-alone.ts'
import { lies } from '../../src/proxy/mocks/bank.ts'
import { resil } from './cli.ts'
import { refused } from './refused.ts'
import { curl, killAll, stand } from './standing.ts'

afterAll(killAll)

const post = (url: string, body: object, key = 'key-1') => curl(url, ['-H', `Idempotency-Key: ${key}`, '--data-raw', JSON.stringify(body)])
const charge = (url: string, reference: string, key: string) => post(`${url}/v1/charges`, { amount: 9900, currency: 'USD', reference, card: 'tok_visa' }, key)
const quick = ['--port', '0', '--p50', '0ms', '--p99', '0ms']

describe('a mock alone', () => {
  it('the bank charges, says so on a line, and shows it in its ledger', async () => {
    const bank = await stand(['mock', 'bank', ...quick])
    expect(bank.ready).toMatchObject({ mock: 'bank', url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) })
    const made = await charge(bank.ready.url, 'order-1', 'key-1')
    expect(made).toMatchObject({ status: 201, body: { status: 'succeeded', amount: 9900 } })
    expect(await bank.until((line) => line.type === 'bank.charged')).toMatchObject({ src: 'mock', reference: 'order-1', charge: made.body.id })
    expect((await curl(`${bank.ready.url}/ledger`)).body.charges).toMatchObject([{ id: made.body.id, reference: 'order-1' }])
    const { exit, stderr, lines } = await bank.stop('SIGINT')
    expect({ exit, stderr, last: lines.at(-1) }).toEqual({ exit: 130, stderr: '', last: { type: 'stopped', ok: true } })
  })

  it('E106 the bank refunds no more than it captured, and a refund that is asked twice is one', async () => {
    const bank = await stand(['mock', 'bank', ...quick])
    const { body } = await charge(bank.ready.url, 'order-1', 'key-1')
    const refund = (amount: number, key: string) => post(`${bank.ready.url}/v1/refunds`, { charge: body.id, amount }, key)
    expect(await refund(9901, 'refund-much')).toMatchObject({ status: 400, body: { code: 'amount_too_large' } })
    const first = await refund(9900, 'refund-1')
    expect(first.status).toBe(201)
    expect(await refund(9900, 'refund-1')).toMatchObject({ status: 201, text: first.text, headers: { 'idempotent-replayed': 'true' } })
    expect(await refund(1, 'refund-2')).toMatchObject({ status: 400, body: { code: 'amount_too_large', left: 0 } })
    expect((await curl(`${bank.ready.url}/ledger`)).body.refunds).toHaveLength(1)
    await bank.stop()
  })

  it('the bank lies as it was told: once, behind the first one, and is honest in its ledger', async () => {
    const bank = await stand(['mock', 'bank', ...quick, '--lie', 'charge_then_500,times=1,after=1'])
    const statuses = []
    for (const n of [1, 2, 3]) statuses.push((await charge(bank.ready.url, `order-${n}`, `key-${n}`)).status)
    expect(statuses).toEqual([201, 500, 201])
    expect((await curl(`${bank.ready.url}/ledger`)).body.charges).toHaveLength(3)
    await bank.stop()
  })

  it('the bank has the habits of the provider it was asked for: this one charges again after a 500', async () => {
    const bank = await stand(['mock', 'bank', ...quick, '--dialect', 'checkout', '--lie', 'charge_then_500,times=1'])
    const statuses = []
    for (const _ of [1, 2, 3]) statuses.push((await charge(bank.ready.url, 'order-1', 'key-1')).status)
    expect(statuses).toEqual([500, 201, 201])
    expect((await curl(`${bank.ready.url}/ledger`)).body.charges).toHaveLength(2)
    await bank.stop()
  })

  it('without times it lies for as long as it stands', async () => {
    const fraud = await stand(['mock', 'fraud', ...quick, '--lie', 'error_500'])
    for (const n of [1, 2, 3]) expect(await post(`${fraud.ready.url}/v1/assessments`, { amount: n, currency: 'USD', reference: `order-${n}` })).toMatchObject({ status: 500 })
    expect((await curl(`${fraud.ready.url}/ledger`)).body).toEqual({ assessments: [] })
    await fraud.stop()
  })

  it('the notification service counts what it received twice; told to go, it gives the answer that is under way', async () => {
    const notification = await stand(['mock', 'notification', ...quick, '--lie', 'late_answer=500ms,times=1,after=1'])
    const notify = () => post(`${notification.ready.url}/v1/notifications`, { id: 'evt_1', payment: 'pay_1' })
    expect(await notify()).toMatchObject({ status: 202, body: { duplicate: false } })
    const second = notify()
    await notification.until((line) => line.type === 'notification.lied')
    const ended = notification.stop('SIGTERM')
    expect(await second).toMatchObject({ status: 202, body: { duplicate: true } })
    expect(await ended).toMatchObject({ exit: 0, stderr: '' })
  })

  it('latencies are those that were asked for', async () => {
    const bank = await stand(['mock', 'bank', '--port', '0', '--p50', '300ms', '--p99', '300ms'])
    const began = performance.now()
    await charge(bank.ready.url, 'order-1', 'key-1')
    expect(performance.now() - began).toBeGreaterThanOrEqual(299)
    await bank.stop()
  })

  it('the same seed gives the same charge ids', async () => {
    const ids = []
    for (const _ of [1, 2]) {
      const bank = await stand(['mock', 'bank', ...quick, '--seed', '7'])
      ids.push((await charge(bank.ready.url, 'order-1', 'key-1')).body.id)
      await bank.stop()
    }
    expect(ids[0]).toBe(ids[1])
  })
})

describe('what is refused with 2, one line and a hint', () => {
  it.each([
    ['a lie that no bank tells', ['bank', '--lie', 'charge_then_50'], 'bank knows no lie called charge_then_50; it knows charge_then_500'],
    ['a lie that is not written as one', ['bank', '--lie', 'late answer'], '"late answer" is no lie'],
    ['a length for a lie that takes none', ['bank', '--lie', 'charge_then_500=2s'], 'charge_then_500 takes no time'],
    ['a provider that nobody knows', ['bank', '--dialect', 'stripe'], 'dialect'],
    ['no time at all', ['bank', '--lie', 'charge_then_500,times=0'], 'times from 1'],
    ['a p50 above the p99', ['bank', '--p50', '3s', '--p99', '1s'], 'no latency has p50 3000 ms and p99 1000 ms'],
    ['A2 a port that is none', ['fraud', '--port', '70000'], '"70000" is not a port'],
    ['A5 a seed that is none', ['fraud', '--seed', 'abc'], '"abc" is not a seed'],
    ['A10 a flag that is none', ['bank', '--lei', 'garbage'], 'did you mean --lie?'],
    ['A11 a flag twice', ['bank', '--port', '0', '--port', '0'], '--port was given twice'],
  ])('%s', async (_, args, why) => {
    const { exit, stdout, stderr } = await refused(['mock', ...args])
    expect({ exit, stdout, lines: stderr.split('\n').length - 1 }).toEqual({ exit: 2, stdout: '', lines: 1 })
    expect(stderr).toContain(why)
  })

  it('A3 a port that somebody else has, by its number', async () => {
    const first = await stand(['mock', 'bank', ...quick])
    const port = first.ready.url.split(':').at(-1)
    expect(resil(['mock', 'fraud', '--port', port])).toMatchObject({ exit: 2, stdout: '', stderr: expect.stringContaining(`port ${port} on 127.0.0.1 is in use`) })
    await first.stop()
  })
})

it('a lie on the command line is a kind, perhaps its length, and how often', () => {
  expect(readLie('late_answer=3s', lies)).toEqual({ kind: 'late_answer', times: Infinity, after: 0, ms: 3000 })
  expect(readLie('late_answer=250', lies)).toMatchObject({ ms: 250 })
  expect(readLie('late_answer', lies)).toMatchObject({ ms: 5000 })
  expect(readLie('garbage,after=2,times=1', lies)).toEqual({ kind: 'garbage', times: 1, after: 2, ms: 0 })
})
