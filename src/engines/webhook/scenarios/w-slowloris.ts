import { atOnce, attemptsOf, cutAnswers } from '../attempts.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'
import { ends, ill, ILL_IN_REAL_TIME, longest } from '../ill.ts'

/** Of attempts that last for seconds. */
const SLACK_IN_REAL_TIME_MS = 200

export const scenario: WebhookScenario = {
  name: 'W-SLOWLORIS',
  summary: 'a customer answers one byte at a time, without end: each attempt ends at its deadline and makes room for the next; with a status it is delivered, without one it is sent again',
  engine: 'webhook',
  customers: 2,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  settingsInRealTime: ILL_IN_REAL_TIME,
  async drive(world) {
    const { deadlineMs, placesFirst } = world.settings
    const atDeadline = (ms: number) => ms >= deadlineMs - 500 && ms <= longest(world)
    const endpoint = await world.subscribe('customer-1', { patterns: ['order.*'] })
    const head = await ill(world, endpoint, 'customer-1', 'slowloris_head')
    world.expect('W-SLOWLORIS-H: it is a failure at the deadline', head.length === 3 && head.every(({ outcome, detail, ms }) => outcome === 'unreachable' && detail === 'TIMEOUT' && atDeadline(ms)), ends(head))
    const body = await ill(world, endpoint, 'customer-1', 'slowloris_body')
    world.expect('W-SLOWLORIS-B: it is delivered at the deadline, and marked', body.length === 3 && body.every(({ outcome, detail, ms }) => outcome === 'delivered' && detail === 'slow' && atDeadline(ms)) && (await cutAnswers(world)) === 3, ends(body))
    const narrow = await world.subscribe('customer-2', { patterns: ['refund.*'], places: placesFirst })
    await world.evil('customer-2', 'slowloris_body')
    await world.stream(3 * placesFirst, 0, (n) => ({ type: 'refund.issued', data: { n } }))
    const settled = await world.settled((world.inRealTime ? 10 : 4) * deadlineMs)
    const attempts = await attemptsOf(world, narrow.id)
    const most = atOnce(attempts, world.inRealTime ? SLACK_IN_REAL_TIME_MS : 1)
    world.expect('each makes room for the next', settled && attempts.length === 3 * placesFirst && most === placesFirst, `${attempts.length} attempts, ${most} at once`)
  },
}
