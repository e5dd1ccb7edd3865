import type { Scenario, Weather } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { Shop } from '../shop.ts'

const PER_SECOND = 4
const CALM_MS = 10_000
/** The climb, in steps; then it stays up. */
const CLIMB_MS = 60_000
const STEPS = 20
const UP_MS = 10_000
/** Half of the answers take less, one in a hundred more: first and last. */
const USUAL = { p50: 300, p99: 1000 }
const SLOW = { p50: 1500, p99: 5000 }
/** Nothing fails, and nobody waits for another. */
const OTHERWISE: Omit<Weather, 'latency'> = { slots: 100_000, queue: 0, failing: 0, failsAtOnce: 0, failsAfterMs: 0, seed: 1 }

export const scenario: Scenario<PaymentAdapter> = {
  name: 'latency-ramp',
  summary: 'the bank becomes slower and slower, to 5 s at p99 within a minute: an operator is warned before the first customer is told "pending", and nobody is told that it failed',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'bank', mode: 'timing' }],
  async drive(world) {
    const { clock } = world
    const shop = new Shop(world)
    const chance = world.random.fork('ramp')
    const seed = chance.int(1, 1_000_000)
    let warnedAt = Number.POSITIVE_INFINITY
    let pendingAt = Number.POSITIVE_INFINITY
    let denied = 0
    let customers = 0
    world.tally((event) => {
      if (event.type === 'dependency.warned' && event['service'] === 'bank') warnedAt = Math.min(warnedAt, event.t)
      if (event.type === 'client.told' && event['told'] === 'pending') pendingAt = Math.min(pendingAt, event.t)
      return false
    })
    const visits: Promise<unknown>[] = []
    const visit = async () => {
      const order = shop.order()
      customers++
      const first = await shop.pay(order, 'customer')
      if (first.told === 'pending') await shop.askUntilTold(order, 'customer')
      else if (first.told !== 'charged') denied++
    }
    const walk = async (forMs: number) => {
      const end = clock.monotonic() + forMs
      for (;;) {
        const wait = (-Math.log(1 - chance.next()) * 1000) / PER_SECOND
        if (clock.monotonic() + wait >= end) return clock.sleep(end - clock.monotonic())
        await clock.sleep(wait)
        visits.push(visit())
      }
    }
    const between = (from: number, to: number, share: number) => Math.round(from * (to / from) ** share)
    const at = (share: number): Weather => ({ ...OTHERWISE, seed: seed + Math.round(share * STEPS), latency: { p50: between(USUAL.p50, SLOW.p50, share), p99: between(USUAL.p99, SLOW.p99, share) } })
    world.weather('bank', at(0))
    await walk(CALM_MS)
    for (let step = 1; step <= STEPS; step++) {
      world.weather('bank', at(step / STEPS))
      await walk(CLIMB_MS / STEPS)
    }
    await walk(UP_MS)
    world.weather('bank', null)
    await Promise.all(visits)
    const when = (t: number) => (t === Number.POSITIVE_INFINITY ? 'never' : `after ${(t / 1000).toFixed(1)} s`)
    world.expect('an operator is warned', warnedAt < Number.POSITIVE_INFINITY, when(warnedAt))
    world.expect('before the first customer is told "pending"', warnedAt < pendingAt, `warned ${when(warnedAt)}, pending ${when(pendingAt)}`)
    world.expect('nobody is told that it failed', denied === 0, `${denied} of ${customers}`)
  },
}
