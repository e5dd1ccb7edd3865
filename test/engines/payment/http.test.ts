/** What the payments HTTP face takes and refuses, and how its answers read; no engine and no socket. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Asked, Payment } from '../../../src/engines/payment/http.ts'
import { answerOf, finalAnswer, fingerprintOf, keyInUse, keyReused, LARGEST_AMOUNT, LONGEST_KEY, orderTaken, readKey, readPayment, resultExpired, scopeOf, statusOf, unavailable } from '../../../src/engines/payment/http.ts'
import type { State } from '../../../src/engines/payment/machine.ts'
import { MOVES } from '../../../src/engines/payment/machine.ts'

const good = { amount: 9900, currency: 'USD', order: 'order-1', card: 'tok_visa' }

const request = (body: string, headers: Record<string, string> = {}) => ({ method: 'POST', path: '/v1/payments', headers, body })

const withKey = (key: string) => readKey(request('', { 'idempotency-key': key }))

/** The refusal of a body: its status and the fields that it points to. */
function refusalOf(body: string): { status: number; pointers: string[] } {
  const read = readPayment(request(body))
  if (!('status' in read)) throw new Error('it was taken')
  const { errors = [] } = JSON.parse(read.body) as { errors?: { pointer: string }[] }
  return { status: read.status, pointers: errors.map(({ pointer }) => pointer) }
}

describe('the key', () => {
  it('is the bare value, or the same in double quotes', () => {
    expect(withKey('8e03978e-40d5-43dd-bc93-6894a57f9324')).toBe('8e03978e-40d5-43dd-bc93-6894a57f9324')
    expect(withKey('"8e03978e-40d5-43dd-bc93-6894a57f9324"')).toBe('8e03978e-40d5-43dd-bc93-6894a57f9324')
    expect(withKey('k'.repeat(LONGEST_KEY))).toBe('k'.repeat(LONGEST_KEY))
  })

  it.each(['', '""', '"', '"a', 'a"', 'a b', 'a,b', 'a, b', 'a\tb', 'a\u0000b', 'caf\u00e9', 'cafe\u0301', 'k'.repeat(LONGEST_KEY + 1)])('E95 E96 %j is none: 400, nothing charged, a new key is safe', (key) => {
    const refused = withKey(key)
    if (typeof refused === 'string') throw new Error(`taken as ${refused}`)
    expect(refused.status).toBe(400)
    expect(JSON.parse(refused.body)).toMatchObject({ charge_state: 'none', safe_new_key: true })
  })

  it('whatever is taken is printable ASCII of 1 to 255 characters, and never comes from two headers', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (raw) => {
        const key = withKey(raw)
        if (typeof key === 'string') expect(key).toMatch(/^[\x21-\x7e]{1,255}$/)
      }),
    )
    fc.assert(fc.property(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (one, two) => void expect(typeof withKey(`${one}, ${two}`)).not.toBe('string')))
  })
})

describe('the body', () => {
  it.each([[{}], [{ description: 'three socks' }], [{ amount: 1 }], [{ amount: LARGEST_AMOUNT }], [{ currency: 'JPY' }], [{ order: '\u{1f9e6}'.repeat(50) }]])('%j is taken as it is', (fields) => {
    expect(readPayment(request(JSON.stringify({ ...good, ...fields })))).toEqual({ ...good, ...fields })
  })

  it.each([0, -1, 1.5, 99.999, '99', 1e21, 2 ** 53, LARGEST_AMOUNT + 1, null, true, [9900], {}])('E101 the amount %j: 422 with a pointer to it', (amount) => {
    const { status, pointers } = refusalOf(JSON.stringify({ ...good, amount }))
    expect({ status, pointers: new Set(pointers) }).toEqual({ status: 422, pointers: new Set(['#/amount']) })
  })

  it.each(['usd', 'XXX', 'XAU', '', 'US', 'USDX', '💸', null, 840])('E101 the currency %j: 422 with a pointer to it', (currency) => {
    expect(refusalOf(JSON.stringify({ ...good, currency }))).toEqual({ status: 422, pointers: ['#/currency'] })
  })

  it.each([['order', ''], ['order', 'x'.repeat(101)], ['order', '\ud800'], ['order', 'a\udc00b'], ['card', '4242 4242'], ['card', 'caf\u00e9'], ['card', 'x'.repeat(65)], ['description', 'x'.repeat(501)], ['description', '\ud800']])('E105 %s %j: 422 with a pointer to it', (field, value) => {
    const { status, pointers } = refusalOf(JSON.stringify({ ...good, [field]: value }))
    expect({ status, pointers: new Set(pointers) }).toEqual({ status: 422, pointers: new Set([`#/${field}`]) })
  })

  it.each(['', 'null?', '{', 'NaN', `${JSON.stringify(good)}x`, JSON.stringify(good).replace('9900', 'NaN'), JSON.stringify(good).replace('9900', '09900'), "{'amount':1}"])('%j is not JSON: 400', (body) => {
    expect(refusalOf(body)).toEqual({ status: 400, pointers: [] })
  })

  it.each(['null', '1', '"x"', '[]', '[[]]'])('%j is JSON, but no payment: 422', (body) => {
    expect(refusalOf(body).status).toBe(422)
  })

  it('a field that no payment has is refused by its name, written as a JSON pointer', () => {
    expect(refusalOf(JSON.stringify({ ...good, 'a/b~c': 1 }))).toEqual({ status: 422, pointers: ['#/a~1b~0c'] })
    expect(refusalOf(`{"__proto__":{"amount":1},${JSON.stringify(good).slice(1)}`)).toMatchObject({ status: 422 })
    expect(({} as { amount?: number }).amount).toBeUndefined()
  })

  it('a refusal is of bounded size, whatever was sent', () => {
    const many = Object.fromEntries(Array.from({ length: 3000 }, (_, n) => [`${'x'.repeat(10)}${n}`, 1]))
    const read = readPayment(request(JSON.stringify(many)))
    expect('status' in read && read.body.length).toBeLessThan(10_000)
  })

  it('of two fields with one name the last counts, as everywhere in JSON', () => {
    expect(readPayment(request(JSON.stringify(good).replace('{', '{"amount":1,')))).toEqual(good)
  })

  it('nesting as deep as a body can be is refused, and nothing breaks', () => {
    expect(refusalOf(JSON.stringify(good).replace('9900', `${'['.repeat(30_000)}${']'.repeat(30_000)}`))).toEqual({ status: 422, pointers: ['#/amount'] })
  })

  it('whatever JSON comes, it is a payment or a refusal', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const read = readPayment(request(JSON.stringify(value)))
        expect('status' in read ? [400, 422] : [read]).toContain('status' in read ? read.status : read)
      }),
    )
  })
})

describe('the fingerprint', () => {
  const of = (fields: object) => fingerprintOf('POST /v1/payments', { ...good, ...fields } as Asked)

  it('D4 does not see the order of fields or white space', () => {
    const reordered = readPayment(request(`{ "card":"tok_visa" ,\n "order":"order-1","currency":"USD","amount":9900.0}`))
    expect(fingerprintOf('POST /v1/payments', reordered as Asked)).toBe(of({}))
  })

  it.each([{ amount: 9901 }, { currency: 'EUR' }, { order: 'order-2' }, { card: 'tok_mastercard' }, { description: '' }])('D3 sees %j', (fields) => {
    expect(of(fields)).not.toBe(of({}))
  })

  it('D6 sees another route, and that a text moved from one field to its neighbour', () => {
    expect(fingerprintOf('POST /v2/payments', good as Asked)).not.toBe(of({}))
    expect(of({ order: 'a', card: 'bc' })).not.toBe(of({ order: 'ab', card: 'c' }))
  })
})

it('E98 the scope is the credential, of which only a digest is kept', () => {
  const scope = (authorization: string) => scopeOf(request('', { authorization }))
  expect(scope('Bearer one')).not.toBe(scope('Bearer two'))
  expect(scope('Bearer one')).not.toContain('one')
  expect(scopeOf(request(''))).toBe('public')
})

describe('answers', () => {
  const payment = (state: State): Payment => ({
    id: 'pay_1', scope: 'public', key: 'key-1', fingerprint: 'f', order_ref: 'order-1', amount: 9900, currency: 'USD', card: '4242424242424242', description: '', state, epoch: 1, owner_node: 'n1', owner_life: 1, acquirer: 'bank', two_step: 0, doubts: 0, cancelled_at: null, queue_until: null, due_at: null, retry_ms: null, email: null,
    bank_key: 'bk_1', attempts: 1, first_sent_at: 1, sent_at: 1, charge: state === 'succeeded' ? 'ch_1' : null, reason: null, answer_status: null, answer_body: null, finished_at: null, created_at: 1, updated_at: 1,
  })

  it.each([
    ['claimed', 202, 'unknown', false],
    ['sent', 202, 'unknown', false],
    ['unknown', 202, 'unknown', false],
    ['review', 202, 'unknown', false],
    ['queued', 202, 'none', false],
    ['released', 503, 'none', true],
    ['authorised', 201, 'authorised', false],
    ['succeeded', 201, 'charged', false],
    ['declined', 402, 'none', true],
    ['voided', 409, 'none', true],
  ] as const)('%s reads %i, charge %s; another key is safe: %s', (state, status, charge, safe) => {
    const final = ['succeeded', 'authorised', 'declined', 'voided'].includes(state)
    const answer = final ? finalAnswer(payment(state)) : answerOf(payment(state), false)
    expect({ status: answer.status, ...JSON.parse(answer.body) }).toMatchObject({ status, state, charge_state: charge, safe_new_key: safe, payment_id: 'pay_1' })
    if (!final) expect(answer.headers['retry-after']).toBe('1')
  })

  it('a stored answer is given again byte for byte, and marked', () => {
    const stored = finalAnswer(payment('declined'))
    const again = answerOf({ ...payment('declined'), answer_status: stored.status, answer_body: stored.body }, true)
    expect(again).toEqual({ ...stored, headers: { ...stored.headers, 'idempotent-replayed': 'true' } })
  })

  it('none of them carries the card, the bank key or the client key', () => {
    for (const state of Object.keys(MOVES) as State[]) {
      const told = payment(state)
      for (const answer of [answerOf(told, false), finalAnswer(told), statusOf(told), keyInUse(told), keyReused(), orderTaken(told), resultExpired(told), unavailable('busy', 'none')]) {
        expect(JSON.stringify(answer)).not.toMatch(/4242424242424242|bk_1|key-1/)
      }
    }
  })

  it('an order under another key, and an expired answer, never say that a new key is safe: the money may have moved', () => {
    for (const answer of [orderTaken(payment('succeeded')), resultExpired(payment('declined'))]) expect(JSON.parse(answer.body)).toMatchObject({ safe_new_key: false })
  })
})
