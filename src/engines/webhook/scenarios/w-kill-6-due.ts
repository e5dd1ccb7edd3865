import type { Cost } from '../deaths.ts'
import { bothListen, DEATH, die, underFire } from '../deaths.ts'
import type { WebhookScenario } from '../stage.ts'

export const scenario: WebhookScenario = {
  ...DEATH,
  settingsInRealTime: { schedule: [5000] },
  name: 'W-KILL-6',
  summary: 'a node dies when the end of an attempt has just been written, and before what failed is due again: it is tried again at its time',
  async drive(world) {
    await bothListen(world)
    world.mood('customer-2', { kind: 'reject_every', every: 4 })
    const twice = async (costs: Cost[]) => {
      for (let n = 0; n < 2; n++) await die(world, costs, { site: 'tx:finish', nth: 20, when: 'after' }, 'customer-2')
    }
    await underFire(world, twice, 120_000, async () => {
      world.mood('customer-2', { kind: 'healthy' })
      const due = await world.store.transaction('look', (tx) => tx.query<{ tries: number }>("SELECT tries FROM delivery WHERE state = 'pending' AND class = 1"))
      world.expect('some wait for their time', due.length > 0, `${due.length} wait`)
    })
  },
}
