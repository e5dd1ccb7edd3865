import type { Scenario, World } from '../../../scenario.ts'
import type { PaymentAdapter, PayOrder } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { chargesSent, expectAtMost } from '../staging.ts'

const CUSTOMERS = 1000
const EVERY_MS = 8
const DEAD_MS = 8000
/** Of the customers: retries of all kinds, of the service and of those who come again. */
const AMPLIFIED = 1.1
/** From the bank's return until everybody has paid: an open breaker's time, the ramp, and the customers' own waits. */
const RECOVERED_MS = 25_000
const PATIENCE_MS = 60_000

/** Pays, and comes again when it was asked to, with some chance, so that not all come together. Answers when it had paid, ms after `from`. */
async function paidAfter(world: World<PaymentAdapter>, shop: Shop, order: PayOrder, from: number): Promise<number> {
  for (;;) {
    const reply = await shop.pay(order, `customer of ${order.order}`)
    const spentMs = world.clock.monotonic() - from
    if (reply.told === 'charged') return spentMs
    if (spentMs > PATIENCE_MS) return Infinity
    await world.clock.sleep((reply.retryAfterMs ?? 1000) * (1 + world.random.next()))
  }
}

export const scenario: Scenario<PaymentAdapter> = {
  name: 'R2',
  summary: 'the bank is dead for eight seconds while a thousand customers come: it is not asked much more often than there are customers, and all have paid soon after',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'omission' }],
  async drive(world) {
    const shop = new Shop(world)
    const sent = chargesSent(world)
    const dead = world.toxic({ link: 'bank', type: 'http_error', attributes: { status: 503, retry_after: 1, method: 'POST', path: '/v1/charges' } })
    const start = world.clock.monotonic()
    const done: Promise<number>[] = []
    for (let n = 0; n < CUSTOMERS; n++) {
      done.push(paidAfter(world, shop, shop.order(), start))
      await world.clock.sleep(EVERY_MS)
    }
    await world.clock.sleep(Math.max(0, DEAD_MS - (world.clock.monotonic() - start)))
    dead()
    const deadMs = world.clock.monotonic() - start
    expectAtMost(world, 'the bank is left alone while it is dead', sent.length, CUSTOMERS / 10)
    const slowest = Math.max(...(await Promise.all(done))) - deadMs
    expectAtMost(world, 'requests to the bank', sent.length, AMPLIFIED * CUSTOMERS)
    world.expect('everybody has paid soon after the bank is back', slowest <= RECOVERED_MS, `the last one after ${(slowest / 1000).toFixed(1)} s`)
  },
}
