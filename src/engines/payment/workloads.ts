/**
 * What clients do while everything else is tried on the engine: the five ways in which a payment is asked for more than once.
 * They bring no faults of their own, restart nothing, and end with the question where each payment stands.
 */
import type { Scenario, World } from '../../scenario.ts'
import type { PaymentAdapter, PayOrder } from './adapter.ts'
import { Shop } from './shop.ts'

/** From leaving to coming back: long enough for an engine that believes to know that nothing was charged. */
const AWAY_MS = 300
/** Past the life of the bank's key and of the stored answer (24 h). */
const LATE_MS = 25 * 3_600_000
/** How long the last client asks before it gives up. */
const ASKING_MS = 120_000
/** Longer than any message of an exploration is held up; two sweeps come on top, for a notification that was lost twice. */
const AFTERMATH_MS = 25_000

/** With a look-up now and then, and `sweepMs` between sweeps: each is a crossing, and so two places to die. */
const settings = { lookupBackoff: { baseMs: 4000, capMs: 30_000 }, reapMs: 1000 * LATE_MS }

/** What judges all of them. Where there was nothing to judge (no crash, no misused key) an invariant is undecided, and that is no finding. */
const INVARIANTS = [
  'acknowledged-is-durable',
  'answer-matches-ledger',
  'at-most-one-charge',
  'every-success-notified',
  'intent-before-effect',
  'key-misuse',
  'no-lost-payment',
  'same-key-same-answer',
  'within-deadline',
]

function workload(name: string, summary: string, drive: (shop: Shop, order: PayOrder, world: World<PaymentAdapter>) => Promise<unknown>, sweepMs = 30_000): Scenario<PaymentAdapter> {
  return {
    name,
    summary,
    engine: 'payment',
    invariants: INVARIANTS,
    toxics: [],
    failures: [],
    settings: { ...settings, sweepMs },
    async drive(world) {
      const shop = new Shop(world)
      const order = shop.order()
      await drive(shop, order, world)
      await shop.askUntilTold(order, 'auditor', ASKING_MS)
      await world.clock.sleep(AFTERMATH_MS + 2 * sweepMs)
      await shop.ask(order, 'auditor')
    },
  }
}

/** By name. */
export const workloads: Record<string, Scenario<PaymentAdapter>> = Object.fromEntries(
  [
    workload('single', 'one customer pays, and asks again with the same key until told', (shop, order) => shop.payUntilTold(order, 'customer')),
    workload('double-click', 'one customer clicks twice, at the same moment', (shop, order) => Promise.all([shop.payUntilTold(order, 'click 1'), shop.payUntilTold(order, 'click 2')])),
    workload('abandon', 'the customer leaves without an answer and comes back with another key for the same order', async (shop, order, world) => {
      void shop.pay(order, 'customer')
      await world.clock.sleep(AWAY_MS)
      await shop.pay(shop.rekeyed(order), 'customer again')
    }),
    workload('changed-body', 'the same key comes back with another amount', async (shop, order) => {
      await shop.payUntilTold(order, 'customer') // else the other amount could be the first that the service hears of
      await shop.pay({ ...order, amount: order.amount * 2 + 1 }, 'careless client', { changed: true })
    }),
    workload(
      'late-retry',
      'the customer pays, and sends the same again after the key has expired at the bank',
      async (shop, order, world) => {
        await shop.pay(order, 'customer')
        await world.clock.sleep(LATE_MS)
        await shop.pay(order, 'customer, a day later')
      },
      LATE_MS / 2,
    ),
  ].map((each) => [each.name, each]),
)
