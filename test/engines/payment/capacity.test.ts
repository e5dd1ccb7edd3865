/** How many calls are let in, before a bank whose slots and weather are known: a bank alone, without an engine, in virtual time. */
import { describe, expect, it } from 'vitest'
import { VirtualClock } from '../../../src/clock.ts'
import { Random } from '../../../src/random.ts'
import type { Weather } from '../../../src/scenario.ts'
import { Capacity } from '../../../src/engines/payment/capacity.ts'
import { Room } from '../../../src/engines/payment/room.ts'
import { fateOf, mostInTime, Slots } from '../../../src/proxy/weather.ts'

/** What a call may take at the bank, and what a payer waits for it in all, ms. */
const CALL_MS = 4400
const DEADLINE_MS = 5000
const CALM_MS = 8000
const STORM_MS = 40_000
const AFTER_MS = 8000

const weatherOf = (slots: number, seed: number): Weather => ({ slots, queue: 1_000_000, latency: { p50: 1200, p99: 10_000 }, failing: 0.5, failsAtOnce: 0.5, failsAfterMs: 10_000, seed })

interface Seen {
  /** Of what any policy could have had paid in the storm, and of those who came after it. */
  ofMost: number
  afterwards: number
  calm: number
  limits: { at: number; limit: number }[]
}

async function storm(seed: number, perSecond: number, weather: Weather, limit?: number): Promise<Seen> {
  const clock = new VirtualClock()
  const random = Random.seeded(seed)
  const [arrivals, usual] = [random.fork('arrivals'), random.fork('usual')]
  const bank = new Slots('bank', clock, { emit: () => {} })
  const limits: Seen['limits'] = []
  const on = ({ type, ...fields }: Record<string, unknown>) => type === 'bulkhead.limit_changed' && limits.push({ at: clock.monotonic(), limit: fields['limit'] as number })
  const room = new Room({ clock, random, on }, { name: 'bank', limit: limit ?? { floor: 16, ceiling: () => 500, toleratedMs: CALL_MS / 10 }, queue: 200, waitMs: 500 })
  const came = { calm: 0, storm: 0, after: 0 }
  const paid = { calm: 0, storm: 0, after: 0 }
  const stormed: number[] = []

  const pay = async (phase: keyof typeof came) => {
    came[phase]++
    const place = await room.enter('high', CALL_MS)
    if (!place) return
    const begun = clock.monotonic()
    const work = bank.carryOut({ finish: () => ({ status: 201, headers: {}, body: '' }), fail: () => ({ status: 500, headers: {}, body: '' }) }, () => usual.logNormal(300, 2000))
    const answer = await Promise.race([work, clock.sleep(CALL_MS).then(() => undefined)])
    place.end(answer?.status === 201 ? 'ok' : 'failure', clock.monotonic() - begun, answer === undefined)
    if (answer?.status === 201) paid[phase]++
  }

  const story = async () => {
    const payments: Promise<void>[] = []
    const walk = async (phase: keyof typeof came, until: number) => {
      for (;;) {
        const wait = (-Math.log(1 - arrivals.next()) * 1000) / perSecond
        if (clock.monotonic() + wait > until) return clock.sleep(until - clock.monotonic())
        await clock.sleep(wait)
        if (phase === 'storm') stormed.push(clock.monotonic())
        payments.push(pay(phase))
      }
    }
    await walk('calm', CALM_MS)
    bank.change(weather)
    await walk('storm', CALM_MS + STORM_MS)
    bank.change(null)
    await walk('after', CALM_MS + STORM_MS + AFTER_MS)
    await Promise.all(payments)
  }
  await clock.run(story())
  const most = mostInTime({ arrivals: stormed, slots: weather.slots, fateOf: (ordinal) => fateOf(weather, ordinal), deadlineMs: DEADLINE_MS })
  return { ofMost: paid.storm / most, afterwards: paid.after / came.after, calm: paid.calm / came.calm, limits }
}

const SEEDS = [1, 2, 3]
const median = (of: number[]) => of.toSorted((a, b) => a - b)[Math.floor(of.length / 2)]!

describe('a bank half of whose works fail', () => {
  it.each([
    { perSecond: 100, slots: 120 },
    { perSecond: 50, slots: 60 },
    { perSecond: 150, slots: 60 },
    { perSecond: 50, slots: 180 },
  ])('$perSecond payments a second, $slots slots: nearly all that could be paid are, and all is well again when it is', async ({ perSecond, slots }) => {
    const seen = await Promise.all(SEEDS.map((seed) => storm(seed, perSecond, weatherOf(slots, seed))))
    expect(median(seen.map(({ ofMost }) => ofMost))).toBeGreaterThan(0.8)
    expect(median(seen.map(({ afterwards }) => afterwards))).toBeGreaterThan(0.85)
    expect(median(seen.map(({ calm }) => calm))).toBeGreaterThan(0.97)
  })

  it('three times what is usually in flight protects nothing', async () => {
    const seen = await Promise.all(SEEDS.map((seed) => storm(seed, 100, weatherOf(120, seed), 300)))
    expect(median(seen.map(({ ofMost }) => ofMost))).toBeLessThan(0.5)
  })
})

it('a bank that only becomes slower, and takes as many as come, is not starved', async () => {
  const slow: Weather = { slots: 10_000, queue: 0, latency: { p50: 1500, p99: 4000 }, failing: 0, failsAtOnce: 0, failsAfterMs: 0, seed: 1 }
  const { ofMost } = await storm(1, 50, slow)
  expect(ofMost).toBeGreaterThan(0.6)
})

it('a second without an answer lets fewer in, but a queue that was seen, and that alone, ends the fast climb', async () => {
  const clock = new VirtualClock()
  const climbAfter = async (between: 'silence' | 'queue') => {
    const capacity = new Capacity(clock, { floor: 16, ceiling: () => 500, toleratedMs: 440 })
    const second = async (answerMs: readonly number[], turnedAway: number) => {
      for (let n = 0; n < 40; n++) {
        capacity.arrived()
        capacity.entered()
      }
      await clock.sleep(1000)
      for (let n = 0; n < turnedAway; n++) capacity.turnedAway()
      for (const elapsedMs of answerMs) capacity.ended({ failed: false, timedOut: false, elapsedMs, beside: 40 })
      return capacity.limitAt(0)
    }
    const prompt = Array.from({ length: 40 }, () => 400)
    /** Calls of before: of those that were let in since the limit moved none has ended. */
    const before = Array.from({ length: 10 }, () => 2500)
    await second(prompt, 0)
    const from = await second(prompt, 10)
    const fewer = await second(between === 'silence' ? before : prompt.map(() => 900), 10)
    expect(fewer).toBeLessThan(from)
    const [first, then] = [await second(prompt, 10), await second(prompt, 10)]
    return then / first
  }
  await clock.run((async () => {
    expect(await climbAfter('silence')).toBeGreaterThan(1.25)
    expect(await climbAfter('queue')).toBeLessThan(1.2)
  })())
})

it('a call that was given up keeps its place as long again, and no longer', async () => {
  const clock = new VirtualClock()
  const room = new Room({ clock, random: Random.seeded(1) }, { name: 'bank', limit: { floor: 1, ceiling: () => 1, toleratedMs: 100 }, queue: 0, waitMs: 0 })
  await clock.run((async () => {
    const place = await room.enter('high', 0)
    await clock.sleep(1000)
    place!.end('failure', 1000, true)
    await clock.sleep(990)
    expect(await room.enter('high', 0)).toBeUndefined()
    await clock.sleep(20)
    expect(await room.enter('high', 0)).toBeDefined()
  })())
})
