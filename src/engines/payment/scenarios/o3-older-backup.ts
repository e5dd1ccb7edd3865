import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'
import { bankAsked, expectCount, expectTold } from '../staging.ts'

export const scenario: Scenario<PaymentAdapter> = {
  name: 'O3',
  summary: 'an older backup is restored, which has forgotten what was paid since: the reconciliation with the bank finds it',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'no-lost-payment'],
  toxics: [],
  failures: [{ component: 'store', mode: 'omission' }],
  needsProcess: true,
  async drive(world) {
    const shop = new Shop(world)
    const [known, forgotten] = [shop.order(), shop.order()]
    expectTold(world, 'charged', await shop.payUntilTold(known, 'customer'), 'charged')
    await world.terminate()
    const restore = await world.backUp()
    await world.restart()
    const charged = world.until((event) => event.type === 'bank.charged', 60_000)
    expectTold(world, 'charged after the backup', await shop.payUntilTold(forgotten, 'later customer'), 'charged')
    const before = await world.reconcile()
    world.expect('books and bank agree', before.length === 0, `${before.length} differences`)
    await world.terminate()
    await restore()
    await world.restart()
    const asked = bankAsked(world, 'charge')
    expectTold(world, 'what is older is still known', await shop.pay(known, 'customer'), 'charged')
    const look = await world.send(world.adapter.status(forgotten, null)!, { timeoutMs: 5000 })
    world.expect('what is younger is not', look.kind === 'ok' && world.adapter.read(look.value).told === 'not_found', look.kind === 'ok' ? world.adapter.read(look.value).told : look.kind)
    const found = await world.reconcile()
    const orphan = (await charged)?.['charge']
    world.expect('the reconciliation finds it, and nothing else', found.length === 1 && found[0]!.kind === 'orphan' && found[0]!.charge === orphan, found.map(({ kind, charge }) => `${kind} ${charge}`).join(', ') || 'nothing')
    expectCount(world, 'nothing was charged on the way', asked, 0)
  },
}
