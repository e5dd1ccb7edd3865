import { answered, attemptsOf, tallied } from '../attempts.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const STATUSES = [301, 302, 303, 307, 308] as const

export const scenario: WebhookScenario = {
  name: 'W-REDIR',
  summary: 'a customer answers with a redirect, 301, 302, 303, 307 or 308: that is a failure, what it points to is never spoken to, and the message arrives when it is mended',
  engine: 'webhook',
  customers: 2,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const { id } = await world.subscribe('customer-1', { patterns: ['order.*'] })
    const target = await world.subscribe('customer-2', { patterns: ['refund.*'] })
    for (const status of STATUSES) {
      world.mood('customer-1', { kind: 'redirect', status, location: target.url })
      const { id: event } = await world.produce({ type: 'order.created', data: { status } })
      await answered(world, 'customer-1', status)
      await world.clock.sleep(1000)
      const [attempt] = (await attemptsOf(world, id)).filter((each) => each.event === event)
      world.expect(`W-REDIR-${status}: it is a failure`, attempt?.outcome === 'refused' && attempt.detail === 'redirect', `${attempt?.outcome} ${attempt?.detail}`)
      world.mood('customer-1', { kind: 'healthy' })
      world.expect(`W-REDIR-${status}: it is tried again, and arrives`, (await world.settled(60_000)) && world.processed('customer-1').includes(event!), tallied(await attemptsOf(world, id)))
    }
    const seen = world.inbox('customer-2').length + world.of('exchange.opened').filter((event) => event['link'] === 'customer-2').length
    world.expect('what it points to is never spoken to', seen === 0, `${seen} requests`)
  },
}
