/**
 * How providers treat their idempotency keys, look-ups and listings. What code has to survive is the difference between them:
 *
 * | dialect   | key's header              | lifetime | other parameters      | while in progress          | the key again |
 * |-----------|---------------------------|----------|-----------------------|----------------------------|---------------|
 * | stripe-v1 | Idempotency-Key, 255      | 24 h     | 400                   | 409                        | the first answer, a 500 too, once execution began |
 * | stripe-v2 | Idempotency-Key, 255      | 30 d     | 400                   | 409                        | a success: its answer; else the work is brought to its end, and what was done is not done again |
 * | adyen     | Idempotency-Key, 64       | 31 d     | 400                   | 409 and `transient-error`  | the first answer; the key is echoed in the answer's header |
 * | paypal    | PayPal-Request-Id, 255    | 6 h      | 400                   | 409                        | the latest status of what the first request made |
 * | checkout  | Cko-Idempotency-Key, 255  | 24 h     | 400                   | 409                        | a 2xx: its answer; 4xx and 5xx are executed again, and the money moves again |
 * | qonto     | X-Qonto-Idempotency-Key   | 30 min   | the first answer      | 409                        | a success: its answer; else executed again |
 * | checkbook | taken and ignored         | -        | executed              | executed                   | executed: the money moves again; look-ups by key do not exist |
 * | none      | taken and ignored         | -        | executed              | executed                   | executed; there are no look-ups and no listing either |
 *
 * Every dialect also takes the plain Idempotency-Key, so that one client can speak to all of them. Where a provider publishes no number or rule, the row is
 * the strictest reading of the others. Sources: docs.stripe.com/api/idempotent_requests and /error-low-level, docs.adyen.com/development-resources/api-idempotency,
 * developer.paypal.com/reference/guidelines/idempotency, checkout.com, docs.qonto.com, docs.checkbook.io, all read in 2026.
 */
export interface Dialect {
  name: string
  /** False when it ignores keys. */
  heedsKeys: boolean
  /** The provider's own name of the header, lower case; Idempotency-Key is taken too. */
  header: string
  /** Longest key. */
  keyCharacters: number
  keyLifetimeMs: number
  /** What the same key with other parameters gets. */
  otherBody: 'refuse' | 'replay'
  /** Whether an executed request that answered 4xx or 5xx is replayed, or executed again. */
  keepsErrors: boolean
  /** What a replay says: the first answer, or how the thing stands now. */
  replays: 'first' | 'latest'
  /** Whether an execution that answered an error, but had its effect, is answered with that effect instead of being executed again. */
  completes: boolean
  /** Header of every answer under a key: the key again. */
  echoesKey: boolean
  /** Look-ups and the listing of charges and refunds. */
  looksUp: boolean
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** Stripe promises "at least 24 hours"; a mock must forget at a time that one can test. */
const stripeV1: Dialect = {
  name: 'stripe-v1', heedsKeys: true, header: 'idempotency-key', keyCharacters: 255, keyLifetimeMs: DAY_MS,
  otherBody: 'refuse', keepsErrors: true, replays: 'first', completes: false, echoesKey: false, looksUp: true,
}

export const dialects: Record<string, Dialect> = {
  'stripe-v1': stripeV1,
  'stripe-v2': { ...stripeV1, name: 'stripe-v2', keyLifetimeMs: 30 * DAY_MS, keepsErrors: false, completes: true },
  adyen: { ...stripeV1, name: 'adyen', keyCharacters: 64, keyLifetimeMs: 31 * DAY_MS, echoesKey: true },
  paypal: { ...stripeV1, name: 'paypal', header: 'paypal-request-id', keyLifetimeMs: 6 * HOUR_MS, replays: 'latest' },
  checkout: { ...stripeV1, name: 'checkout', header: 'cko-idempotency-key', keepsErrors: false },
  qonto: { ...stripeV1, name: 'qonto', header: 'x-qonto-idempotency-key', keyLifetimeMs: HOUR_MS / 2, otherBody: 'replay', keepsErrors: false },
  checkbook: { ...stripeV1, name: 'checkbook', heedsKeys: false },
  none: { ...stripeV1, name: 'none', heedsKeys: false, looksUp: false },
}
