import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import type { PayOrder } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { collect, expectAtMost, expectTold, told } from '../staging.ts'

/** The service always denies this one: a payment that ends after fraud. */
const BLOCKED_CARD = '4100000000000019'
/** From here on fraud's word is waited for. No order ends in these digits. */
const LARGE = 100_050
const EVERY_MS = 10
/** The band, ms. */
const FLOOR_MS = 250
const CEILING_MS = 500
/** Customers of each act: enough to learn one time-out in a thousand; a burst of errors; a ramp to twice the usual and more. */
const CALM = 1200
const BURST = 150
const RAMP = 300
const RAMP_MS = 300

export const scenario: Scenario<PaymentAdapter> = {
  name: 'T7',
  summary: 'fraud\'s time-out follows what fraud takes: a burst of quick errors does not pull it down, a ramp does not pull it above its ceiling',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'fraud', mode: 'timing' }, { component: 'fraud', mode: 'omission' }],
  async drive(world) {
    const shop = new Shop(world)
    const assessed = collect(world, (event) => event.type === 'fraud.assessed')
    const pay = async (many: number) => {
      const from = assessed.length
      const replies = []
      for (let n = 0; n < many; n++) {
        const order: PayOrder = shop.order(BLOCKED_CARD)
        replies.push(shop.pay({ ...order, amount: LARGE + order.amount }, 'customer'))
        await world.clock.sleep(EVERY_MS)
      }
      const answers = await Promise.all(replies)
      return { answers, timeouts: assessed.slice(from).map((event) => Number(event['timeoutMs'])) }
    }
    const calm = await pay(CALM)
    world.expect('it learns what fraud takes', calm.timeouts.at(-1)! < CEILING_MS, `${calm.timeouts.at(-1)} ms in the end`)
    const cutOff = (answers: Awaited<ReturnType<typeof pay>>) => answers.answers.length - told(answers.answers, 'declined')
    expectAtMost(world, 'few healthy answers are cut off', cutOff(calm), CALM / 100)

    const ill = world.toxic({ link: 'fraud', type: 'http_error', attributes: { status: 500 } })
    await pay(BURST)
    ill()
    const after = await pay(BURST)
    world.expect('quick errors do not pull it down', Math.min(...after.timeouts) >= FLOOR_MS && cutOff(after) <= BURST / 50, `${Math.min(...after.timeouts)} ms at the least, ${cutOff(after)} of ${BURST} cut off`)

    world.toxic({ link: 'fraud', type: 'ramp', attributes: { to: RAMP_MS, over: RAMP * EVERY_MS } })
    const ramp = await pay(RAMP)
    const all = [...calm.timeouts, ...after.timeouts, ...ramp.timeouts]
    world.expect('it stays in its band', all.every((ms) => ms >= FLOOR_MS && ms <= CEILING_MS), `${Math.min(...all)} to ${Math.max(...all)} ms`)
    await world.heal()
    expectTold(world, 'a good card is charged', await shop.payUntilTold(shop.order(), 'customer'), 'charged')
  },
}
