import { bothListen, DEATH, die, underFire, VICTIM } from '../deaths.ts'
import type { WebhookScenario } from '../stage.ts'

export const scenario: WebhookScenario = {
  ...DEATH,
  name: 'W-KILL-4',
  summary: 'a node dies while customers have its requests in their hands: what they were doing comes again under the same id',
  async drive(world) {
    await bothListen(world)
    world.mood('customer-2', { kind: 'slow', ms: 400 })
    await underFire(world, async (costs) => {
      await die(world, costs, { site: 'call:customer-2', nth: 10, when: 'before' }, 'customer-2')
      await world.must((event) => event.type === 'delivery.attempted' && event.node === VICTIM)
      const { inFlight } = await die(world, costs, 'now', 'customer-2')
      world.expect('something was in flight', inFlight['customer-2']! > 0, `${inFlight['customer-2']} requests`)
    })
  },
}
