import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import type { AskOptions } from '../shop.ts'
import { Shop } from '../shop.ts'
import { expectTold } from '../staging.ts'

const tenant = (name: string): AskOptions => ({ edit: (request) => ({ ...request, headers: { ...request.headers, authorization: `Bearer tenant-${name}` } }) })

export const scenario: Scenario<PaymentAdapter> = {
  name: 'D5',
  summary: 'two tenants happen to use the same key: two payments that know nothing of each other',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const shop = new Shop(world)
    const ours = shop.order()
    const theirs = { ...shop.order(), key: ours.key }
    const [first, second] = await Promise.all([shop.payUntilTold(ours, 'tenant A', 60_000, tenant('A')), shop.payUntilTold(theirs, 'tenant B', 60_000, tenant('B'))])
    expectTold(world, 'the first is charged', first, 'charged')
    expectTold(world, 'the second is charged', second, 'charged')
    world.expect('they are two payments', first.payment !== second.payment, `${first.payment} and ${second.payment}`)
    const peek = await shop.ask(ours, 'tenant B, about the payment of tenant A', tenant('B'))
    world.expect('neither sees the other', peek.told === 'not_found' && peek.payment === null, `told "${peek.told}"`)
    expectTold(world, 'the owner does see it', await shop.ask(ours, 'tenant A', tenant('A')), 'charged')
  },
}
