import { mostWithin } from '../attempts.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const PER_SECOND = 10
const MESSAGES = 300

export const scenario: WebhookScenario = {
  name: 'W-RATE',
  summary: 'a customer takes ten a second: whatever comes, no second has more, evenly and without a burst, also when it was down and all has waited for it',
  engine: 'webhook',
  customers: 2,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'timing' }],
  async drive(world) {
    const { id } = await world.subscribe('customer-1', { perSecond: PER_SECOND })
    await world.subscribe('customer-2')
    await world.stream(MESSAGES, 0)
    world.expect('all arrives', await world.settled((MESSAGES / PER_SECOND) * 1000 + 5000), JSON.stringify(await world.counts(id)))
    world.down('customer-1')
    await world.stream(MESSAGES / 2, 0)
    await world.clock.sleep(60_000)
    world.up('customer-1')
    world.expect('all arrives after it was down', await world.settled(60_000 + (MESSAGES / PER_SECOND) * 1000), JSON.stringify(await world.counts(id)))
    const times = world.of('exchange.opened').filter((event) => event['link'] === 'customer-1').map(({ t }) => t)
    const most = mostWithin(times, 1000)
    world.expect(`no second has more than ${PER_SECOND}`, most <= PER_SECOND, `${most} in one, of ${times.length}`)
    world.expect('there is no burst', mostWithin(times, 1000 / PER_SECOND) === 1, `${mostWithin(times, 1000 / PER_SECOND)} within ${1000 / PER_SECOND} ms`)
    const took = times[MESSAGES - 1]! - times[0]!
    world.expect('what it takes it is given', took <= (MESSAGES / PER_SECOND) * 1000 * 1.1, `${MESSAGES} in ${Math.round(took)} ms`)
    const others = world.lags('customer-2')
    world.expect('the other customer does not wait for that', others.at(-1)! < 2000, `the slowest after ${Math.round(others.at(-1) ?? 0)} ms`)
  },
}
