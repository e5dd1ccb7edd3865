import { bothListen, DEATH, die, underFire } from '../deaths.ts'
import type { WebhookScenario } from '../stage.ts'

export const scenario: WebhookScenario = {
  ...DEATH,
  name: 'W-KILL-3',
  summary: 'a node dies before and after it has read what is due: what it held in memory is sent by another',
  async drive(world) {
    await bothListen(world)
    await underFire(world, async (costs) => {
      await die(world, costs, { site: 'tx:claim', nth: 5, when: 'before' }, 'customer-2')
      await die(world, costs, { site: 'tx:claim', nth: 5, when: 'after' }, 'customer-2')
    })
  },
}
