import { keepSending } from '../deaths.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario, WebhookStage } from '../stage.ts'

const DEAD = 400
const REPLAYED_PER_SECOND = 10
/** Within what receivers tolerate, and beyond it. */
const SMALL_MS = 240_000
const JUMP_MS = 600_000
/** Between two steps. */
const SPELL_MS = 6000
/** Three times what comes anyway: twenty events a second for two customers, and the replay. */
const STORM_PER_SECOND = 150

export const scenario: WebhookScenario = {
  name: 'W-CLOCK',
  summary: "a node's wall clock jumps ten minutes ahead, back, and ten minutes behind: what is due is due by the time that passes, nothing comes in a storm, and a replay goes on at its pace",
  engine: 'webhook',
  customers: 2,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'clock', mode: 'byzantine' }],
  async drive(world) {
    const { id: endpoint } = await world.subscribe('customer-1')
    await world.subscribe('customer-2')
    world.mood('customer-1', { kind: 'error', status: 413 })
    const dead = await world.stream(DEAD, 100)
    await world.settled(60_000)
    world.mood('customer-1', { kind: 'healthy' })
    world.mood('customer-2', { kind: 'reject_every', every: 3 })
    await using flow = keepSending(world, 20)
    await world.clock.sleep(5000)
    const job = await world.replays.ask({ filter: { dlq: true, endpoint }, perSecond: REPLAYED_PER_SECOND, who: 'operator' })
    for (const ms of [SMALL_MS, -2 * SMALL_MS, SMALL_MS, -JUMP_MS, JUMP_MS]) {
      const { queued } = await world.replays.show(job.id)
      const [from, seen] = [world.clock.monotonic(), requests(world)]
      world.step('n1', ms)
      await world.clock.sleep(SPELL_MS)
      const seconds = (world.clock.monotonic() - from) / 1000
      const { queued: by } = await world.replays.show(job.id)
      const rate = (requests(world) - seen) / seconds
      world.expect(`after a step of ${ms / 60_000} minutes there is no storm`, rate <= STORM_PER_SECOND, `${Math.round(rate)} requests a second`)
      world.expect(`after a step of ${ms / 60_000} minutes the replay keeps its pace`, by - queued >= (seconds - 1) * REPLAYED_PER_SECOND && by - queued <= (seconds + 2) * REPLAYED_PER_SECOND, `${by - queued} in ${Math.round(seconds)} s`)
    }
    world.step('n1', JUMP_MS)
    await world.clock.sleep(5000)
    const stale = world.inbox('customer-2').filter(({ signed }) => signed === 'stale').length
    world.expect('what is signed ten minutes ahead is refused by who looks', stale > 0, `${stale} requests`)
    world.step('n1', -JUMP_MS)
    const ids = await flow.stop()
    world.mood('customer-2', { kind: 'healthy' })
    const rest = world.clock.monotonic()
    world.expect('all comes to rest', await world.settled(400_000), `${JSON.stringify(await world.counts())}, ${Math.round((world.clock.monotonic() - rest) / 1000)} s`)
    const processed = new Set(world.processed('customer-2'))
    world.expect('nothing is lost', [...ids, ...dead].every((id) => processed.has(id)), `${ids.length + dead.length} events`)
    const { delivered, failed } = await world.replays.show(job.id)
    world.expect('the replay is done', delivered === DEAD && failed === 0, `${delivered} of ${DEAD}`)
  },
}

const requests = (world: WebhookStage) => world.of('customer.received').length
