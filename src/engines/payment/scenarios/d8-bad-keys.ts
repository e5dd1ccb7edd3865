import type { HttpRequest } from '../../../network.ts'
import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

const BAD_KEYS: Record<string, string | undefined> = { 'is missing': undefined, 'is empty': '', 'is too long': 'k'.repeat(256), 'has a space': 'one key', 'came twice': 'one, two' }

/** Whatever the header is called, its value is the order's key. */
function withKey(request: HttpRequest, key: string, value: string | undefined): HttpRequest {
  const others = Object.entries(request.headers).filter(([, held]) => held !== key)
  const [name] = Object.entries(request.headers).find(([, held]) => held === key) ?? ['idempotency-key']
  return { ...request, headers: Object.fromEntries(value === undefined ? others : [...others, [name, value]]) }
}

export const scenario: Scenario<PaymentAdapter> = {
  name: 'D8',
  summary: 'the key is missing, empty, too long, has a space or came twice: refused, nothing recorded, and a good key still pays',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const shop = new Shop(world)
    const order = shop.order()
    const asked = bankAsked(world)
    for (const [what, value] of Object.entries(BAD_KEYS)) {
      const reply = await shop.pay(order, `customer whose key ${what}`, { edit: (request) => withKey(request, order.key, value) })
      expectTold(world, `a key that ${what} is refused`, reply, 'refused')
    }
    expectTold(world, 'nothing is recorded', await shop.ask(order, 'customer'), 'not_found')
    expectCount(world, 'the bank is not asked', asked, 0)
    expectTold(world, 'a good key pays', await shop.payUntilTold(order, 'customer'), 'charged')
  },
}
