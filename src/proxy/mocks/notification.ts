/**
 * A notification service: takes every message, and remembers which it has seen before. A second one with the same id is taken too, for that is what
 * a customer would receive; it is marked as a duplicate in the ledger.
 *
 * | route                                        | answers |
 * |----------------------------------------------|---------|
 * | POST /v1/notifications {id, payment, ...}    | 202 `{id, duplicate}`; an Idempotency-Key is written down, the id is what counts; other fields are ignored |
 * | GET /ledger                                  | 200 `{notifications}`, at once |
 */
import { json, parseJson } from '../../network.ts'
import { answer, internalError, isText, ledgerFull, LEDGER_LIMIT, LieSchedule, malformed, objectOf, serve } from '../mock.ts'
import type { Asked, Latency, LieTable, Mock, MockSetup, Work } from '../mock.ts'
import { Slots } from '../weather.ts'

export const typicalLatency: Latency = { p50: 20, p99: 100 }

export const lies = {
  error_500: { asks: 'notification', summary: 'answers 500 and takes nothing' },
  taken_then_500: { asks: 'notification', summary: 'takes the message, then answers 500' },
  late_answer: { asks: 'notification', ms: 5000, summary: 'takes the message and answers after ms' },
} satisfies LieTable

export interface NotificationOptions {
  /** Messages to take before 507; LEDGER_LIMIT when absent. */
  ledgerLimit?: number
}

export interface Notification {
  id: string
  payment: string
  key: string | null
  duplicate: boolean
  /** ms since 1970, the service's clock. */
  at: number
}

export function notification(setup: MockSetup, options: NotificationOptions = {}): Mock & { readonly ledger: { readonly notifications: readonly Notification[] } } {
  const { clock, log } = setup
  const ledgerLimit = options.ledgerLimit ?? LEDGER_LIMIT
  const schedule = new LieSchedule('notification', lies, log)
  const ledger = { notifications: [] as Notification[] }
  const seen = new Set<string>()
  let taken = 0

  function take(asked: Asked): Work {
    const body = objectOf(parseJson(asked.body))
    if (!body) return malformed('the body is a JSON object')
    const { id, payment } = body
    if (!isText(id) || !isText(payment)) return malformed('a notification has an id and a payment of 1 to 255 characters')
    const key = asked.headers['idempotency-key'] ?? null
    if (key !== null && !isText(key)) return malformed('an Idempotency-Key has 1 to 255 characters')
    if (taken >= ledgerLimit) return answer(ledgerFull(ledgerLimit))
    taken++
    const lie = schedule.take('notification')
    if (lie?.kind === 'error_500') return answer(internalError())
    const finish = () => {
      const duplicate = seen.has(id)
      seen.add(id)
      ledger.notifications.push({ id, payment, key, duplicate, at: clock.now() })
      log.emit('notification.received', { id, payment, duplicate, ...(isText(body.type) ? { what: body.type } : {}) })
      return lie?.kind === 'taken_then_500' ? internalError() : json(202, { id, duplicate })
    }
    return { waitMs: lie?.kind === 'late_answer' ? lie.ms : undefined, finish, fail: internalError }
  }

  const slots = new Slots('notification', clock, log)
  const handle = serve(setup, { '/v1/notifications': { POST: take }, '/ledger': { GET: () => answer(json(200, ledger), 0) } }, slots)
  return { name: 'notification', handle, ledger, lie: (lie) => schedule.add(lie), heal: () => schedule.clear(), weather: (weather) => slots.change(weather) }
}
