import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'
import { ends, ill } from '../ill.ts'

const MOODS = [['dns_nxdomain', 'DNS_NOT_FOUND'], ['dns_servfail', 'DNS_FAILED'], ['dns_timeout', 'DNS_FAILED']] as const

export const scenario: WebhookScenario = {
  name: 'W-DNS',
  summary: 'a customer\'s name is gone, its name server is broken, or silent: that passes, so it is tried again, and all arrives',
  engine: 'webhook',
  customers: 2,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'network', mode: 'omission' }],
  async drive(world) {
    const endpoint = await world.subscribe('customer-1', { patterns: ['order.*'] })
    await world.subscribe('customer-2')
    for (const [mood, code] of MOODS) {
      const attempts = await ill(world, endpoint, 'customer-1', mood)
      world.expect(`W-DNS-${mood.slice('dns_'.length)}: it is a failure that passes, and says which`, attempts.length === 3 && attempts.every(({ outcome, detail, ms }) => outcome === 'unreachable' && detail === code && ms <= world.settings.deadlineMs + 500), ends(attempts))
    }
    await world.evil('customer-1', 'dns_servfail')
    await world.stream(100, 10)
    await world.clock.sleep(300_000)
    const parked = await world.endpoints.show(endpoint.id)
    world.expect('when it goes on it is an outage, and costs no message anything', parked.breaker !== null && parked.waiting === 100, `${parked.waiting} wait`)
    await world.evil('customer-1', null)
    world.expect('all arrives after it', await world.settled(120_000), JSON.stringify(await world.counts()))
    const others = world.lags('customer-2')
    world.expect('the other customer notices nothing', others.length === 109 && others.at(-1)! < 1000, `${others.length} arrived, the slowest after ${Math.round(others.at(-1) ?? 0)} ms`)
  },
}
