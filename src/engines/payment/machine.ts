/**
 * The states of a payment, and the moves between them.
 *
 *              ┌──────────── same key again ───────────┐
 *              ▼                                       │
 *   (C1) ── claimed ──────────(nothing was sent)──▶ released
 *            │ ▲ └─(fraud says no)──▶ declined         ▲
 *            │ └──▶ queued ──(too late)────────────────┤
 *         (C2) ▼                          ▲            │ (the bank never got it, or refused it unprocessed)
 *             sent ───────────(C3)────────┼────────────┤
 *              │ └────────────(C3)──▶ succeeded        │
 *              │ └──▶ authorised ────────▲             │
 *              ▼                          ▲            │
 *           unknown ──look-up / resend────┴──▶ declined | voided | review
 *
 * `released` rests: the client was told "not charged", and nothing happens until the same key asks again.
 * `queued` waits, with the payer's consent, for a bank that can be asked. `authorised` holds the money; its capture is owed by the outbox.
 * `review` rests with an operator. Time alone moves nothing out of `unknown`.
 */
export type State = 'claimed' | 'queued' | 'sent' | 'unknown' | 'authorised' | 'succeeded' | 'declined' | 'released' | 'voided' | 'review'

export const MOVES: Record<State, readonly State[]> = {
  claimed: ['sent', 'released', 'declined', 'queued', 'voided'],
  queued: ['claimed', 'released', 'voided'],
  sent: ['sent', 'succeeded', 'authorised', 'declined', 'unknown', 'released', 'queued', 'review'],
  unknown: ['sent', 'succeeded', 'authorised', 'declined', 'voided', 'review'],
  authorised: ['succeeded', 'voided', 'review'],
  released: ['claimed', 'voided'],
  succeeded: [],
  declined: [],
  voided: [],
  review: ['succeeded', 'voided'],
}

/** States in which somebody still has to do something: an abandoned one is recovered. */
export const UNFINISHED: readonly State[] = ['claimed', 'sent', 'unknown']

/** States whose answer is final and stored under the key. */
export const FINAL: readonly State[] = ['succeeded', 'authorised', 'declined', 'voided']

export type ChargeState = 'none' | 'authorised' | 'charged' | 'unknown'

/** What is known about the payer's money. */
export function chargeState(state: State): ChargeState {
  if (state === 'succeeded') return 'charged'
  if (state === 'authorised') return 'authorised'
  return state === 'declined' || state === 'released' || state === 'voided' || state === 'queued' ? 'none' : 'unknown'
}
