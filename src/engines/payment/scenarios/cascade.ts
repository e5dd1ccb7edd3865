import type { Scenario, Weather } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import type { Reply } from '../shop.ts'
import { Shop } from '../shop.ts'

const PER_SECOND = 40
const CALM_MS = 3000
const HANGS_MS = 12_000
const AFTER_MS = 6000
/** From here on all must be well again. */
const RECOVERY_MS = 1000
/** The fraud service takes requests, and answers each with an error after a quarter of a minute. */
const HANGING: Weather = { slots: 100_000, queue: 0, latency: { p50: 40, p99: 200 }, failing: 1, failsAtOnce: 0, failsAfterMs: 15_000, seed: 1 }

interface Visit {
  phase: 'calm' | 'hangs' | 'after'
  at: number
  first: Reply
  ms: number
}

export const scenario: Scenario<PaymentAdapter> = {
  name: 'cascade',
  summary: 'one slow service: the fraud check hangs, and a process can hold 200 requests; payments go on without it, and it takes nothing else down',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'fraud', mode: 'timing' }],
  // Small payments, all of them: they are reviewed afterwards when fraud does not answer.
  settings: { mostRunning: 200, fraudOpenBelow: 1_000_000 },
  async drive(world) {
    const { clock, adapter } = world
    const shop = new Shop(world)
    const arrivals = world.random.fork('cascade')
    const begun = clock.monotonic()
    const visits: Promise<Visit>[] = []
    let held = 0
    let heldAtMost = 0
    const visit = async (phase: Visit['phase']): Promise<Visit> => {
      const order = shop.order()
      const start = clock.monotonic()
      heldAtMost = Math.max(heldAtMost, ++held)
      const first = await shop.pay(order, 'customer')
      held--
      const ms = clock.monotonic() - start
      if (first.told === 'pending' || first.told === 'nothing') await shop.askUntilTold(order, 'customer')
      return { phase, at: start - begun, first, ms }
    }
    const walk = async (phase: Visit['phase'], forMs: number) => {
      const end = clock.monotonic() + forMs
      for (;;) {
        const wait = (-Math.log(1 - arrivals.next()) * 1000) / PER_SECOND
        if (clock.monotonic() + wait >= end) return clock.sleep(end - clock.monotonic())
        await clock.sleep(wait)
        visits.push(visit(phase))
      }
    }
    await walk('calm', CALM_MS)
    world.weather('fraud', HANGING)
    await walk('hangs', HANGS_MS)
    world.weather('fraud', null)
    const over = clock.monotonic() - begun
    await walk('after', AFTER_MS)
    const all = await Promise.all(visits)

    const share = (of: Visit[], counts: (visit: Visit) => boolean) => (of.length === 0 ? 0 : Math.round((10_000 * of.filter(counts).length) / of.length) / 10_000)
    const inTime = ({ first, ms }: Visit) => first.told === 'charged' && ms <= adapter.deadlineMs
    const hung = all.filter(({ phase }) => phase === 'hangs')
    const after = all.filter(({ at }) => at >= over + RECOVERY_MS)
    const paid = share(hung, inTime)
    const paidAfter = share(after, inTime)
    const notCharged = share(hung, ({ first }) => first.told === 'not_charged')
    const pending = share(hung, ({ first }) => first.told === 'pending')
    world.note('cascade.measured', { customers: all.length, inTrouble: hung.length, paid, notCharged, pending, failed: share(hung, (one) => !inTime(one) && one.first.told !== 'not_charged' && one.first.told !== 'pending'), heldAtMost, paidAfter })
    const percent = (part: number) => `${(100 * part).toFixed(1)} %`
    world.expect('at least 95 % are paid in time while fraud hangs', paid >= 0.95, percent(paid))
    world.expect('at least 95 % are paid in time once it answers', paidAfter >= 0.95, percent(paidAfter))
  },
}
