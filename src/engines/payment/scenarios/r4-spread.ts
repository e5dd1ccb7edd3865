import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { chargesSent, expectTold } from '../staging.ts'

const CUSTOMERS = 80
/** Every wait is uniform in [0, this]. */
const WAIT_MS = 400
/** Kolmogorov and Smirnov: of uniform samples one in a thousand is further off than this, times the square root of their number. */
const FURTHEST = 1.95

/** How far the samples are from uniform in [0, 1]: the largest distance of the two distributions. */
function distance(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b)
  return Math.max(0, ...sorted.map((x, n) => Math.max((n + 1) / sorted.length - x, x - n / sorted.length)))
}

export const scenario: Scenario<PaymentAdapter> = {
  name: 'R4',
  summary: 'retries are spread evenly over their waits, so that those who failed together do not come again together',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'omission' }],
  settings: { retryBackoff: { baseMs: WAIT_MS, capMs: WAIT_MS } },
  async drive(world) {
    const shop = new Shop(world)
    const sent = chargesSent(world)
    const busy = world.toxic({ link: 'bank', type: 'http_error', attributes: { status: 429, method: 'POST', path: '/v1/charges' } })
    for (let n = 1; n <= CUSTOMERS; n++) expectTold(world, 'not charged while the bank wants no more', await shop.pay(shop.order(), `customer ${n}`), 'not_charged')
    busy()
    const waits = sent.flatMap((event, n) => (n > 0 && sent[n - 1]!['key'] === event['key'] ? [(event.t - sent[n - 1]!.t) / WAIT_MS] : []))
    const off = distance(waits) * Math.sqrt(waits.length)
    world.expect('the waits are uniform', off <= FURTHEST, `${waits.length} retries, ${off.toFixed(2)} off of at most ${FURTHEST}`)
    expectTold(world, 'paid afterwards', await shop.payUntilTold(shop.orders[0]!, 'customer 1'), 'charged')
  },
}
