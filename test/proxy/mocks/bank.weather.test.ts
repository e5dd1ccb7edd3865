/** The weather of a mock, and the oracle that says what could have been paid in it. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { VirtualClock } from '../../../src/clock.ts'
import { EventLog } from '../../../src/events.ts'
import { Random } from '../../../src/random.ts'
import { fraud } from '../../../src/proxy/mocks/fraud.ts'
import { notification } from '../../../src/proxy/mocks/notification.ts'
import type { Fate, Storm } from '../../../src/proxy/weather.ts'
import { fateOf, mostInTime } from '../../../src/proxy/weather.ts'
import type { Weather } from '../../../src/scenario.ts'
import { openBank, read } from './open-bank.ts'

/** Two works at once, a second each, nothing fails. */
const SLOW: Weather = { slots: 2, queue: 100, latency: { p50: 1000, p99: 1000 }, failing: 0, failsAtOnce: 0.5, failsAfterMs: 10_000, seed: 1 }

/** The storm of the Black Friday model: half of the calls fail, half of those at once and half after 10 s. */
const STORM: Weather = { slots: 120, queue: 100_000, latency: { p50: 1200, p99: 10_000 }, failing: 0.5, failsAtOnce: 0.5, failsAfterMs: 10_000, seed: 1 }

describe('in its weather the bank', () => {
  test('does as many works at once as it has slots, in the order of arrival, also for clients that have gone', async () => {
    const { bank, clock, charge, run, of } = openBank()
    await run(async () => {
      bank.weather!(SLOW)
      for (const key of ['a', 'b', 'c', 'd', 'e']) void charge(key)
      await clock.sleep(10_000)
      expect(of('bank.charged').map((event) => [event.key, event.t])).toEqual([['a', 1000], ['b', 1000], ['c', 2000], ['d', 2000], ['e', 3000]])
      expect(of('bank.worked').map(({ ordinal, ms, queuedMs, outcome }) => [ordinal, ms, queuedMs, outcome])).toEqual([[1, 1000, 0, 'done'], [2, 1000, 0, 'done'], [3, 1000, 1000, 'done'], [4, 1000, 1000, 'done'], [5, 1000, 2000, 'done']])
    })
  })

  test('refuses what its queue cannot hold, and that was not done: its key is free', async () => {
    const { bank, clock, charge, run, of } = openBank()
    await run(async () => {
      bank.weather!({ ...SLOW, slots: 1, queue: 1 })
      const answers = await Promise.all(['a', 'b', 'c'].map((key) => charge(key)))
      expect(answers.map((answer) => answer.status)).toEqual([201, 201, 503])
      expect([read(answers[2]!).code, clock.monotonic()]).toEqual(['busy', 2000])
      expect((await charge('c')).headers['idempotent-replayed']).toBeUndefined()
      expect(of('bank.charged')).toHaveLength(3)
      expect(of('bank.worked').map((event) => event.ordinal)).toEqual([0, 1, 2, 3])
    })
  })

  test('fails as often as told, at once or late; what fails charges nothing and leaves its key free', async () => {
    const { bank, clock, charge, run, of } = openBank()
    await run(async () => {
      bank.weather!({ ...SLOW, slots: 1000, failing: 1 })
      const ended = new Set<number>()
      await Promise.all(Array.from({ length: 200 }, async (_, n) => {
        expect((await charge(`key-${n}`)).status).toBe(500)
        ended.add(clock.monotonic())
      }))
      expect([...ended]).toEqual([0, 10_000])
      expect(of('bank.charged')).toEqual([])
      bank.weather!(null)
      expect((await charge('key-1', { amount: 5 })).status).toBe(201)
    })
  })

  test('answers look-ups, replays and what it refuses as ever', async () => {
    const { bank, clock, charge, find, run } = openBank()
    await run(async () => {
      await charge('a')
      bank.weather!({ ...SLOW, slots: 1, failing: 1, failsAtOnce: 0 })
      void charge('b')
      const began = clock.monotonic()
      expect([(await find('key=a')).status, (await charge('a')).status, (await charge('c', { amount: 0 })).status]).toEqual([200, 201, 400])
      expect(clock.monotonic() - began).toBe(300)
    })
  })

  test('in calm again goes on with all that waited', async () => {
    const { bank, clock, charge, run, of } = openBank()
    await run(async () => {
      bank.weather!({ ...SLOW, slots: 1 })
      for (const key of ['a', 'b', 'c', 'd']) void charge(key)
      await clock.sleep(1500)
      bank.weather!(null)
      await charge('e')
      await clock.sleep(5000)
      expect(of('bank.charged').map((event) => [event.key, event.t])).toEqual([['a', 1000], ['e', 1600], ['b', 2000], ['c', 2500], ['d', 2500]])
    })
  })

  test('meets every policy with the same storm: the n-th work has the same fate', async () => {
    const fates = async (pauseMs: number) => {
      const { bank, clock, charge, run, of } = openBank()
      await run(async () => {
        bank.weather!(STORM)
        for (let n = 0; n < 50; n++) {
          void charge(`key-${n}`)
          await clock.sleep(pauseMs)
        }
        await clock.sleep(100_000)
      })
      return of('bank.worked').toSorted((a, b) => a.ordinal - b.ordinal).map(({ ordinal, ms, outcome }) => ({ ordinal, ms, outcome }))
    }
    const storm = await fates(10)
    expect(await fates(5000)).toEqual(storm)
    expect(storm).toEqual(storm.map((_, n) => ({ ordinal: n + 1, ms: fateOf(STORM, n + 1).ms, outcome: fateOf(STORM, n + 1).done ? 'done' : 'failed' })))
  })

  test.each([{ slots: 0 }, { slots: 1.5 }, { queue: -1 }, { failing: 1.1 }, { failsAtOnce: Number.NaN }, { failsAfterMs: Number.POSITIVE_INFINITY }, { latency: { p50: 2, p99: 1 } }])('has no weather with %o', (change) => {
    expect(() => openBank().bank.weather!({ ...SLOW, ...change })).toThrow(expect.objectContaining({ code: 'INVALID_WEATHER' }))
  })
})

test.each([
  ['fraud', fraud, '/v1/assessments', { amount: 1, currency: 'USD', reference: 'order-1' }],
  ['notification', notification, '/v1/notifications', { id: 'n', payment: 'p' }],
] as const)('the %s service has weather too', async (name, create, path, body) => {
  const clock = new VirtualClock()
  const log = new EventLog('test', clock)
  const outcomes: string[] = []
  log.subscribe((event) => event.type === `${name}.worked` && outcomes.push(event['outcome']))
  const mock = create({ clock, random: Random.seeded(1), log: log.from('mock'), latency: { p50: 10, p99: 10 } })
  const ask = () => mock.handle({ method: 'POST', path, headers: {}, body: JSON.stringify(body) })
  await clock.run((async () => {
    mock.weather!({ ...SLOW, slots: 1, failing: 1, failsAtOnce: 0 })
    expect((await Promise.all([ask(), ask()])).map((answer) => answer.status)).toEqual([500, 500])
    expect([clock.monotonic(), ...outcomes]).toEqual([20_000, 'failed', 'failed'])
  })())
})

test('fates have the shares and the percentiles that were asked for', () => {
  const fates = Array.from({ length: 20_000 }, (_, n) => fateOf(STORM, n + 1))
  const done = fates.filter((fate) => fate.done).map((fate) => fate.ms).sort((a, b) => a - b)
  expect(done.length / 20_000).toBeCloseTo(0.5, 1)
  expect(fates.filter((fate) => !fate.done && fate.ms === 0).length / 20_000).toBeCloseTo(0.25, 1)
  expect(done[done.length / 2 | 0]! / 1200).toBeCloseTo(1, 1)
  expect(done[Math.floor(done.length * 0.99)]! / 10_000).toBeGreaterThan(0.85)
  expect(done[Math.floor(done.length * 0.99)]! / 10_000).toBeLessThan(1.15)
})

describe('the most that can be paid in time', () => {
  const fates = (list: readonly Fate[]) => (ordinal: number): Fate => list[ordinal - 1] ?? { done: false, ms: 0 }
  const ok = (ms: number): Fate => ({ done: true, ms })
  const bad = (ms: number): Fate => ({ done: false, ms })

  test.each<[string, Storm, number]>([
    ['nobody, nothing', { arrivals: [], slots: 1, fateOf: fates([]), deadlineMs: 5 }, 0],
    ['one slot, all at once: as many as fit into the deadline', { arrivals: [0, 0, 0, 0], slots: 1, fateOf: fates([ok(2), ok(2), ok(2), ok(2)]), deadlineMs: 5 }, 2],
    ['a second slot doubles it', { arrivals: [0, 0, 0, 0], slots: 2, fateOf: fates([ok(2), ok(2), ok(2), ok(2)]), deadlineMs: 5 }, 4],
    ['a work that fails late takes its slot from the others', { arrivals: [0, 0, 0], slots: 1, fateOf: fates([bad(5), ok(1), ok(1)]), deadlineMs: 5 }, 0],
    ['one that takes longer than the deadline serves nobody', { arrivals: [0, 100], slots: 2, fateOf: fates([ok(6), ok(5)]), deadlineMs: 5 }, 1],
    ['whoever comes later is served by a work that is free later', { arrivals: [0, 4], slots: 1, fateOf: fates([bad(5), ok(3)]), deadlineMs: 5 }, 1],
    ['a second call is worth something only where it is allowed', { arrivals: [0], slots: 1, fateOf: fates([bad(0), ok(1)]), deadlineMs: 5 }, 0],
    ['allowed', { arrivals: [0], slots: 1, fateOf: fates([bad(0), ok(1)]), deadlineMs: 5, callsPerPayment: 2 }, 1],
    ['calls of payments that are yet to come cannot be made for those that were', { arrivals: [0, 10], slots: 1, fateOf: fates([bad(0), bad(0), ok(1), ok(1)]), deadlineMs: 5, callsPerPayment: 2 }, 1],
  ])('%s', (_, storm, most) => {
    expect(mostInTime(storm)).toBe(most)
  })

  /** Tries every policy: who asks next, and when, over all whole ms. */
  function bruteForce({ arrivals, slots, fateOf: fate, deadlineMs, callsPerPayment = 1 }: Storm): number {
    const search = (now: number, n: number, left: readonly number[], freeAt: readonly number[], paid: ReadonlySet<number>): number => {
      let most = paid.size
      for (const [payment, arrival] of arrivals.entries()) {
        if (left[payment] === 0 || paid.has(payment)) continue
        for (let at = Math.max(now, arrival); at <= arrival + deadlineMs; at++) {
          const { done, ms } = fate(n)
          const [first, ...rest] = freeAt.toSorted((a, b) => a - b)
          const end = Math.max(at, first!) + ms
          const served = done && end <= arrival + deadlineMs ? new Set([...paid, payment]) : paid
          most = Math.max(most, search(at, n + 1, left.with(payment, left[payment]! - 1), [...rest, end], served))
        }
      }
      return most
    }
    return search(0, 1, arrivals.map(() => callsPerPayment), new Array<number>(slots).fill(0), new Set())
  }

  const storms = (payments: number, callsPerPayment: number): fc.Arbitrary<Storm> =>
    fc.record({
      arrivals: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: payments }),
      slots: fc.integer({ min: 1, max: 2 }),
      list: fc.array(fc.record({ done: fc.boolean(), ms: fc.integer({ min: 0, max: 4 }) }), { minLength: payments * callsPerPayment, maxLength: payments * callsPerPayment }),
      deadlineMs: fc.integer({ min: 1, max: 4 }),
    }).map(({ list, ...storm }) => ({ ...storm, fateOf: fates(list), callsPerPayment }))

  test.each([[4, 1, 300], [2, 2, 150]])('no policy for %i payments with %i calls each does better, and nearly always one does as well', (payments, calls, runs) => {
    let [tight, all] = [0, 0]
    fc.assert(
      fc.property(storms(payments, calls), (storm) => {
        const [bound, best] = [mostInTime(storm), bruteForce(storm)]
        all++
        if (bound === best) tight++
        expect(bound).toBeGreaterThanOrEqual(best)
        expect(bound - best).toBeLessThanOrEqual(1)
      }),
      { seed: 1, numRuns: runs },
    )
    expect(tight / all).toBeGreaterThan(0.9)
  })

  test('in the Black Friday storm it is what the model found: a sixth of them', () => {
    const arrivals = Array.from({ length: 6000 }, (_, n) => n * 10)
    const most = mostInTime({ arrivals, slots: STORM.slots, fateOf: (ordinal) => fateOf(STORM, ordinal), deadlineMs: 5000 })
    expect(most / 6000).toBeGreaterThan(0.154)
    expect(most / 6000).toBeLessThan(0.2)
  })
})
