/** What a bank's answers mean to the engine, and what it refuses to be set to. */
import { describe, expect, it } from 'vitest'
import { ResilError } from '../../../src/errors.ts'
import type { HttpResponse, Outcome } from '../../../src/network.ts'
import { json } from '../../../src/network.ts'
import { decisive, meaningOfCharge, recordsFound } from '../../../src/engines/payment/bank.ts'
import type { PaymentSettings } from '../../../src/engines/payment/settings.ts'
import { DEFAULTS, refuseDangerous } from '../../../src/engines/payment/settings.ts'

const asked = { id: 'pay_1', amount: 9900, currency: 'USD', card: 'tok_visa' }
const charge = { id: 'ch_1', status: 'succeeded', amount: 9900, currency: 'USD', reference: 'pay_1' }
const answered = (status: number, body: unknown, headers: Record<string, string> = {}): Outcome<HttpResponse> => ({ kind: 'ok', value: json(status, body, headers) })
const said = (outcome: Outcome<HttpResponse>, codes = {}) => meaningOfCharge(asked, outcome, codes).kind

describe('what a charge request came to', () => {
  it.each<[string, Outcome<HttpResponse>, string]>([
    ['the charge that was asked for', answered(201, charge), 'succeeded'],
    ['held', answered(201, { ...charge, status: 'authorised' }), 'authorised'],
    ['another amount', answered(200, { ...charge, amount: 990_000 }), 'review'],
    ['an amount that is no number', answered(200, { ...charge, amount: '9900' }), 'review'],
    ['another currency', answered(200, { ...charge, currency: 'EUR' }), 'review'],
    ['another reference', answered(200, { ...charge, reference: 'pay_2' }), 'review'],
    ['pending', answered(200, { ...charge, status: 'pending' }), 'unknown'],
    ['no charge', answered(200, { status: 'succeeded' }), 'unknown'],
    ['nothing', answered(200, null), 'unknown'],
    ['a decline', answered(402, { reason: 'insufficient_funds' }), 'declined'],
    ['the request was wrong', answered(422, {}), 'not_applied'],
    ['in progress', answered(409, { code: 'idempotency_key_in_use' }, { 'retry-after': '1' }), 'unknown'],
    ['503 with the proof that nothing was processed', answered(503, {}, { 'retry-after': '1' }), 'not_applied'],
    ['503 without', answered(503, {}), 'unknown'],
    ['429', answered(429, {}), 'not_applied'],
    ['500', answered(500, {}, { 'retry-after': '1' }), 'unknown'],
    ['408', answered(408, {}), 'unknown'],
    ['a redirection', answered(302, {}), 'unknown'],
    ['never sent', { kind: 'failed', error: new ResilError('REFUSED', 'no') }, 'not_applied'],
    ['a reset', { kind: 'unknown', error: new ResilError('RESET', 'no') }, 'unknown'],
  ])('%s', (_, outcome, meaning) => {
    expect(said(outcome)).toBe(meaning)
  })

  it('U17 a body that says "failed" is unknown, unless the provider\'s table says what its code means', () => {
    const failed = (code?: unknown) => answered(200, { status: 'failed', code })
    const table = { NR: 'unknown', '51': 'declined', '91': 'not_applied' } as const
    expect([undefined, 'NR', '51', '91', '__proto__', 7].map((code) => said(failed(code)))).toEqual(Array(6).fill('unknown'))
    expect([undefined, 'NR', '51', '91', '__proto__', 7].map((code) => said(failed(code), table))).toEqual(['unknown', 'unknown', 'declined', 'not_applied', 'unknown', 'unknown'])
  })
})

describe('what a look-up found', () => {
  it('tells nothing unless it was answered with a list', () => {
    expect([answered(503, { charges: [] }), answered(200, {}), answered(200, 'text'), { kind: 'unknown', error: new ResilError('RESET', 'no') } as const].map((outcome) => recordsFound(outcome))).toEqual(Array(4).fill(undefined))
    expect(recordsFound(answered(200, { charges: [] }))).toEqual([])
  })

  it('of several charges, the one that moved money counts, then one that holds it, then the latest', () => {
    const [declined, held, moved, voided] = ['declined', 'authorised', 'succeeded', 'voided'].map((status) => ({ ...charge, status }))
    expect(decisive([moved, held, voided])).toBe(moved)
    expect(decisive([declined, held, voided])).toBe(held)
    expect(decisive([declined, voided])).toBe(voided)
    expect(decisive([])).toBeUndefined()
    expect(decisive(undefined)).toBeUndefined()
  })
})

describe('what the engine does not start with', () => {
  const refusal = (settings: Partial<PaymentSettings>) => {
    try {
      refuseDangerous({ ...DEFAULTS, ...settings })
    } catch (error) {
      return (error as ResilError).code
    }
    return 'none'
  }

  it.each<[string, Partial<PaymentSettings>, string]>([
    ['as it comes', {}, 'none'],
    ['U13 a key sent again for half of its life', { bankKeyLifetimeMs: 1000, resendHorizonMs: 500 }, 'none'],
    ['U13 for more than half of it', { bankKeyLifetimeMs: 1000, resendHorizonMs: 501 }, 'HORIZON_TOO_LONG'],
    ['U13 for longer than the bank remembers it', { bankKeyLifetimeMs: 1000, resendHorizonMs: 2000 }, 'HORIZON_TOO_LONG'],
    ['U12 never', { bankKeyLifetimeMs: 0, resendHorizonMs: 0, keyLifetimeMs: 1 }, 'none'],
    ['a key forgotten before the bank forgets it', { keyLifetimeMs: DEFAULTS.bankKeyLifetimeMs - 1 }, 'KEY_FORGOTTEN_FIRST'],
    ['a deadline in which no bank can be asked', { deadlineMs: 1599 }, 'BUDGET_TOO_SHORT'],
  ])('%s', (_, settings, code) => {
    expect(refusal(settings)).toBe(code)
  })
})
