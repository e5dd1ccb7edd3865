/** Why a policy did not let a call through, or stopped waiting for it. */
import { ResilError } from '../../errors.ts'

export type RefusalCode =
  /** Definite: the call was not made. */
  | 'BREAKER_OPEN'
  | 'BULKHEAD_FULL'
  | 'SHED'
  | 'DEADLINE_TOO_SHORT'
  | 'CALLER_LEFT'
  /** Unknown: the call was made, and whether it had an effect nobody knows. */
  | 'ATTEMPT_TIMED_OUT'
  | 'DEADLINE_EXCEEDED'
  | 'CALLER_LEFT_DURING'
  | 'OTHER_WAS_FASTER'

const WORDS: Record<RefusalCode, [message: string, hint: string]> = {
  BREAKER_OPEN: ['not called: the breaker is open', 'try again after retryAfterMs, or serve the fallback'],
  BULKHEAD_FULL: ['not called: as many calls are in flight as may be', 'try again after retryAfterMs; nothing was sent'],
  SHED: ['not called: somebody more important came', 'try again after retryAfterMs; nothing was sent'],
  DEADLINE_TOO_SHORT: ['not called: less time is left than the call needs', 'nothing was sent; give the operation a later deadline'],
  CALLER_LEFT: ['not called: the caller left', 'nothing was sent'],
  ATTEMPT_TIMED_OUT: ['the attempt took longer than it may', 'it may have had its effect: look it up before you repeat it'],
  DEADLINE_EXCEEDED: ['the deadline passed while the call was under way', 'it may have had its effect: look it up before you repeat it'],
  OTHER_WAS_FASTER: ['another copy of the call has answered', 'nothing is to be done: this copy was a hedge'],
  CALLER_LEFT_DURING: ['the caller left while the call was under way', 'it may have had its effect: look it up before you repeat it'],
}

const SENT: ReadonlySet<RefusalCode> = new Set<RefusalCode>(['ATTEMPT_TIMED_OUT', 'DEADLINE_EXCEEDED', 'CALLER_LEFT_DURING', 'OTHER_WAS_FASTER'])

/**
 * A ResilError without a stack: where a policy refused says nothing about why, and taking the stack is most of what an error costs.
 * `instanceof Error` holds; nothing of it is shared between callers.
 */
export class Refusal extends ResilError {
  declare readonly code: RefusalCode
  /** In how many ms asking again makes sense; 0 when it is not a question of time. */
  declare readonly retryAfterMs: number
  /** Whether the call may have been made: `false` says that nothing was sent. */
  declare readonly sent: boolean
}

const fields = { enumerable: true, configurable: true, writable: true }
Object.defineProperty(Refusal.prototype, 'name', { ...fields, enumerable: false, value: 'Refusal' })

export function refusal(code: RefusalCode, retryAfterMs = 0): Refusal {
  const made = Object.create(Refusal.prototype)
  const [message, hint] = WORDS[code]
  made.code = code
  made.message = message
  made.hint = hint
  made.retryAfterMs = retryAfterMs
  made.sent = SENT.has(code)
  return made
}
