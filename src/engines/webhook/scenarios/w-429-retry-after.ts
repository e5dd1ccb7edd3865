import { answered } from '../attempts.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const QUIET_MS = 120_000

export const scenario: WebhookScenario = {
  name: 'W-429-RA',
  summary: 'a customer wants to be left alone for two minutes, in seconds, as a date, or with a 503: it is, nobody else notices, and it costs no message anything',
  engine: 'webhook',
  customers: 2,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'omission' }],
  async drive(world) {
    const { id } = await world.subscribe('customer-1', { patterns: ['order.*'] })
    await world.subscribe('customer-2', { patterns: ['refund.*'] })
    const inADate = () => new Date(world.clock.now() + QUIET_MS + 999).toUTCString()
    for (const [how, status, retryAfter] of [['in seconds', 429, String(QUIET_MS / 1000)], ['as a date', 429, inADate], ['with a 503', 503, String(QUIET_MS / 1000)]] as const) {
      world.mood('customer-1', { kind: 'error', status, retryAfter: typeof retryAfter === 'string' ? retryAfter : retryAfter() })
      await world.produce({ type: 'order.created', data: { how } })
      const refused = await answered(world, 'customer-1', status, how === 'as a date' ? 2 : 1)
      world.mood('customer-1', { kind: 'healthy' })
      const since = refused.t
      await world.stream(200, 10, (n) => ({ type: n % 2 === 0 ? 'order.created' : 'refund.issued', data: { n } }))
      world.expect(`asked ${how}: all arrives`, await world.settled(QUIET_MS + 30_000), JSON.stringify(await world.counts(id)))
      const first = world.inbox('customer-1').find(({ t, status: answer }) => t > since && answer !== status)!
      world.expect(`asked ${how}: the lane is silent for so long`, first.t - since >= QUIET_MS - 1 && first.t - since <= QUIET_MS + 2000, `the next request came after ${Math.round(first.t - since)} ms`)
      const others = world.lags('customer-2', since)
      world.expect(`asked ${how}: the other customer notices nothing`, others.length === 100 && others.at(-1)! < 1000, `${others.length} arrived, the slowest after ${Math.round(others.at(-1) ?? 0)} ms`)
    }
    const [spent] = (await world.store.transaction('look', (tx) => tx.query<{ most: number }>('SELECT MAX(strikes) AS most FROM delivery'))) as [{ most: number }]
    world.expect('none of it costs a message anything', spent.most === 0, `${spent.most} of the schedule's delays spent at most`)
  },
}
