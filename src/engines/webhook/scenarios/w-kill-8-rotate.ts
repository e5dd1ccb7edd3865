import type { Cost } from '../deaths.ts'
import { DEATH, die, expectCheap, keepSending } from '../deaths.ts'
import type { WebhookScenario } from '../stage.ts'

const OLD = `whsec_${Buffer.alloc(32, 9).toString('base64')}`
const OVERLAP_MS = 60_000

export const scenario: WebhookScenario = {
  ...DEATH,
  name: 'W-KILL-8',
  summary: 'a node dies while the secret of an endpoint changes: whoever has the old one or the new one can verify all that comes',
  async drive(world) {
    await world.subscribe('customer-1')
    const { id } = await world.subscribe('customer-2', { secret: OLD })
    await using flow = keepSending(world, 20)
    const costs: Cost[] = []
    let newest = OLD
    for (const when of ['before', 'after'] as const) {
      const death = die(world, costs, { site: 'tx:claim', nth: 1, when }, 'customer-2')
      const { secret } = await world.endpoints.rotate(id, { overlapMs: OVERLAP_MS, who: 'operator', why: 'it is time' })
      await death
      // Still the one before; then the new one alone.
      await world.clock.sleep(1000)
      world.trust('customer-2', [secret])
      await world.clock.sleep(1000)
      newest = secret
    }
    const ids = await flow.stop()
    world.expect('all comes to rest', await world.settled(60_000), JSON.stringify(await world.counts()))
    const wrong = world.inbox('customer-2').filter(({ signed }) => signed !== 'valid')
    world.expect('every signature was good', wrong.length === 0 && newest !== OLD, `${wrong.length} of ${world.inbox('customer-2').length} were not`)
    for (const customer of world.customers) expectCheap(world, { ids, customer, costs })
  },
}
