import { bothListen, DEATH, die, underFire } from '../deaths.ts'
import type { WebhookScenario } from '../stage.ts'

export const scenario: WebhookScenario = {
  ...DEATH,
  name: 'W-KILL-5',
  summary: 'a node dies with the answer in its hands, and again before it is written down: the event comes twice under the same id',
  async drive(world) {
    await bothListen(world)
    await underFire(world, async (costs) => {
      await die(world, costs, { site: 'call:customer-2', nth: 10, when: 'after' }, 'customer-2')
      await die(world, costs, { site: 'tx:finish', nth: 10, when: 'before' }, 'customer-2')
    })
  },
}
