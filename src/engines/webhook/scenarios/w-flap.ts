import { attemptsOf, mostWithin } from '../attempts.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const UP_MS = 30_000
const CYCLES = 8
const PER_SECOND = 5
/** What the customer says that it takes. */
const TAKES = 20

export const scenario: WebhookScenario = {
  name: 'W-FLAP',
  summary: 'a customer is up for half a minute and down for half a minute, again and again: all arrives, its lane changes once a probe at most, and its return is no storm',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'omission' }],
  async drive(world) {
    const { id } = await world.subscribe('customer-1', { perSecond: TAKES })
    world.mood('customer-1', { kind: 'flapping', upMs: UP_MS, downMs: UP_MS })
    const messages = (CYCLES * 2 * UP_MS * PER_SECOND) / 1000
    await world.stream(messages, PER_SECOND)
    world.expect('all arrives before its next fall is over', await world.settled(2 * UP_MS + 60_000), JSON.stringify(await world.counts(id)))
    const [parked, woken, probed] = ['lane.parked', 'lane.woken', 'lane.probed'].map((type) => world.of(type).length) as [number, number, number]
    world.expect('the lane is parked once a fall, and wakes by a probe', parked >= CYCLES - 1 && parked <= CYCLES + 1 && woken === parked && woken <= probed, `parked ${parked} times, woken ${woken}, ${probed} probes, ${CYCLES} falls`)
    const attempts = await attemptsOf(world, id)
    world.expect('hardly a request is wasted', attempts.length <= messages * 1.1, `${(attempts.length / messages).toFixed(3)} requests a message`)
    const most = mostWithin(attempts.map(({ at }) => at), 1000)
    world.expect('no second has twice what the customer takes', most <= 2 * TAKES, `${most} in one`)
  },
}
