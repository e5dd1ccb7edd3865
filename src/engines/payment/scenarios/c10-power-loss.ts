import type { CrashPoint, Scenario, World } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { expectTold, next } from '../staging.ts'

/** The commits of a payment, and its answer. */
const COMMITS = ['tx:claim', 'tx:intent', 'tx:outcome', 'answer', 'tx:notified']
/** And the further ones of a payment in doubt. */
const DOUBTS = ['tx:doubt', 'tx:look', 'tx:outcome']

/** What a dead life was about to tell a customer is taken up after its lease, and soon told. */
const LEASE_MS = 4000
const SOON_MS = 4000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'C10',
  summary: 'the machine loses power, and both nodes with it, before and after each commit of a payment: what was acknowledged survives, the rest is charged once',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'same-key-same-answer', 'answer-matches-ledger', 'no-lost-payment', 'intent-before-effect', 'acknowledged-is-durable', 'every-success-notified'],
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }, { component: 'store', mode: 'crash' }],
  settings: { settleMs: 2000, leaseMs: LEASE_MS },
  nodes: 2,
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const orders = []
    for (const [sites, doubtful] of [[COMMITS, false], [DOUBTS, true]] as const) {
      for (const site of sites) {
        for (const when of ['before', 'after'] as const) {
          const order = shop.order()
          orders.push(order)
          if (doubtful) {
            world.lie('bank', 'charge_then_reset')
            world.lie('bank', 'lookup_down')
          }
          expectTold(world, 'charged in the end', await throughPowerLoss(world, { site, nth: 1, when }, () => shop.payUntilTold(order, `customer of ${site} ${when}`)), 'charged')
        }
      }
    }
    for (const order of orders) expectTold(world, 'still charged', await shop.pay(order, 'customer, again'), 'charged')
    await world.clock.sleep(LEASE_MS + SOON_MS)
  },
}

/** The first node dies at the point, and the other with it; then the power is back. */
async function throughPowerLoss<T>(world: World<PaymentAdapter>, point: CrashPoint, work: () => Promise<T>): Promise<T> {
  const [first, second] = world.nodes as [string, string]
  world.killAt(point, first)
  const death = next(world, 'node.killed')
  const done = work()
  await death
  await world.kill(second)
  await world.restart(first)
  await world.restart(second)
  return done
}
