/**
 * A fraud service: says allow or deny, and changes nothing in the world, so it may be asked as often as one likes.
 *
 * | route                                                        | answers |
 * |--------------------------------------------------------------|---------|
 * | POST /v1/assessments {amount, currency, reference, card?}    | 200 `{decision, score}`, score 0..99; the same request gets the same answer |
 * | GET /ledger                                                  | 200 `{assessments}`, at once |
 */
import { json, parseJson } from '../../network.ts'
import { answer, GARBAGE, internalError, isAmountMinor, isCard, isCurrency, isText, last4, ledgerFull, LEDGER_LIMIT, LieSchedule, malformed, objectOf, serve } from '../mock.ts'
import type { Asked, Latency, LieTable, Mock, MockSetup, Work } from '../mock.ts'
import { Slots } from '../weather.ts'

export const typicalLatency: Latency = { p50: 40, p99: 200 }

export const lies = {
  error_500: { asks: 'assessment', summary: 'answers 500 and assesses nothing' },
  late_answer: { asks: 'assessment', ms: 5000, summary: 'assesses and answers truthfully after ms' },
  garbage: { asks: 'assessment', summary: 'assesses, but 200 and a page of HTML arrive' },
} satisfies LieTable

export interface FraudOptions {
  /** Assessments to take on before 507; LEDGER_LIMIT when absent. */
  ledgerLimit?: number
}

export interface Assessment {
  reference: string
  amount: number
  currency: string
  last4: string | null
  decision: 'allow' | 'deny'
  score: number
  /** ms since 1970, the service's clock. */
  at: number
}

/** Stripe's published test card whose payments its fraud service always blocks, and its token; every other card is allowed. */
const BLOCKED = new Set(['4100000000000019', 'tok_chargeDeclinedFraudulent'])

export function fraud(setup: MockSetup, options: FraudOptions = {}): Mock & { readonly ledger: { readonly assessments: readonly Assessment[] } } {
  const { clock, log } = setup
  const ledgerLimit = options.ledgerLimit ?? LEDGER_LIMIT
  const schedule = new LieSchedule('fraud', lies, log)
  const ledger = { assessments: [] as Assessment[] }
  let taken = 0

  function assess(asked: Asked): Work {
    const body = objectOf(parseJson(asked.body))
    if (!body) return malformed('the body is a JSON object')
    const { amount, currency, reference, card } = body
    if (!isAmountMinor(amount) || !isCurrency(currency) || !isText(reference)) return malformed('an assessment has an amount in minor units from 1, a currency of three letters and a reference')
    if (card !== undefined && !isCard(card)) return malformed('card is a card number or a token such as tok_visa')
    if (taken >= ledgerLimit) return answer(ledgerFull(ledgerLimit))
    taken++
    const lie = schedule.take('assessment')
    if (lie?.kind === 'error_500') return answer(internalError())
    const finish = () => {
      const decision = card !== undefined && BLOCKED.has(card) ? 'deny' : 'allow'
      const score = decision === 'deny' ? 92 : 12
      ledger.assessments.push({ reference, amount, currency: currency.toUpperCase(), last4: card === undefined ? null : last4(card), decision, score, at: clock.now() })
      log.emit('fraud.assessed', { reference, amount, decision })
      return lie?.kind === 'garbage' ? GARBAGE : json(200, { decision, score })
    }
    return { waitMs: lie?.kind === 'late_answer' ? lie.ms : undefined, finish, fail: internalError }
  }

  const slots = new Slots('fraud', clock, log)
  const handle = serve(setup, { '/v1/assessments': { POST: assess }, '/ledger': { GET: () => answer(json(200, ledger), 0) } }, slots)
  return { name: 'fraud', handle, ledger, lie: (lie) => schedule.add(lie), heal: () => schedule.clear(), weather: (weather) => slots.change(weather) }
}
