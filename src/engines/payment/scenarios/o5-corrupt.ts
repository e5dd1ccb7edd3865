import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold, next } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'O5',
  summary: 'the database is damaged: the service refuses to start on it and asks nobody for anything; on a sound one it goes on',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'acknowledged-is-durable'],
  toxics: [],
  failures: [{ component: 'store', mode: 'byzantine' }],
  refusals: ['STORE_CORRUPT'],
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    expectTold(world, 'charged', await shop.payUntilTold(order, 'customer'), 'charged')
    await world.kill()
    const asked = bankAsked(world)
    const refused = next(world, 'node.refused')
    world.spoil({ site: 'tx:sweep', nth: 1, how: 'corrupt' })
    await world.restart()
    world.expect('it says why it does not start', (await refused)?.['code'] === 'STORE_CORRUPT', String((await refused)?.['why']))
    const reply = await shop.pay(shop.order(), 'customer of a dead service')
    world.expect('nobody is answered', reply.told === 'nothing', `told "${reply.told}"`)
    expectCount(world, 'the bank is not asked', asked, 0)
    await world.restart()
    expectTold(world, 'on a sound database all is as it was', await shop.pay(order, 'customer'), 'charged')
  },
}
