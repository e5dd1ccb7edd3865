/** The bank behind Stripe's face, asked by Stripe's own SDK, unmodified, over sockets; and behind a link that loses answers. */
import { Stripe } from 'stripe'
import { afterEach, describe, expect, test } from 'vitest'
import { SystemClock } from '../../../src/clock.ts'
import { EventLog } from '../../../src/events.ts'
import type { Event } from '../../../src/events.ts'
import { serveHttp } from '../../../src/http-server.ts'
import type { HttpRequest } from '../../../src/network.ts'
import { Random } from '../../../src/random.ts'
import { WEBHOOK_SECRET } from '../../../src/proxy/bank/webhooks.ts'
import { Link } from '../../../src/proxy/link.ts'
import { bank } from '../../../src/proxy/mocks/bank.ts'
import { Rules } from '../../../src/proxy/rules.ts'
import { toxics } from '../wire.ts'
import { openBank, read } from './open-bank.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** A bank on a socket, a link before it, and the SDK on the other side of both. */
async function openStripe(options: { dialect?: string; maxNetworkRetries?: number } = {}) {
  const clock = new SystemClock()
  const log = new EventLog('test', clock)
  const events: Event[] = []
  log.subscribe((event) => events.push(event))
  const it = bank({ clock, random: Random.seeded(1), log: log.from('mock'), latency: { p50: 0, p99: 0 } }, options)
  const heads: Record<string, string>[] = []
  const server = await serveHttp((request) => (heads.push(request.headers), it.handle(request)), { clock })
  closers.push(() => server.close(0))
  const said = log.from('proxy')
  const rules = new Rules({ link: 'bank', seed: 1, toxics, clock, log: said })
  const link = new Link({ name: 'bank', listen: { port: 0 }, upstream: { host: '127.0.0.1', port: server.port }, rules, clock, log: said })
  await link.setEnabled(true)
  closers.push(() => link.close())
  const stripe = new Stripe('sk_test_mock', { host: '127.0.0.1', port: link.address.port, protocol: 'http', telemetry: false, maxNetworkRetries: options.maxNetworkRetries ?? 0 })
  const tell = (kind: string) => it.lie({ kind, times: 1, after: 0, ms: 0 })
  const of = (type: string) => events.filter((event) => event.type === type)
  return { bank: it, stripe, rules, heads, of, tell }
}

const paid = { amount: 9900, currency: 'usd', payment_method: 'pm_card_visa', confirm: true, metadata: { reference: 'order-1' } } as const

/** What the SDK throws. */
const failure = (work: Promise<unknown>) => work.then(() => expect.unreachable('it went well'), (error: InstanceType<typeof Stripe.errors.StripeError>) => error)

describe('the SDK', () => {
  test('creates, confirms and retrieves an intent; the ledger holds one charge under its reference', async () => {
    const { bank, stripe, of } = await openStripe()
    const created = await stripe.paymentIntents.create({ amount: 9900, currency: 'usd', metadata: { reference: 'order-1' } })
    expect(created).toMatchObject({ object: 'payment_intent', status: 'requires_payment_method', amount: 9900, currency: 'usd', latest_charge: null })
    expect(created.lastResponse).toMatchObject({ statusCode: 200, requestId: expect.stringMatching(/^req_/) })
    const confirmed = await stripe.paymentIntents.confirm(created.id, { payment_method: 'pm_card_visa' })
    expect(confirmed).toMatchObject({ id: created.id, status: 'succeeded', amount_received: 9900, payment_method: 'pm_card_visa', metadata: { reference: 'order-1' } })
    expect(await stripe.paymentIntents.retrieve(created.id)).toEqual(confirmed)
    const charge = await stripe.charges.retrieve(confirmed.latest_charge as string)
    expect(charge).toMatchObject({ object: 'charge', status: 'succeeded', captured: true, paid: true, amount: 9900, payment_intent: created.id, failure_code: null })
    expect(bank.ledger.charges).toMatchObject([{ id: charge.id, reference: 'order-1', amount: 9900, currency: 'USD', status: 'succeeded' }])
    expect(of('bank.charged')).toMatchObject([{ reference: 'order-1', amount: 9900 }])
  })

  test('without a reference of its own the intent is the reference', async () => {
    const { bank, stripe } = await openStripe()
    const intent = await stripe.paymentIntents.create({ ...paid, metadata: {} })
    expect(bank.ledger.charges).toMatchObject([{ reference: intent.id }])
  })

  test.each([
    ['pm_card_chargeDeclined', 'card_declined', 'generic_decline'],
    ['pm_card_chargeDeclinedInsufficientFunds', 'card_declined', 'insufficient_funds'],
    ['pm_card_chargeDeclinedExpiredCard', 'expired_card', 'expired_card'],
  ])('%s is a card error %s, %s; another card may be tried', async (method, code, declineCode) => {
    const { stripe, bank } = await openStripe()
    const error = await failure(stripe.paymentIntents.create({ ...paid, payment_method: method }))
    expect(error).toBeInstanceOf(Stripe.errors.StripeCardError)
    expect(error).toMatchObject({ statusCode: 402, code, decline_code: declineCode, payment_intent: { status: 'requires_payment_method', last_payment_error: { code } } })
    const { id } = error.payment_intent!
    expect(await stripe.charges.list({ payment_intent: id })).toMatchObject({ data: [{ status: 'failed', failure_code: code, paid: false }] })
    expect((await stripe.paymentIntents.confirm(id, { payment_method: 'pm_card_visa' })).status).toBe('succeeded')
    expect([bank.ledger.declines.length, bank.ledger.charges.length]).toEqual([1, 1])
  })

  test('authorises, captures a part, and cancels', async () => {
    const { stripe, bank, of } = await openStripe()
    const held = await stripe.paymentIntents.create({ ...paid, capture_method: 'manual' })
    expect(held).toMatchObject({ status: 'requires_capture', amount_capturable: 9900, amount_received: 0 })
    expect(await failure(stripe.paymentIntents.capture(held.id, { amount_to_capture: 9901 }))).toMatchObject({ statusCode: 400, code: 'amount_too_large', param: 'amount_to_capture' })
    expect(await stripe.paymentIntents.capture(held.id, { amount_to_capture: 5000 })).toMatchObject({ status: 'succeeded', amount_received: 5000 })
    expect(await failure(stripe.paymentIntents.cancel(held.id))).toMatchObject({ code: 'payment_intent_unexpected_state', payment_intent: { status: 'succeeded' } })
    const other = await stripe.paymentIntents.create({ ...paid, capture_method: 'manual' })
    expect((await stripe.paymentIntents.cancel(other.id)).status).toBe('canceled')
    expect(await failure(stripe.paymentIntents.capture(other.id))).toMatchObject({ code: 'payment_intent_unexpected_state' })
    expect(of('bank.charged')).toMatchObject([{ amount: 5000 }])
    expect(of('bank.voided')).toMatchObject([{ charge: other.latest_charge }])
    expect(bank.ledger.voids).toEqual([])
  })

  test('refunds a part and the rest, and no more', async () => {
    const { stripe, bank } = await openStripe()
    const intent = await stripe.paymentIntents.create(paid)
    const part = await stripe.refunds.create({ payment_intent: intent.id, amount: 900 })
    expect(part).toMatchObject({ object: 'refund', amount: 900, charge: intent.latest_charge, payment_intent: intent.id, status: 'succeeded' })
    expect(await failure(stripe.refunds.create({ charge: intent.latest_charge as string, amount: 9001 }))).toMatchObject({ statusCode: 400, param: 'amount' })
    const rest = await stripe.refunds.create({ charge: intent.latest_charge as string })
    expect(rest.amount).toBe(9000)
    expect(await failure(stripe.refunds.create({ payment_intent: intent.id }))).toMatchObject({ code: 'charge_already_refunded' })
    expect(await stripe.refunds.retrieve(part.id)).toEqual(part)
    expect((await stripe.refunds.list({ payment_intent: intent.id })).data.map((refund) => refund.id)).toEqual([rest.id, part.id])
    expect(await stripe.charges.retrieve(intent.latest_charge as string)).toMatchObject({ refunded: true, amount_refunded: 9900 })
    expect(bank.ledger.refunds).toHaveLength(2)
  })

  test('pages through everything by itself, newest first, each once', async () => {
    const { stripe, bank } = await openStripe()
    for (let n = 0; n < 12; n++) await stripe.paymentIntents.create({ ...paid, amount: 100 + n })
    const first = await stripe.charges.list({ limit: 5 })
    expect([first.data.length, first.has_more, first.data[0]!.amount]).toEqual([5, true, 111])
    const charges = await stripe.charges.list({ limit: 5 }).autoPagingToArray({ limit: 100 })
    expect(charges.map((charge) => charge.amount)).toEqual(Array.from({ length: 12 }, (_, n) => 111 - n))
    expect((await stripe.charges.list({ limit: 12 })).has_more).toBe(false)
    const intents = await stripe.paymentIntents.list({ limit: 4 }).autoPagingToArray({ limit: 100 })
    expect(intents.map((intent) => intent.latest_charge)).toEqual(bank.ledger.charges.map((charge) => charge.id).reverse())
    expect(await failure(stripe.charges.list({ limit: 101 }))).toMatchObject({ statusCode: 400, param: 'limit' })
    expect(await failure(stripe.charges.list({ starting_after: 'ch_none' }))).toMatchObject({ statusCode: 400, code: 'resource_missing' })
  })

  test('an idempotency key replays, refuses other parameters, and says so in the SDK\'s own words', async () => {
    const { stripe, bank } = await openStripe()
    const first = await stripe.paymentIntents.create(paid, { idempotencyKey: 'key-1' })
    const again = await stripe.paymentIntents.create(paid, { idempotencyKey: 'key-1' })
    expect(again.id).toBe(first.id)
    expect([first.lastResponse.headers['idempotent-replayed'], again.lastResponse.headers['idempotent-replayed'], again.lastResponse.idempotencyKey]).toEqual([undefined, 'true', 'key-1'])
    const error = await failure(stripe.paymentIntents.create({ ...paid, amount: 1 }, { idempotencyKey: 'key-1' }))
    expect(error).toBeInstanceOf(Stripe.errors.StripeIdempotencyError)
    expect(error.statusCode).toBe(400)
    expect(bank.ledger.charges).toHaveLength(1)
    const [one, other] = [await stripe.paymentIntents.create({ ...paid, confirm: false }), await stripe.paymentIntents.create({ ...paid, confirm: false })]
    expect(one.status).toBe('requires_confirmation')
    expect((await stripe.paymentIntents.confirm(one.id, {}, { idempotencyKey: 'key-3' })).status).toBe('succeeded')
    expect(await failure(stripe.paymentIntents.confirm(other.id, {}, { idempotencyKey: 'key-3' }))).toBeInstanceOf(Stripe.errors.StripeIdempotencyError)
    expect(bank.ledger.charges).toHaveLength(2)
    const declined = { ...paid, payment_method: 'pm_card_chargeDeclined' }
    for (const _ of [1, 2]) await failure(stripe.paymentIntents.create(declined, { idempotencyKey: 'key-2' }))
    expect(bank.ledger.declines).toHaveLength(1)
  })

  test('what is asked for wrongly is an invalid request, and no card number comes back', async () => {
    const { stripe, bank } = await openStripe()
    expect(await failure(stripe.paymentIntents.create({ ...paid, amount: 0 }))).toMatchObject({ type: 'StripeInvalidRequestError', param: 'amount' })
    expect(await failure(stripe.paymentIntents.create({ ...paid, currency: 'dollars' }))).toMatchObject({ param: 'currency' })
    expect(await failure(stripe.paymentIntents.create({ ...paid, payment_method: 'pm_unknown' }))).toMatchObject({ code: 'resource_missing', param: 'payment_method' })
    expect(await failure(stripe.paymentIntents.retrieve('pi_unknown'))).toMatchObject({ statusCode: 404, code: 'resource_missing' })
    expect(await failure(stripe.paymentIntents.create({ amount: 1, currency: 'usd', confirm: true }))).toMatchObject({ code: 'payment_intent_unexpected_state' })
    const raw = await failure(stripe.paymentMethods.create({ type: 'card', card: { number: '4242424242424242', exp_month: 1, exp_year: 2040 } as never }))
    expect(raw).toMatchObject({ type: 'StripeInvalidRequestError' })
    expect(raw.message).not.toContain('4242')
    expect(await failure(stripe.customers.list())).toMatchObject({ statusCode: 404, type: 'StripeInvalidRequestError' })
    expect(bank.ledger.charges).toEqual([])
  })

  test('pays with a payment method that it created from a token', async () => {
    const { stripe } = await openStripe()
    const good = await stripe.paymentMethods.create({ type: 'card', card: { token: 'tok_visa' } })
    const bad = await stripe.paymentMethods.create({ type: 'card', card: { token: 'tok_chargeDeclined' } })
    expect(await stripe.paymentMethods.retrieve(good.id)).toEqual(good)
    expect((await stripe.paymentIntents.create({ ...paid, payment_method: good.id })).status).toBe('succeeded')
    expect(await failure(stripe.paymentIntents.create({ ...paid, payment_method: bad.id }))).toMatchObject({ code: 'card_declined' })
  })
})

describe('the SDK\'s own retries, under the keys that it makes', () => {
  test('a lost answer is one charge', async () => {
    const { stripe, bank, rules, heads, of } = await openStripe({ maxNetworkRetries: 2 })
    rules.add({ link: 'bank', type: 'lost_response', attributes: { method: 'POST', path: '/v1/payment_intents', first: 1 } })
    const intent = await stripe.paymentIntents.create(paid)
    expect(intent).toMatchObject({ status: 'succeeded' })
    expect(intent.lastResponse.headers['idempotent-replayed']).toBe('true')
    expect(of('toxic.hit')).toHaveLength(1)
    expect(heads.map((head) => head['idempotency-key'])).toEqual([expect.stringMatching(/^stripe-node-retry-/), heads[0]!['idempotency-key']])
    expect(bank.ledger.charges).toMatchObject([{ id: intent.latest_charge, reference: 'order-1' }])
  })

  test('a bank that charges and resets, or is in progress, is one charge too', async () => {
    const { stripe, bank, tell, of } = await openStripe({ maxNetworkRetries: 2 })
    for (const kind of ['charge_then_reset', 'in_progress']) {
      tell(kind)
      expect((await stripe.paymentIntents.create(paid)).status, kind).toBe('succeeded')
    }
    expect(of('bank.lied')).toHaveLength(2)
    expect(bank.ledger.charges).toHaveLength(2)
  })

  test('against a provider that forgets its failures it charges twice', async () => {
    const { stripe, bank, tell } = await openStripe({ dialect: 'checkout', maxNetworkRetries: 2 })
    tell('charge_then_500')
    await stripe.paymentIntents.create(paid)
    expect(bank.ledger.charges).toHaveLength(2)
  })
})

describe('its webhooks', () => {
  test('are events that constructEvent verifies; payments of the other face send the other kind', async () => {
    const { bank, clock, charge, send, run } = openBank()
    const heard: HttpRequest[] = []
    bank.webhooks!((request) => (heard.push(request), Promise.resolve({ kind: 'ok', value: { status: 200, headers: {}, body: '' } })))
    const stripe = (path: string, form: Record<string, string>) => send('POST', path, new URLSearchParams(form).toString(), { authorization: 'Bearer sk_test_mock', 'content-type': 'application/x-www-form-urlencoded' })
    await run(async () => {
      const form = { amount: '9900', currency: 'usd', payment_method: 'pm_card_visa', confirm: 'true' }
      const intent = read(await stripe('/v1/payment_intents', form))
      await stripe('/v1/refunds', { payment_intent: intent.id })
      expect((await stripe('/v1/payment_intents', { ...form, payment_method: 'pm_card_chargeDeclined' })).status).toBe(402)
      const held = read(await stripe('/v1/payment_intents', { ...form, capture_method: 'manual' }))
      await stripe(`/v1/payment_intents/${held.id}/cancel`, {})
      await charge()
      await clock.sleep(1000)
      const receivedAt = Math.floor(clock.now() / 1000)
      const verify = ({ body, headers }: HttpRequest, secret = WEBHOOK_SECRET) => Stripe.webhooks.constructEvent(body, headers['stripe-signature']!, secret, 300, undefined, receivedAt * 1000)
      const events = heard.slice(0, 5).map((request) => verify(request))
      expect(events.map((event) => event.type)).toEqual(['payment_intent.succeeded', 'charge.refunded', 'payment_intent.payment_failed', 'payment_intent.amount_capturable_updated', 'payment_intent.canceled'])
      expect(events[0]).toMatchObject({ object: 'event', data: { object: { id: intent.id, status: 'succeeded', latest_charge: intent.latest_charge } } })
      expect(events[2]).toMatchObject({ data: { object: { status: 'requires_payment_method', payment_method: null, last_payment_error: { code: 'card_declined' } } } })
      expect(events[1]).toMatchObject({ data: { object: { object: 'charge', refunded: true } } })
      expect(() => verify(heard[0]!, 'whsec_other')).toThrow(/signature/i)
      expect(JSON.parse(heard[5]!.body)).toMatchObject({ type: 'charge.succeeded' })
      expect(heard[5]!.headers).not.toHaveProperty('stripe-signature')
    })
  })
})

test('a bank that answers no question answers none here', async () => {
  const { send, run } = openBank({ dialect: 'none' })
  expect(read(await run(() => send('GET', '/v1/charges', '', { authorization: 'Bearer sk_test_mock' })))).toMatchObject({ error: { type: 'invalid_request_error', code: 'no_lookups' } })
})

test('a request without a secret key is for the other face', async () => {
  const { send, run } = openBank()
  await run(async () => {
    expect((await send('GET', '/v1/payment_intents')).status).toBe(404)
    expect((await send('GET', '/v1/payment_intents', '', { authorization: 'Basic c2tf' })).status).toBe(404)
    expect(read(await send('GET', '/v1/payment_intents', '', { authorization: 'Bearer sk_test_mock' }))).toMatchObject({ object: 'list', data: [] })
    expect(read(await send('DELETE', '/v1/payment_intents', '', { authorization: 'Bearer sk_test_mock' }))).toMatchObject({ error: { type: 'invalid_request_error' } })
  })
})
