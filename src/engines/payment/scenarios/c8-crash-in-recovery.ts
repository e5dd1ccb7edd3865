import type { CrashPoint, Scenario, World } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { expectTold, next } from '../staging.ts'

/** Short, for the sake of runs in real time: no request is left under way at the bank here. */
const SETTLE_MS = 1500

type Crossing = Omit<CrashPoint, 'when'>

/** The steps of a recovery whose look-up finds the charge. */
const FOUND: readonly Crossing[] = [{ site: 'tx:takeover', nth: 1 }, { site: 'tx:doubt', nth: 1 }, { site: 'call:bank', nth: 1 }, { site: 'tx:outcome', nth: 1 }]

/** The further steps of one whose look-up finds nothing: its second call to the bank is the charge, sent again. */
const NOT_FOUND: readonly Crossing[] = [{ site: 'tx:intent', nth: 1 }, { site: 'call:bank', nth: 2 }]

export const scenario: Scenario<PaymentAdapter> = {
  name: 'C8',
  summary: 'killed at every step of the recovery from a kill, one life after another: each takes up where the last one stopped',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'intent-before-effect'],
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }, { component: 'store', mode: 'crash' }],
  settings: { settleMs: SETTLE_MS },
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    await recover(world, shop, { site: 'call:bank', nth: 1 }, FOUND)
    await recover(world, shop, { site: 'tx:intent', nth: 1 }, NOT_FOUND)
  },
}

/** One payment that dies after `first`, and then before and after each of the steps, every time in a new life that nobody asks for anything. */
async function recover(world: World<PaymentAdapter>, shop: Shop, first: Crossing, steps: readonly Crossing[]): Promise<void> {
  const order = shop.order()
  const points = steps.flatMap((step): CrashPoint[] => [{ ...step, when: 'before' }, { ...step, when: 'after' }])
  const death = next(world, 'node.killed')
  world.killAt({ ...first, when: 'after' })
  await shop.pay(order, 'customer')
  await death
  for (const point of points) {
    const again = next(world, 'node.killed')
    world.killAt(point)
    await world.restart()
    await again
  }
  await world.restart()
  expectTold(world, 'charged in the end', await shop.askUntilTold(order, 'customer'), 'charged')
}
