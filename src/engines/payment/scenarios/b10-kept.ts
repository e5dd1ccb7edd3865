import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { DEFAULTS } from '../settings.ts'
import { Shop } from '../shop.ts'
import { chargesSent, crowd, expectAllTold, expectAtMost, whileTurnedAway } from '../staging.ts'

const FAILING = 25
const OPEN_MS = 30_000
/** Each node writes and reads at its sweeps. */
const SEEN_MS = 2500

export const scenario: Scenario<PaymentAdapter> = {
  name: 'B10',
  summary: 'an open breaker is known to the next life of its node and to the node beside it, and closed again for all of them',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }],
  settings: { tries: 1, breaker: { ...DEFAULTS.breaker, openMs: OPEN_MS } },
  nodes: 2,
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const sent = chargesSent(world)
    const [one, two] = world.nodes as [string, string]
    expectAllTold(world, 'both nodes charge', [...(await crowd(world, shop, 1, 0, { node: one })), ...(await crowd(world, shop, 1, 0, { node: two }))], 'charged', 'pending')
    await world.clock.sleep(SEEN_MS * 5)
    await whileTurnedAway(world, () => crowd(world, shop, FAILING, 0, { node: one }))
    const openedAt = world.clock.monotonic()
    await world.clock.sleep(SEEN_MS)
    const before = sent.length
    expectAllTold(world, 'the node beside knows that it is open', await crowd(world, shop, 3, 0, { node: two }), 'not_charged')
    await world.kill(one)
    await world.restart(one)
    await world.clock.sleep(SEEN_MS)
    expectAllTold(world, 'the next life knows that it is open', await crowd(world, shop, 3, 0, { node: one }), 'not_charged')
    expectAtMost(world, 'the bank is left alone', sent.length - before, 0)

    await world.clock.sleep(Math.max(0, openedAt + 1.1 * OPEN_MS - world.clock.monotonic()))
    expectAllTold(world, 'one node tries the bank', await crowd(world, shop, 5, 0, { node: one }), 'charged', 'pending')
    await world.clock.sleep(SEEN_MS * 2)
    expectAllTold(world, 'and both charge again', await crowd(world, shop, 3, 500, { node: two }), 'charged', 'pending')
    for (const order of shop.orders) await shop.payUntilTold(order, 'customer, again', 90_000)
  },
}
