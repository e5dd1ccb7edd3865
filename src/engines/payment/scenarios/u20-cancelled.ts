import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, bankHolds, expectCount, expectTold, next, nextCharge } from '../staging.ts'

/** Beyond the deadline, within the settle time. */
const TOO_LATE_MS = 8000

export const scenario: Scenario<PaymentAdapter> = {
  name: 'U20',
  summary: 'the order is cancelled while it is unknown whether the bank charged: whatever it did, or does later, is undone',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline', 'books-match-bank'],
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }, { component: 'bank', mode: 'timing' }],
  async drive(world) {
    const shop = new Shop(world)
    const holds = bankHolds(world)
    const asked = bankAsked(world, 'charge')
    const late = shop.order()
    world.lie('bank', 'late_answer', { ms: TOO_LATE_MS })
    expectTold(world, 'pending', await shop.pay(late, 'customer'), 'pending')
    world.expect('the wish is taken', (await shop.cancel(late)) === 202, 'not 202')
    expectTold(world, 'undone', await shop.askUntilTold(late, 'customer'), 'declined')
    await world.clock.sleep(TOO_LATE_MS)
    world.expect('a late original finds the door closed', holds() === 0, `${holds()} at the bank`)

    const lost = shop.order()
    const lift = world.toxic({ link: 'bank', type: 'http_error', name: 'no_lookups', attributes: { status: 503, method: 'GET' } })
    world.lie('bank', 'charge_then_reset')
    expectTold(world, 'pending, and charged', await shop.pay(lost, 'other customer'), 'pending')
    world.expect('the wish is taken', (await shop.cancel(lost, 'other customer')) === 202, 'not 202')
    expectTold(world, 'given back', await shop.askUntilTold(lost, 'other customer'), 'declined')
    lift()
    world.expect('no money is left at the bank', holds() === 0, `${holds()} at the bank`)

    // Cancelled while it is looked up: what is found must not be written down as a success.
    const found = shop.order()
    const lookup = next(world, 'bank.received', (event) => event['ask'] === 'lookup')
    world.lie('bank', 'charge_then_reset')
    const told = shop.pay(found, 'quick customer')
    await lookup
    await shop.cancel(found, 'quick customer')
    expectTold(world, 'not charged', await told, 'declined', 'pending')
    expectTold(world, 'undone', await shop.askUntilTold(found, 'quick customer'), 'declined')
    world.expect('no money is left at the bank', holds() === 0, `${holds()} at the bank`)

    // Cancelled while the bank works; its success must not be written down as one.
    const during = shop.order()
    const atBank = nextCharge(world)
    world.lie('bank', 'late_answer', { ms: 2000 })
    const reply = shop.pay(during, 'hasty customer')
    await atBank
    await shop.cancel(during, 'hasty customer')
    expectTold(world, 'not charged', await reply, 'declined', 'pending')
    expectTold(world, 'undone', await shop.askUntilTold(during, 'hasty customer'), 'declined')

    const done = shop.order()
    await shop.payUntilTold(done, 'customer who is too late')
    world.expect('what has come to its end is not undone', (await shop.cancel(done)) === 409, 'not 409')
    expectTold(world, 'it stays charged', await shop.ask(done, 'customer who is too late'), 'charged')
    world.expect('and the bank has it once', holds() === done.amount, `${holds()} at the bank`)
    expectCount(world, 'the bank is asked to charge once each', asked, 5)
  },
}
