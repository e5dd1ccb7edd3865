import type { Scenario, World } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import type { Reply } from '../shop.ts'
import { Shop } from '../shop.ts'
import { expectTold, nextCharge } from '../staging.ts'

/** Beyond the deadline. */
const TOO_LATE_MS = 7000

/** Begins the work, tells the node to end as soon as the bank was asked, and restarts it when it has. */
async function throughTermination(world: World<PaymentAdapter>, work: () => Promise<Reply>): Promise<Reply> {
  const atBank = nextCharge(world)
  const done = work()
  await atBank
  await world.terminate()
  await world.restart()
  return done
}

export const scenario: Scenario<PaymentAdapter> = {
  name: 'C11',
  summary: 'told to end in the middle of a charge: a customer whose bank answers in time is answered, one whose bank does not is told pending and recovered by the next life',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }],
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const first = shop.order()
    const slow = world.toxic({ link: 'bank', type: 'latency', attributes: { latency: 1000, method: 'POST', path: '/v1/charges', first: 1 } })
    const prompt = await throughTermination(world, () => shop.pay(first, 'customer of a prompt bank'))
    expectTold(world, 'what was begun is ended', prompt, 'charged', 'pending')
    slow()
    expectTold(world, 'it is charged', await shop.askUntilTold(first, 'customer of a prompt bank'), 'charged')

    const order = shop.order()
    world.lie('bank', 'late_answer', { ms: TOO_LATE_MS })
    const late = await throughTermination(world, () => shop.pay(order, 'customer of a late bank'))
    expectTold(world, 'pending when the bank is later than the deadline', late, 'pending')
    expectTold(world, 'recovered by the next life', await shop.askUntilTold(order, 'customer of a late bank'), 'charged')
  },
}
