import { answered } from '../attempts.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

/** What a customer says, and what that may mean at most, ms, and at least. */
const SAID: readonly [text: string, least: number, most: number][] = [
  ['0', 0, 0],
  ['-1', 0, 5000],
  ['-120', 0, 5000],
  ['1000000000', 3_600_000, 3_600_000],
  ['999999999999', 3_600_000, 3_600_000],
  ['99999999999999999999999999', 0, 5000],
  ['1e9', 0, 5000],
  ['NaN', 0, 5000],
  ['Infinity', 0, 5000],
  ['0x10', 0, 5000],
  ['120, 240', 0, 5000],
  ['soon', 0, 5000],
  ['Wed, 21 Oct 2015 07:28:00 GMT', 0, 0],
  ['Fri, 31 Dec 9999 23:59:59 GMT', 3_600_000, 3_600_000],
  ['Fri, 99 Foo 2025 99:99:99 GMT', 0, 5000],
]
/** From the moment when the lane may send to the request, ms. */
const SLACK_MS = 1500

export const scenario: WebhookScenario = {
  name: 'W-RA-EVIL',
  summary: 'what a customer says with Retry-After is nonsense, past or for ever: it is left alone for no time at all up to an hour, and never longer',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  takesHours: true,
  settings: { beatMs: 5000, leaseMs: 35_000, pollMs: 1000, keeperMs: 60_000 },
  async drive(world) {
    await world.subscribe('customer-1')
    for (const [retryAfter, least, most] of SAID) {
      // One that is left alone for no time at all may say it several times.
      const before = world.inbox('customer-1').filter(({ status }) => status === 429).length
      world.mood('customer-1', { kind: 'error', status: 429, retryAfter })
      await world.produce({ type: 'order.created', data: { retryAfter } })
      const { t } = await answered(world, 'customer-1', 429, before + 1)
      world.mood('customer-1', { kind: 'healthy' })
      const arrives = await world.settled(2 * 3_600_000)
      const next = world.inbox('customer-1').findLast(({ status }) => status === 204)
      const after = Math.round((next?.t ?? 0) - t)
      world.expect(`"${retryAfter}" means between ${least} and ${most} ms`, arrives && after >= least && after <= most + SLACK_MS, `it came after ${after} ms`)
    }
  },
}
