/** Providers and their keys: the table of src/proxy/bank/dialects.ts, row by row. */
import { describe, expect, test } from 'vitest'
import { dialects } from '../../../src/proxy/mocks/bank.ts'
import { openBank, read } from './open-bank.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** What comes of each dialect: how long a key lives, another body, a second request beside the first, and charges after a 500 that had charged. */
const ROWS = [
  { dialect: 'stripe-v1', livesMs: 24 * HOUR_MS, otherBody: 400, beside: 409, after500: { status: 500, charges: 1 } },
  { dialect: 'stripe-v2', livesMs: 30 * DAY_MS, otherBody: 400, beside: 409, after500: { status: 201, charges: 1 } },
  { dialect: 'adyen', livesMs: 31 * DAY_MS, otherBody: 400, beside: 409, after500: { status: 500, charges: 1 } },
  { dialect: 'paypal', livesMs: 6 * HOUR_MS, otherBody: 400, beside: 409, after500: { status: 201, charges: 1 } },
  { dialect: 'checkout', livesMs: 24 * HOUR_MS, otherBody: 400, beside: 409, after500: { status: 201, charges: 2 } },
  { dialect: 'qonto', livesMs: 30 * MINUTE_MS, otherBody: 201, beside: 409, after500: { status: 201, charges: 2 } },
  { dialect: 'checkbook', livesMs: 0, otherBody: 201, beside: 201, after500: { status: 201, charges: 2 } },
  { dialect: 'none', livesMs: 0, otherBody: 201, beside: 201, after500: { status: 201, charges: 2 } },
]

test('every dialect has a row', () => {
  expect(ROWS.map((row) => row.dialect)).toEqual(Object.keys(dialects))
})

describe.each(ROWS)('$dialect', ({ dialect, livesMs, otherBody, beside, after500 }) => {
  test('a key lives as long as it says', async () => {
    const { clock, charge, run, of } = openBank({ dialect })
    await run(async () => {
      await charge()
      if (livesMs > 0) {
        await clock.sleep(livesMs - 101)
        expect((await charge()).headers['idempotent-replayed']).toBe('true')
        expect(of('bank.charged')).toHaveLength(1)
      }
      expect((await charge()).headers['idempotent-replayed']).toBeUndefined()
      expect(of('bank.charged')).toHaveLength(2)
    })
  })

  test('the same key with another body, and beside itself', async () => {
    const { charge, run } = openBank({ dialect })
    await run(async () => {
      const answers = await Promise.all([charge(), charge()])
      expect(answers.map((answer) => answer.status)).toEqual([201, beside])
      const other = await charge('key-1', { amount: 5 })
      expect(other.status).toBe(otherBody)
      if (dialect === 'qonto') expect(read(other).amount).toBe(9900)
    })
  })

  test('a 500 that had charged, asked again', async () => {
    const { charge, tell, run, of } = openBank({ dialect })
    await run(async () => {
      tell('charge_then_500')
      expect((await charge()).status).toBe(500)
      expect([(await charge()).status, of('bank.charged').length]).toEqual([after500.status, after500.charges])
    })
  })
})

test('a decline is executed again where only successes are kept, and replayed where the first answer is', async () => {
  for (const { dialect } of ROWS) {
    const { charge, bank, run } = openBank({ dialect })
    await run(async () => {
      for (const _ of [1, 2]) expect((await charge('key-1', { card: '4000000000000002' })).status).toBe(402)
    })
    expect(bank.ledger.declines.length, dialect).toBe(['stripe-v1', 'adyen', 'paypal'].includes(dialect) ? 1 : 2)
  }
})

test('paypal answers a key with how its charge stands now', async () => {
  const { charge, shut, run } = openBank({ dialect: 'paypal' })
  await run(async () => {
    expect(read(await charge()).status).toBe('succeeded')
    await shut()
    expect(read(await charge())).toMatchObject({ status: 'voided' })
  })
})

test('adyen echoes the key, takes 64 characters of it, and says when an error will pass', async () => {
  const { charge, run } = openBank({ dialect: 'adyen' })
  await run(async () => {
    const [first, second] = await Promise.all([charge('k'.repeat(64)), charge('k'.repeat(64))])
    expect(first!.headers['idempotency-key']).toBe('k'.repeat(64))
    expect(second).toMatchObject({ status: 409, headers: { 'transient-error': 'true', 'idempotency-key': 'k'.repeat(64) } })
    expect((await charge('k'.repeat(65))).status).toBe(400)
  })
})

test.each([['paypal', 'paypal-request-id'], ['checkout', 'cko-idempotency-key'], ['qonto', 'x-qonto-idempotency-key']])("%s takes its own header, %s, and the plain one", async (dialect, header) => {
  const { send, charge, run, of } = openBank({ dialect })
  await run(async () => {
    await send('POST', '/v1/charges', { amount: 9900, currency: 'USD', reference: 'order-1', card: '4242424242424242' }, { [header]: 'key-1' })
    expect((await charge()).headers['idempotent-replayed']).toBe('true')
    expect(of('bank.charged')).toHaveLength(1)
  })
})

test('checkbook finds nothing by key, but by reference', async () => {
  const { charge, find, run } = openBank({ dialect: 'checkbook' })
  await run(async () => {
    await charge()
    expect((await find('key=key-1')).status).toBe(400)
    expect(read(await find('reference=order-1')).charges).toHaveLength(1)
  })
})

test('none answers no question about what it did', async () => {
  const { charge, find, findRefunds, send, run } = openBank({ dialect: 'none' })
  await run(async () => {
    const { id } = read(await charge())
    for (const answer of [await find('key=key-1'), await find('reference=order-1'), await find(`since=0`), await findRefunds(`charge=${id}`), await send('GET', `/v1/charges/${id}`)]) {
      expect([400, 404]).toContain(answer.status)
      expect(answer.body).not.toContain(id)
    }
  })
})
