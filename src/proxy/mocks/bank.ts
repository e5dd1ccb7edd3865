/**
 * A bank in the manner of Stripe: what really happened to the money in a run.
 *
 * | route                                        | answers |
 * |----------------------------------------------|---------|
 * | POST /v1/charges                             | 201 the charge; 402 the same with status `declined` and a reason; 409 `voided` when the reference's door is closed |
 * | the same with `capture: false`               | 201 the charge with status `authorised`: no money moves, and after seven days it is `expired` |
 * | POST /v1/captures {charge, amount?}          | 201 the charge, `succeeded`; 404 `no_such_charge`; 409 `not_capturable`; 400 `amount_too_large` (above what was authorised) |
 * | GET /v1/charges?key= or ?reference=          | 200 `{charges, has_more}`: the newest LOOKUP_LIMIT, oldest first, of every status; by key only while the key lives |
 * | GET /v1/charges?since=&until=&limit=&after=  | 200 `{charges, has_more}`: those made in [since, until), ms, oldest first, behind the one called `after`; for reconciliation |
 * | GET /v1/charges/{id}                         | 200 the charge; 404 |
 * | POST /v1/refunds {charge, amount}            | 201 the refund; 404 `no_such_charge`; 409 `not_refundable` (not captured, or voided); 400 `amount_too_large` (sum of refunds > captured) |
 * | GET /v1/refunds?key= or ?charge=             | 200 `{refunds, has_more}` as for charges |
 * | GET /v1/refunds/{id}                         | 200 the refund; 404 `no_such_refund` |
 * | POST /v1/voids {reference}                   | 200 `{status, reference, charges}`: gives the reference's charges back, lets its authorisations go and closes its door for ever; again: the same answer |
 * | GET /ledger                                  | 200 `{charges, authorisations, refunds, voids, declines}`, at once |
 *
 * Charges, captures and refunds take an Idempotency-Key, 1 to 255 characters; without one every request is a new one, as at Stripe:
 *
 * | the key's first request           | the key again, same parameters                  | other parameters |
 * |-----------------------------------|--------------------------------------------------|------------------|
 * | is in progress                    | 409 `idempotency_key_in_use`                     | 400 `idempotency_error` |
 * | was executed, whatever came of it | the first answer, with Idempotent-Replayed: true | 400 `idempotency_error` |
 * | was refused before it began       | executed                                         | executed |
 * | is older than the key's lifetime  | executed: the money moves again                  | executed |
 *
 * That is the dialect `stripe-v1`; how the other providers differ stands in ../bank/dialects.ts.
 * A request with `Authorization: Bearer sk_...` is for the bank's other face, which is Stripe's: see ../bank/stripe.ts.
 * Problems carry their word in `code`. Nothing keeps more of a card number than its last four digits and, for a key's lifetime, a digest.
 */
import type { Cancel } from '../../clock.ts'
import { ResilError } from '../../errors.ts'
import type { Log } from '../../events.ts'
import { connectionCut, json, parseJson, problem } from '../../network.ts'
import type { HttpRequest, HttpResponse, Service } from '../../network.ts'
import { dialects } from '../bank/dialects.ts'
import type { KeyRecord } from '../bank/keys.ts'
import { inUse, Keys } from '../bank/keys.ts'
import type { Charge, ChargeAsked, Happening, Refund, Refusal, Void } from '../bank/ledger.ts'
import { declines, Ledger } from '../bank/ledger.ts'
import { isStripes, StripeFace } from '../bank/stripe.ts'
import type { Message } from '../bank/webhooks.ts'
import { WEBHOOK_SECRET, Webhooks } from '../bank/webhooks.ts'
import { answer, GARBAGE, internalError, isAmountMinor, isCard, isCurrency, isText, ledgerFull, LEDGER_LIMIT, LieSchedule, malformed, objectOf, serve } from '../mock.ts'
import type { Asked, Latency, Lie, LieTable, Mock, MockSetup, Routes, Send, Work } from '../mock.ts'
import { Slots } from '../weather.ts'

export { dialects }
export type { Charge, Refund, Void }

export const typicalLatency: Latency = { p50: 300, p99: 2000 }

/**
 * Charge lies spoil new charges of good cards; replays, declines, refused and malformed requests pass them uncounted. So it is with captures, refunds and voids.
 * What the key remembers afterwards is said with each lie; all that were charged are found by look-ups with the true amount.
 */
export const lies = {
  charge_then_500: { asks: 'charge', summary: 'charges, then answers 500; the key keeps answering that 500, as at Stripe' },
  charge_then_reset: { asks: 'charge', summary: 'charges, then resets the connection; the key remembers the charge' },
  error_500: { asks: 'charge', summary: 'answers 500 and does not charge; the failure came before the work, so the key remembers nothing' },
  delayed_apply: { asks: 'charge', ms: 5000, summary: 'answers 504 at once and charges ms later; until then the key is in use and look-ups find nothing' },
  original_after: { asks: 'charge', ms: 900_000, summary: 'answers 504 at once, and the request reaches the bank ms later; until then the bank knows nothing of it, the key included' },
  in_progress: { asks: 'charge', ms: 5000, summary: 'answers 409 idempotency_key_in_use at once and charges ms later; until then the key is in use' },
  late_answer: { asks: 'charge', ms: 5000, summary: 'charges after ms, then answers truthfully; until then the key is in use' },
  wrong_amount: { asks: 'charge', summary: 'charges the asked amount and answers a hundred times as much; the key repeats that answer' },
  wrong_currency: { asks: 'charge', summary: 'charges the asked currency and answers another; the key repeats that answer' },
  wrong_reference: { asks: 'charge', summary: 'charges for the asked reference and answers another; the key repeats that answer' },
  failed_body: { asks: 'charge', summary: 'charges, and answers 200 with status "failed" and code "NR" for a time-out of its own; the key repeats that answer' },
  garbage: { asks: 'charge', summary: 'charges, but 200 and a page of HTML arrive; the key remembers the charge' },
  portal: { asks: 'charge', summary: 'does not charge, and 200 and a page of HTML arrive; the request never got to the bank, so the key remembers nothing' },
  key_forgotten: { asks: 'key', summary: 'forgets a key at the next request that uses it, look-ups by key included: what comes under it again is executed' },
  lookup_down: { asks: 'lookup', summary: 'answers 503 to look-ups and listings' },
  lookup_lag: { asks: 'lookup', ms: 2000, summary: 'look-ups and listings do not find what is younger than ms; those with nothing to hide are not counted' },
  capture_then_500: { asks: 'capture', summary: 'captures, then answers 500; the key keeps answering that 500' },
  capture_then_reset: { asks: 'capture', summary: 'captures, then resets the connection; the key remembers the capture' },
  delayed_capture: { asks: 'capture', ms: 5000, summary: 'answers 504 at once and captures ms later; until then the key is in use and look-ups show an authorisation' },
  refund_then_500: { asks: 'refund', summary: 'refunds, then answers 500; the key keeps answering that 500' },
  refund_then_reset: { asks: 'refund', summary: 'refunds, then resets the connection; the key remembers the refund' },
  delayed_refund: { asks: 'refund', ms: 5000, summary: 'answers 504 at once and refunds ms later; until then the key is in use and look-ups find nothing' },
  void_then_500: { asks: 'void', summary: 'voids, then answers 500; a second void gets the true answer' },
  void_then_reset: { asks: 'void', summary: 'voids, then resets the connection; a second void gets the true answer' },
  delayed_void: { asks: 'void', ms: 5000, summary: 'answers 504 at once and voids ms later; until then the door is open' },
  webhook_twice: { asks: 'webhook', summary: 'sends the same event twice' },
  webhook_late: { asks: 'webhook', ms: 30_000, summary: 'sends an event ms late' },
  webhook_first: { asks: 'webhook', ms: 2000, summary: 'sends an event before the answer, which waits until the event is answered, ms at most' },
  webhook_reordered: { asks: 'webhook', ms: 5000, summary: 'sends an event behind the next one, or after ms when none comes' },
} satisfies LieTable

export interface BankOptions {
  /** `bank` when absent. Events keep their types; those of any other carry the name in a field `bank`. */
  name?: string
  /** One of `dialects`; `stripe-v1` when absent. Throws UNKNOWN_DIALECT. */
  dialect?: string
  /** Charges, captures, refunds and voids to take on before 507; LEDGER_LIMIT when absent. */
  ledgerLimit?: number
}

export interface BankLedger {
  /** All that moved money, the voided ones too. */
  charges: readonly Charge[]
  /** All that began as an authorisation. */
  authorisations: readonly Charge[]
  refunds: readonly Refund[]
  voids: readonly Void[]
  declines: readonly Charge[]
}

export interface Bank extends Mock {
  readonly ledger: BankLedger
  /** See ../bank/webhooks.ts. */
  webhooks(send: Send): () => void
}

/** Charges in one look-up or page: Stripe's largest page. */
const LOOKUP_LIMIT = 100

export function bank(setup: MockSetup, options: BankOptions = {}): Bank {
  const { clock } = setup
  const name = options.name ?? 'bank'
  const log: Log = name === 'bank' ? setup.log : { emit: (type, fields) => setup.log.emit(type, { ...fields, bank: name }) }
  const dialectName = options.dialect ?? 'stripe-v1'
  const dialect = Object.hasOwn(dialects, dialectName) ? dialects[dialectName]! : undefined
  if (!dialect) throw new ResilError('UNKNOWN_DIALECT', `the bank does not speak ${dialectName}`, `it speaks ${Object.keys(dialects).join(', ')}`)
  const ledgerLimit = options.ledgerLimit ?? LEDGER_LIMIT
  const schedule = new LieSchedule('bank', lies, log)
  const webhooks = new Webhooks({ clock, ids: setup.random.fork('webhooks'), log, schedule, secret: WEBHOOK_SECRET })
  const ledger = new Ledger({ clock, ids: setup.random.fork('ids'), log, tell })
  /** Requests with an effect so far; bounds ledger and keys. */
  let taken = 0
  const keys = new Keys({ dialect, clock, log, schedule, takeSlot })

  function tell(what: Happening, made: Charge | Refund): void {
    stripe.told(made)
    webhooks.tell((id) => stripe.event(id, what, made) ?? messageOf(id, name, what, made, clock.now()))
  }

  /** What comes after its answer. */
  const coming = new Set<Cancel>()
  function later(ms: number, run: () => void): void {
    const cancel = clock.after(ms, () => {
      coming.delete(cancel)
      run()
    })
    coming.add(cancel)
  }

  function close(): void {
    for (const cancel of coming) cancel()
    coming.clear()
  }

  function takeSlot(): Work | undefined {
    if (taken >= ledgerLimit) return answer(ledgerFull(ledgerLimit))
    taken++
    return undefined
  }

  function charge(asked: Asked): Work {
    const wanted = readCharge(asked)
    if (typeof wanted === 'string') return malformed(wanted)
    const key = keys.of(asked)
    if (key === undefined) return malformed(NO_KEY)
    log.emit('bank.received', { ask: 'charge', key, reference: wanted.reference, amount: wanted.amount, currency: wanted.currency })
    return chargeOnce(wanted, key, true)
  }

  function chargeOnce(wanted: ChargeAsked, key: string | null, mayLie: boolean): Work {
    const { amount, currency, reference, card, capture } = wanted
    return keys.once(key, ['charge', amount, currency, reference, card, capture], (record) => {
      const lie = !mayLie || declines(card) || ledger.isShut(reference) ? undefined : schedule.take('charge')
      const late = () => void chargeOnce(wanted, key, false).finish()
      return spoilt(lie, record, () => {
        const made = ledger.charge(wanted, key)
        return 'refused' in made ? refusal(made, reference) : booked(record, made)
      }, late)
    })
  }

  function capture(asked: Asked): Work {
    const body = objectOf(parseJson(asked.body))
    if (!body || !isText(body.charge) || (body.amount !== undefined && !isAmountMinor(body.amount))) return malformed('a capture has a charge, and perhaps an amount in minor units, from 1')
    const key = keys.of(asked)
    if (key === undefined) return malformed(NO_KEY)
    const { charge: id, amount } = body as { charge: string; amount?: number }
    const original = ledger.find(id)
    log.emit('bank.received', { ask: 'capture', key, reference: original?.reference ?? null, amount: amount ?? original?.amount ?? null, currency: original?.currency ?? null })
    return keys.once(key, ['capture', id, amount], (record) => {
      const lie = original?.status === 'authorised' ? schedule.take('capture') : undefined
      return spoilt(lie, record, () => {
        const made = ledger.capture(id, amount, key)
        return 'refused' in made ? refusal(made) : booked(record, made)
      })
    })
  }

  function booked(record: KeyRecord, made: Charge): HttpResponse {
    record.charges.push(made)
    if (made.status === 'declined') return json(402, made)
    record.latest = () => json(201, made)
    return json(201, made)
  }

  function refund(asked: Asked): Work {
    const body = objectOf(parseJson(asked.body))
    if (!body || !isText(body.charge) || !isAmountMinor(body.amount)) return malformed('a refund has a charge and an amount in minor units, from 1')
    const key = keys.of(asked)
    if (key === undefined) return malformed(NO_KEY)
    const { charge: id, amount } = body as { charge: string; amount: number }
    const original = ledger.find(id)
    log.emit('bank.received', { ask: 'refund', key, reference: original?.reference ?? null, amount, currency: original?.currency ?? null })
    return keys.once(key, ['refund', id, amount], (record) => {
      const lie = original?.status === 'succeeded' && original.refunded + amount <= original.captured ? schedule.take('refund') : undefined
      return spoilt(lie, record, () => {
        const made = ledger.refund(id, amount, key)
        if ('refused' in made) return refusal(made)
        record.refunds.push(made)
        record.latest = () => json(201, made)
        return json(201, made)
      })
    })
  }

  function voidReference(asked: Asked): Work {
    const body = objectOf(parseJson(asked.body))
    if (!body || !isText(body.reference)) return malformed('a void has a reference of 1 to 255 characters')
    const key = keys.of(asked)
    if (key === undefined) return malformed(NO_KEY)
    const { reference } = body as { reference: string }
    log.emit('bank.received', { ask: 'void', key, reference, amount: null, currency: null })
    const apply = () => json(200, { status: 'voided', ...ledger.shut(reference) })
    if (ledger.isShut(reference)) return { finish: apply }
    const full = takeSlot()
    if (full) return full
    const lie = schedule.take('void')
    switch (lie?.kind) {
      case 'void_then_500':
        return { finish: () => (apply(), internalError()), fail: internalError }
      case 'void_then_reset':
        return { finish: () => (apply(), cut()), fail: internalError }
      case 'delayed_void':
        later(lie.ms, () => void apply())
        return answer(gatewayTimeout(), 0)
      default:
        return { finish: apply, fail: internalError }
    }
  }

  /**
   * How a work under a key goes, as the lie has it. `apply` has the effect, and gives the true answer; `late` is the whole request again, as if it
   * came only now.
   */
  function spoilt(lie: Lie | undefined, record: KeyRecord, apply: () => HttpResponse, late: () => void = () => {}): Work {
    switch (lie?.kind) {
      case 'charge_then_500':
      case 'capture_then_500':
      case 'refund_then_500':
        return { finish: () => (apply(), keys.keep(record, internalError())) }
      case 'charge_then_reset':
      case 'capture_then_reset':
      case 'refund_then_reset':
        return { finish: () => (keys.keep(record, apply()), cut()) }
      case 'error_500':
        return { finish: () => keys.free(record, internalError()) }
      case 'portal':
        return { finish: () => keys.free(record, GARBAGE) }
      case 'delayed_apply':
      case 'delayed_capture':
      case 'delayed_refund':
        later(lie.ms, () => void keys.keep(record, apply()))
        return answer(gatewayTimeout(), 0)
      case 'original_after':
        later(lie.ms, late)
        return answer(keys.free(record, gatewayTimeout()), 0)
      case 'in_progress':
        later(lie.ms, () => void keys.keep(record, apply()))
        return answer(inUse(), 0)
      case 'late_answer':
        return { waitMs: lie.ms, finish: () => keys.keep(record, apply()) }
      case 'wrong_amount':
        return { finish: () => keys.keep(record, altered(apply(), (body) => ({ amount: (body['amount'] as number) * 100 }))) }
      case 'wrong_currency':
        return { finish: () => keys.keep(record, altered(apply(), (body) => ({ currency: body['currency'] === 'EUR' ? 'USD' : 'EUR' }))) }
      case 'wrong_reference':
        return { finish: () => keys.keep(record, altered(apply(), (body) => ('reference' in body ? { reference: `${String(body['reference'])}-other` } : { id: `${String(body['id'])}0` }))) }
      case 'failed_body':
        return { finish: () => (apply(), keys.keep(record, json(200, { status: 'failed', code: 'NR', message: 'no response' }))) }
      case 'garbage':
        return { finish: () => (keys.keep(record, apply()), GARBAGE) }
      default:
        return { finish: () => keys.keep(record, apply()) }
    }
  }

  function lookUp(asked: Asked): Work {
    const query = new URLSearchParams(asked.query)
    if (query.has('since')) return query.has('key') || query.has('reference') ? malformed('list by time, or look up by key or by reference') : list(query)
    return lookUpBy(query, 'reference', 'charges', (key) => keys.find(key)?.charges, (reference) => ledger.withReference(reference))
  }

  function lookUpRefunds(asked: Asked): Work {
    return lookUpBy(new URLSearchParams(asked.query), 'charge', 'refunds', (key) => keys.find(key)?.refunds, (charge) => ledger.refundsOf(charge))
  }

  /** By key, or by `other`. */
  function lookUpBy<T extends Charge | Refund>(query: URLSearchParams, other: 'reference' | 'charge', name: 'charges' | 'refunds', byKey: (key: string) => readonly T[] | undefined, byOther: (value: string) => readonly T[]): Work {
    const key = query.get('key')
    const value = query.get(other)
    if ((key === null) === (value === null)) return malformed(`look up by key or by ${other}`)
    log.emit('bank.received', { ask: 'lookup', key, reference: other === 'reference' ? value : null, amount: null, currency: null })
    if (!dialect!.looksUp) return answer(noLookups())
    if (key !== null && !dialect!.heedsKeys) return malformed('this bank does not know its charges by key')
    return search(key === null ? other : 'key', (key ?? value)!, (found) => json(200, { [name]: found.slice(-LOOKUP_LIMIT), has_more: found.length > LOOKUP_LIMIT }), () => (key === null ? byOther(value!) : byKey(key)) ?? [])
  }

  function list(query: URLSearchParams): Work {
    const numbers = [query.get('since'), query.get('until') ?? String(Number.MAX_SAFE_INTEGER), query.get('limit') ?? String(LOOKUP_LIMIT)].map((text) => (/^\d{1,16}$/.test(text!) ? Number(text) : Number.NaN))
    const [sinceMs, untilMs, limit] = numbers as [number, number, number]
    if (!(sinceMs <= untilMs) || !(limit >= 1 && limit <= LOOKUP_LIMIT)) return malformed(`a listing has since and perhaps until in ms since 1970, and a limit from 1 to ${LOOKUP_LIMIT}`)
    const after = query.get('after')
    if (after !== null && !ledger.find(after)) return answer(noSuchCharge())
    log.emit('bank.received', { ask: 'list', key: null, reference: null, amount: null, currency: null })
    if (!dialect!.looksUp) return answer(noLookups())
    let more = false
    return search('time', `${sinceMs}..${untilMs}`, (found) => json(200, { charges: found, has_more: more }), () => {
      const page = ledger.page({ sinceMs, untilMs, after, limit })
      more = page.more
      return page.charges
    })
  }

  function retrieve(asked: Asked): Work {
    return lookUpOne(asked.last, ledger.find(asked.last)?.reference, () => ledger.find(asked.last), noSuchCharge)
  }

  function retrieveRefund(asked: Asked): Work {
    return lookUpOne(asked.last, ledger.findRefund(asked.last)?.reference, () => ledger.findRefund(asked.last), noSuchRefund)
  }

  function lookUpOne(id: string, reference: string | undefined, find: () => Charge | Refund | undefined, none: () => HttpResponse): Work {
    log.emit('bank.received', { ask: 'lookup', key: null, reference: reference ?? null, amount: null, currency: null })
    if (!dialect!.looksUp) return answer(noLookups())
    return search('id', id, (found) => (found[0] ? json(200, found[0]) : none()), () => {
      const made = find()
      return made ? [made] : []
    })
  }

  /** Looks when the latency has passed: a look-up that crosses a charge sees it. */
  function search<T extends { at: number }>(by: 'key' | 'reference' | 'charge' | 'id' | 'time', value: string, respond: (found: readonly T[]) => HttpResponse, find: () => readonly T[]): Work {
    return { finish: () => {
      let found = find()
      // They lie in the order of their making, so the last one is the youngest.
      const young = (lie: Lie) => (found.at(-1)?.at ?? Number.NEGATIVE_INFINITY) > clock.now() - lie.ms
      const lie = schedule.take('lookup', (due) => due.kind !== 'lookup_lag' || young(due))
      if (lie?.kind === 'lookup_down') return problem(503, 'lookup_down', 'look-ups are out of order', { code: 'lookup_down' })
      if (lie) found = found.slice(-LOOKUP_LIMIT).filter((made) => made.at <= clock.now() - lie.ms)
      log.emit('bank.looked_up', { by, value, found: found.length })
      return respond(found)
    } }
  }

  const books = (): BankLedger => ({ charges: ledger.charges, authorisations: ledger.authorisations, refunds: ledger.refunds, voids: ledger.voids, declines: ledger.declines })
  const routes: Routes = {
    '/v1/charges': { POST: charge, GET: lookUp },
    '/v1/charges/*': { GET: retrieve },
    '/v1/captures': { POST: capture },
    '/v1/refunds': { POST: refund, GET: lookUpRefunds },
    '/v1/refunds/*': { GET: retrieveRefund },
    '/v1/voids': { POST: voidReference },
    '/ledger': { GET: () => answer(json(200, books()), 0) },
  }
  const slots = new Slots('bank', clock, log)
  const own = serve(setup, telling(routes, webhooks), slots)
  const stripe = new StripeFace({ clock, ids: setup.random.fork('stripe'), log, ledger, keys, schedule, spoilt, search: dialect.looksUp ? search : () => answer(noLookups()) })
  const stripes = serve({ ...setup, random: setup.random.fork('stripe') }, telling(stripe.routes, webhooks), slots)
  const handle: Service = async (request) => (isStripes(request) ? stripe.answer(request, await stripes(request)) : own(request))
  return { name, handle, ledger: books(), lie: (lie) => schedule.add(lie), heal: () => schedule.clear(), close, weather: (weather) => slots.change(weather), webhooks: (send) => webhooks.bind(send) }
}

/** The routes, with answers that wait for a webhook that must come first. */
function telling(routes: Routes, webhooks: Webhooks): Routes {
  const wrap = (route: (asked: Asked) => Work) => (asked: Asked) => {
    const work = route(asked)
    return { ...work, finish: () => webhooks.during(work.finish) }
  }
  return Object.fromEntries(Object.entries(routes).map(([path, methods]) => [path, Object.fromEntries(Object.entries(methods).map(([method, route]) => [method, wrap(route)]))]))
}

/** `data.object` is how the thing stood when it happened. */
function messageOf(id: string, bank: string, what: Happening, made: Charge | Refund, nowMs: number): Message {
  return { id, about: what, reference: made.reference, body: JSON.stringify({ id, type: what, created: nowMs, bank, data: { object: made } }), signedIn: 'bank-signature' }
}

const NO_KEY = 'an Idempotency-Key has 1 to 255 characters'

/** The charge that is asked for, or what is wrong with it. */
function readCharge(request: HttpRequest): ChargeAsked | string {
  const body = objectOf(parseJson(request.body))
  if (!body) return 'the body is a JSON object'
  const { amount, currency, reference, card, capture } = body
  if (!isAmountMinor(amount)) return 'amount is an integer in minor units, from 1 to 999999999999'
  if (!isCurrency(currency)) return 'currency has three letters'
  if (!isText(reference)) return 'reference has 1 to 255 characters'
  if (!isCard(card)) return 'card is a card number or a token such as tok_visa'
  if (capture !== undefined && typeof capture !== 'boolean') return 'capture is true or false'
  return { amount, currency: currency.toUpperCase(), reference, card, capture: capture ?? true }
}

function refusal(refused: Refusal, reference?: string): HttpResponse {
  switch (refused.refused) {
    case 'voided':
      return problem(409, 'voided', 'this reference was voided and takes no charge any more', { code: 'voided', reference })
    case 'no_such_charge':
      return noSuchCharge()
    case 'not_capturable':
    case 'not_refundable':
      return problem(409, refused.refused, `the charge is ${refused.status}`, { code: refused.refused })
    case 'amount_too_large':
      return problem(400, 'amount_too_large', 'captures cannot exceed what was authorised, nor refunds what was captured', { code: 'amount_too_large', left: refused.left })
  }
}

function noSuchCharge(): HttpResponse {
  return problem(404, 'no_such_charge', 'there is no such charge', { code: 'no_such_charge' })
}

function noSuchRefund(): HttpResponse {
  return problem(404, 'no_such_refund', 'there is no such refund', { code: 'no_such_refund' })
}

function noLookups(): HttpResponse {
  return problem(404, 'no_lookups', 'this bank tells nobody what it did', { code: 'no_lookups' })
}

function gatewayTimeout(): HttpResponse {
  return problem(504, 'gateway_timeout', 'the bank did not answer in time', { code: 'gateway_timeout' })
}

function cut(): never {
  throw connectionCut('the bank did it and hung up')
}

/** The answer of a bank that confuses one thing; its refusals are true. */
function altered(response: HttpResponse, change: (body: Record<string, unknown>) => Record<string, unknown>): HttpResponse {
  if (response.status >= 300) return response
  const body = JSON.parse(response.body) as Record<string, unknown>
  return { ...response, body: JSON.stringify({ ...body, ...change(body) }) }
}
