import { answered, attemptsOf, tallied } from '../attempts.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const MESSAGES = 3

export const scenario: WebhookScenario = {
  name: 'W-RST-AFTER-BODY',
  summary: 'a customer takes a message in and hangs up before it answers: nobody knows, so it is sent again, with the same id, and has its effect once',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'network', mode: 'omission' }],
  async drive(world) {
    const { id } = await world.subscribe('customer-1')
    world.mood('customer-1', { kind: 'reset_after_body', processes: true })
    const ids = await world.stream(MESSAGES, 0)
    await answered(world, 'customer-1', 0, MESSAGES)
    world.mood('customer-1', { kind: 'healthy' })
    world.expect('all is sent again', await world.settled(60_000), JSON.stringify(await world.counts(id)))
    const seen = world.inbox('customer-1')
    const twice = ids.filter((event) => seen.filter((each) => each.id === event).length === 2 && seen.some((each) => each.id === event && each.duplicate))
    world.expect('the customer sees each a second time, by its id', twice.length === MESSAGES, `${twice.length} of ${MESSAGES}`)
    const effects = seen.filter(({ processed }) => processed).length
    world.expect('each has its effect once', effects === MESSAGES, `${effects} effects`)
    const lost = (await attemptsOf(world, id)).filter(({ n }) => n === 1)
    world.expect('what nobody answered is no success', lost.every(({ outcome, status }) => outcome === 'unreachable' && status === null), tallied(lost))
  },
}
