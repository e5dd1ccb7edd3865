/**
 * The states of a payment, and the moves between them.
 *
 *              ┌──────────── same key again ───────────┐
 *              ▼                                       │
 *   (C1) ── claimed ──────────(nothing was sent)──▶ released
 *              │ └──(fraud says no)──▶ declined        ▲
 *         (C2) ▼                          ▲            │ (the bank never got it, or refused it unprocessed)
 *             sent ───────────(C3)────────┼────────────┤
 *              │ └────────────(C3)──▶ succeeded        │
 *              ▼                          ▲
 *           unknown ──look-up / resend────┴──▶ declined | voided | review
 *
 * `released` rests: the client was told "not charged", and nothing happens until the same key asks again.
 * `review` rests with an operator. Time alone moves nothing out of `unknown`.
 */
export type State = 'claimed' | 'sent' | 'unknown' | 'succeeded' | 'declined' | 'released' | 'voided' | 'review'

export const MOVES: Record<State, readonly State[]> = {
  claimed: ['sent', 'released', 'declined'],
  sent: ['succeeded', 'declined', 'unknown', 'released', 'review'],
  unknown: ['sent', 'succeeded', 'declined', 'voided', 'review'],
  released: ['claimed'],
  succeeded: [],
  declined: [],
  voided: [],
  review: [],
}

/** States in which somebody still has to do something: an abandoned one is recovered. */
export const UNFINISHED: readonly State[] = ['claimed', 'sent', 'unknown']

/** States whose answer is final and stored under the key. */
export const FINAL: readonly State[] = ['succeeded', 'declined', 'voided']

export type ChargeState = 'none' | 'charged' | 'unknown'

/** What is known about the payer's money. */
export function chargeState(state: State): ChargeState {
  if (state === 'succeeded') return 'charged'
  return state === 'declined' || state === 'released' || state === 'voided' ? 'none' : 'unknown'
}
