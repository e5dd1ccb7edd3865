import { bothListen, DEATH, die, underFire } from '../deaths.ts'
import type { WebhookScenario } from '../stage.ts'

export const scenario: WebhookScenario = {
  ...DEATH,
  name: 'W-KILL-1',
  summary: 'a node dies before and after the commit that takes an event in: whoever sends it is told nothing, asks again with its key, and there is one event',
  async drive(world) {
    await bothListen(world)
    const ids = await underFire(world, async (costs) => {
      await die(world, costs, { site: 'tx:enqueue', nth: 10, when: 'before' }, 'customer-2')
      await die(world, costs, { site: 'tx:enqueue', nth: 10, when: 'after' }, 'customer-2')
    })
    const [{ events }] = (await world.store.transaction('look', (tx) => tx.query<{ events: number }>('SELECT COUNT(*) AS events FROM event'))) as [{ events: number }]
    world.expect('each was taken in once, however often it was sent', events === ids.length && new Set(ids).size === ids.length, `${events} events, ${new Set(ids).size} of ${ids.length} accepted, ${world.of('event.sent').length} requests`)
  },
}
