/** The bank's own events: signed, sent more than once, in any order. */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { HttpRequest, HttpResponse } from '../../network.ts'
import { parseJson, problem } from '../../network.ts'

/** How far the bank's clock and ours may be apart, and how long a signature may be on its way. */
const TOLERANCE_MS = 5 * 60_000
const LONGEST_ID = 255

export interface BankEvent {
  id: string
  /** The charge that it is about, as a look-up would show it. */
  record: unknown
  /** Our id of the payment, or what somebody else gave the bank. */
  reference: string
}

/** The event, or the refusal: 404 when none are taken, 401 for a wrong signature or an old one, 400 for what is no event. */
export function readBankEvent(request: HttpRequest, secret: string, now: number): BankEvent | { response: HttpResponse } {
  if (secret === '') return { response: problem(404, 'no-bank-events', 'Events of a bank are not taken here', { detail: 'set bankEventSecret' }) }
  const signed = /^t=(\d{1,13}),v1=([0-9a-f]{64})$/.exec(request.headers['bank-signature'] ?? '')
  const expected = createHmac('sha256', secret).update(`${signed?.[1] ?? ''}.${request.body}`).digest()
  if (!signed || !timingSafeEqual(expected, Buffer.from(signed[2]!, 'hex'))) return { response: problem(401, 'bad-signature', 'The signature is missing or wrong') }
  if (Math.abs(now - Number(signed[1]) * 1000) > TOLERANCE_MS) return { response: problem(401, 'old-signature', 'The signature is too old, or a clock is wrong') }
  const body = parseJson(request.body) as { id?: unknown; data?: { object?: { reference?: unknown } } } | null | undefined
  const record = body?.data?.object
  if (typeof body?.id !== 'string' || body.id === '' || body.id.length > LONGEST_ID || typeof record?.reference !== 'string') return { response: problem(400, 'no-event', 'This is no event of a bank') }
  return { id: body.id, record, reference: record.reference.slice(0, LONGEST_ID) }
}
