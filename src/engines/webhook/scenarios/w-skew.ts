import { ALWAYS } from '../stage.ts'
import type { WebhookScenario, WebhookStage } from '../stage.ts'

const WITHIN_MS = 299_000
/** A whole second beyond, whatever part of a second the message took. */
const BEYOND_MS = 302_000

export const scenario: WebhookScenario = {
  name: 'W-SKEW',
  summary: "customers' clocks are off: by 4 min 59 s all is taken, by 5 min 1 s all is refused, and the answers tell by how much",
  engine: 'webhook',
  customers: 4,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'clock', mode: 'byzantine' }],
  async drive(world) {
    const skews: Readonly<Record<string, number>> = { 'customer-1': WITHIN_MS, 'customer-2': -WITHIN_MS, 'customer-3': BEYOND_MS, 'customer-4': -BEYOND_MS }
    for (const [customer, ms] of Object.entries(skews)) {
      await world.subscribe(customer)
      world.skew(customer, ms)
    }
    const ids = await world.stream(20, 20)
    await world.clock.sleep(2000)
    for (const [customer, ms] of Object.entries(skews)) {
      const inbox = world.inbox(customer)
      const [good, stale] = [inbox.filter(({ status }) => status === 204), inbox.filter(({ signed, status }) => signed === 'stale' && status === 401)]
      const taken = Math.abs(ms) === WITHIN_MS
      world.expect(`a clock that is ${ms / 1000} s ahead ${taken ? 'takes' : 'refuses'} it`, inbox.length >= ids.length && (taken ? good : stale).length === inbox.length, `${good.length} taken, ${stale.length} refused as stale`)
      const told = world.of('delivery.attempted').filter((event) => event['endpoint'] === endpointOf(world, customer)).map((event) => event['skewMs'] as number)
      world.expect(`that it is ${ms / 1000} s ahead can be told from its answers`, told.length >= ids.length && told.every((skewMs) => Math.abs(skewMs - ms) <= 1500), `${Math.min(...told)} to ${Math.max(...told)} ms`)
    }
    for (const customer of world.customers) world.skew(customer, 0)
    world.expect('with their clocks set, all arrives', await world.settled(300_000), JSON.stringify(await world.counts()))
  },
}

function endpointOf(world: WebhookStage, customer: string): string {
  return world.of('endpoint.added').find((event) => event['customer'] === customer)!['endpoint']
}
