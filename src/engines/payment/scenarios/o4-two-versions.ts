import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold, next, nextCharge } from '../staging.ts'

/** What the new version does otherwise: it authorises first, waits longer, asks sooner. */
const NEW = { parallel: true, settleMs: 9000, lookupBackoff: { baseMs: 50, capMs: 2000 }, leaseMs: 5000 }

export const scenario: Scenario<PaymentAdapter> = {
  name: 'O4',
  summary: 'two versions run side by side during a deploy, and each takes up what the other left: one charge for each order',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'no-hold-left', 'intent-before-effect', 'books-match-bank'],
  toxics: [],
  failures: [{ component: 'engine', mode: 'byzantine' }],
  settings: { leaseMs: 4000, settleMs: 6000 },
  nodes: 2,
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const [first, second] = world.nodes as [string, string]
    const asked = bankAsked(world, 'charge')
    await world.terminate(first)
    await world.restart(first, NEW)
    // The same click at both versions.
    const order = shop.order()
    const replies = await Promise.all([shop.payUntilTold(order, 'customer at the new version', 60_000, { node: first }), shop.payUntilTold(order, 'customer at the old version', 60_000, { node: second })])
    for (const reply of replies) expectTold(world, 'charged by one of them', reply, 'charged', 'authorised')
    // Each dies with a charge under way, and the other ends it.
    for (const node of [second, first]) {
      const other = node === first ? second : first
      const left = shop.order()
      const [atBank, gone] = [nextCharge(world), next(world, 'node.killed')]
      const pay = shop.pay(left, `customer at ${node}`, { node })
      await atBank
      await world.kill(node)
      await Promise.all([gone, pay])
      expectTold(world, 'ended by the other version', await shop.askUntilTold(left, `customer at ${other}`, 60_000, { node: other }), 'charged', 'authorised')
      await world.restart(node, node === first ? NEW : undefined)
    }
    await world.terminate(second)
    await world.restart(second, NEW)
    expectTold(world, 'the new version alone says the same', await shop.ask(order, 'customer', { node: second }), 'charged')
    expectCount(world, 'one charge request for each order', asked, 3)
  },
}
