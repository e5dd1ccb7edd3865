import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'
import { ends, ill, ILL_IN_REAL_TIME, longest } from '../ill.ts'

const MOODS = [['tls_expired', 'TLS_EXPIRED'], ['tls_self_signed', 'TLS_SELF_SIGNED'], ['tls_wrong_host', 'TLS_WRONG_HOST'], ['tls_old', 'TLS_FAILED'], ['tls_hang', 'CONNECT_TIMEOUT']] as const

export const scenario: WebhookScenario = {
  name: 'W-TLS',
  summary: 'a customer\'s certificate is over, its own, or somebody else\'s, its TLS is too old, or it never shakes hands: nothing is sent, least of all in plain text, and all arrives when it is mended',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  tls: true,
  settingsInRealTime: ILL_IN_REAL_TIME,
  async drive(world) {
    const endpoint = await world.subscribe('customer-1')
    await world.stream(3, 0)
    await world.settled(30_000)
    for (const [mood, code] of MOODS) {
      // In plain text on the way to it, or by itself.
      const seen = world.tally((event) => (event.type === 'exchange.opened' && event['link'] === 'customer-1') || (event.type === 'customer.received' && event['customer'] === 'customer-1'))
      let meanwhile: number | undefined
      const spoilt = world.until((event) => event.type === 'customer.spoilt' && event['mood'] === null, 600_000).then(() => (meanwhile = seen()))
      const attempts = await ill(world, endpoint, 'customer-1', mood)
      await spoilt
      world.expect(`W-TLS-${mood.slice('tls_'.length)}: it is a failure, and says which`, attempts.length === 3 && attempts.every(({ outcome, detail, ms }) => outcome === 'unreachable' && detail === code && ms <= longest(world)), ends(attempts))
      world.expect(`W-TLS-${mood.slice('tls_'.length)}: not a byte of it is sent`, meanwhile === 0, `${meanwhile} requests`)
    }
  },
}
