import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const DEAD = 200

export const scenario: WebhookScenario = {
  name: 'W-DLQ-IDEMP',
  summary: 'the same replay is asked for twice, and again when it is done: it is one job, and each message comes once',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const { id: endpoint } = await world.subscribe('customer-1')
    world.mood('customer-1', { kind: 'error', status: 413 })
    await world.stream(DEAD, 100)
    await world.settled(60_000)
    world.mood('customer-1', { kind: 'healthy' })
    const before = world.inbox('customer-1').length
    const wanted = { id: 'rp_monday', filter: { dlq: true, endpoint }, perSecond: 50, who: 'operator' }
    const twins = await Promise.all([world.replays.ask(wanted), world.replays.ask(wanted)])
    await world.clock.sleep(1000)
    const third = await world.replays.ask(wanted)
    await world.settled(60_000)
    const fourth = await world.replays.ask(wanted)
    await world.settled(60_000)
    world.expect('they are one job', [...twins, third, fourth].every(({ id, matched }) => id === 'rp_monday' && matched === DEAD) && (await world.replays.list()).length === 1, `${(await world.replays.list()).length} jobs`)
    const again = world.inbox('customer-1').length - before
    world.expect('each message comes once', again === DEAD && fourth.delivered === DEAD, `${again} requests for ${DEAD}`)
    const other = await world.replays.ask({ ...wanted, filter: { dlq: false, endpoint } }).then(() => 'taken', (error: unknown) => (error as { code?: string }).code)
    world.expect('under its name nothing else can be asked for', other === 'REPLAY_EXISTS', String(other))
  },
}
