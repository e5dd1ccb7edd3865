import { expect } from 'vitest'
import type { BreakerOptions } from '../../../../src/engines/policies/breaker.ts'
import type { Library, Rule } from './world.ts'
import { feed, world } from './world.ts'

/** Plain settings: opens at half of ten calls for 5 s, three probes, no ramp, no chance. */
const plain: BreakerOptions = { window: { calls: 10 }, minimumCalls: 10, failureRate: 0.5, openMs: 5000, openJitter: 0, probes: 3, probeMs: 1000, rampMs: 0 }

function make(lib: Library, options: BreakerOptions = {}) {
  const around = world(lib)
  return { ...around, breaker: lib.breaker({ ...around, ...plain, ...options }) }
}

/** Opened by ten failures; its time is up when `half` is true. */
async function opened(lib: Library, options: BreakerOptions = {}, half = false) {
  const made = make(lib, options)
  feed(made.breaker, 'failure', 10)
  expect(made.breaker.state).toBe('open')
  if (half) await made.pass(5000)
  return made
}

export const rules: Rule[] = [
  ['B1 it opens at its rate and not below, on its minimum of calls and not on fewer', (lib) => {
    const { breaker } = make(lib, { window: { calls: 100 }, minimumCalls: 20, failureRate: 0.55 })
    feed(breaker, 'failure', 19)
    expect(breaker.state).toBe('closed')
    breaker.reset()
    feed(breaker, 'ok', 10)
    feed(breaker, 'failure', 12)
    expect(breaker.state).toBe('closed') // 12 of 22
    feed(breaker, 'failure', 1)
    expect(breaker.state).toBe('open') // 13 of 23
    const exact = make(lib, { window: { calls: 100 }, minimumCalls: 100, failureRate: 0.07 })
    feed(exact.breaker, 'ok', 93)
    feed(exact.breaker, 'failure', 7)
    expect(exact.breaker.state).toBe('open') // 0.07 * 100 is more than 7 in binary
  }],
  ['B1 the call that completes the minimum opens it even when it went well', (lib) => {
    const { breaker } = make(lib)
    feed(breaker, 'failure', 9)
    feed(breaker, 'ok', 1)
    expect(breaker.state).toBe('open')
  }],
  ['B2 one failure never opens it, nor do nineteen, as it comes', (lib) => {
    const { clock, random } = world(lib)
    const breaker = lib.breaker({ clock, random, minimumCalls: undefined })
    feed(breaker, 'failure', 19)
    expect(breaker.state).toBe('closed')
    feed(breaker, 'failure', 1)
    expect(breaker.state).toBe('open')
  }],
  ['B3 a window of time forgets while nobody calls', async (lib) => {
    const { breaker, pass } = make(lib, { window: { ms: 10_000 } })
    feed(breaker, 'failure', 9)
    await pass(3_600_000)
    feed(breaker, 'failure', 1)
    expect(breaker.state).toBe('closed')
    expect(breaker.metrics()).toEqual({ calls: 1, failures: 1, slow: 0 })
  }],
  ['B3 a window of time remembers nine tenths of itself and forgets bucket by bucket', async (lib) => {
    const { breaker, pass } = make(lib, { window: { ms: 10_000 } })
    feed(breaker, 'failure', 4)
    await pass(5000)
    feed(breaker, 'ok', 3)
    await pass(3999)
    expect(breaker.metrics()).toMatchObject({ calls: 7, failures: 4 })
    await pass(1001)
    expect(breaker.metrics()).toMatchObject({ calls: 3, failures: 0 })
    await pass(5000)
    expect(breaker.metrics()).toMatchObject({ calls: 0 })
  }],
  ['a window of calls forgets the oldest', (lib) => {
    const { breaker } = make(lib)
    feed(breaker, 'failure', 4)
    feed(breaker, 'ok', 10)
    feed(breaker, 'failure', 4)
    expect(breaker.metrics()).toEqual({ calls: 10, failures: 4, slow: 0 })
    expect(breaker.state).toBe('closed')
    feed(breaker, 'failure', 1)
    expect(breaker.state).toBe('open')
  }],
  ['B4 an answer that was begun before the breaker moved counts nothing', async (lib) => {
    const { breaker, pass } = make(lib)
    const [early, late, later] = [breaker.enter()!, breaker.enter()!, breaker.enter()!]
    feed(breaker, 'failure', 10)
    await pass(5000)
    const probe = breaker.enter()!
    expect(breaker.state).toBe('half-open')
    early.end('ok', 5000)
    expect(breaker.state).toBe('half-open') // a success of before closes nothing
    late.end('failure', 5000)
    expect(breaker.state).toBe('half-open') // nor does a failure open it
    probe.end('ok', 10)
    breaker.enter()!.end('ok', 10)
    expect(breaker.state).toBe('closed')
    later.end('failure', 9000)
    expect(breaker.metrics().calls).toBe(0)
  }],
  ['B5 half-open lets exactly its probes in and rejects all others at once', async (lib) => {
    const { breaker } = await opened(lib, {}, true)
    const passes = Array.from({ length: 500 }, () => breaker.enter())
    expect(passes.filter((pass) => pass !== undefined)).toHaveLength(3)
    expect(breaker.retryAfterMs).toBe(1000)
    passes[0]!.end('failure', 10)
    expect(breaker.enter()).toBeUndefined() // one of three has failed; its place is spent, not free
  }],
  ['half-open is decided as soon as the missing probes could not change it', async (lib) => {
    const closes = await opened(lib, {}, true)
    const probes = [closes.breaker.enter()!, closes.breaker.enter()!, closes.breaker.enter()!]
    probes[0]!.end('ok', 10)
    expect(closes.breaker.state).toBe('half-open')
    probes[1]!.end('ok', 10)
    expect(closes.breaker.state).toBe('closed') // of three at most one can fail now
    probes[2]!.end('failure', 10)
    expect(closes.breaker.metrics().calls).toBe(0)

    const opens = await opened(lib, {}, true)
    const again = [opens.breaker.enter()!, opens.breaker.enter()!, opens.breaker.enter()!]
    again[0]!.end('failure', 10)
    again[1]!.end('ok', 10)
    expect(opens.breaker.state).toBe('half-open')
    again[2]!.end('failure', 10)
    expect(opens.breaker.state).toBe('open')
    expect(opens.events.at(-1)).toMatchObject({ type: 'breaker.opened', why: 'probes' })
  }],
  ['B6 a hung probe frees its place, counts as failed, and its late answer counts nothing', async (lib) => {
    const { breaker, pass } = await opened(lib, { failureRate: 0.6 }, true)
    const hung = breaker.enter()!
    breaker.enter()!.end('failure', 10)
    await pass(999)
    const third = breaker.enter()!
    expect(breaker.enter()).toBeUndefined()
    expect(breaker.retryAfterMs).toBe(1)
    await pass(1)
    expect(breaker.enter()).toBeUndefined()
    expect(breaker.state).toBe('open') // two of three
    hung.end('ok', 9000)
    third.end('ok', 10)
    expect(breaker.state).toBe('open')

    const alone = await opened(lib, { probes: 1 }, true)
    const first = alone.breaker.enter()!
    await alone.pass(1000)
    expect(alone.breaker.enter()).toBeUndefined()
    await alone.pass(5000)
    const second = alone.breaker.enter()!
    first.end('failure', 6000)
    second.end('ok', 10)
    expect(alone.breaker.state).toBe('closed')
  }],
  ['B6 a place that was given to another probe is not freed by the one that had it', async (lib) => {
    const { breaker, pass } = await opened(lib, { probes: 5, failureRate: 0.5 }, true)
    const hung = breaker.enter()!
    await pass(1000)
    const next = breaker.enter()! // takes the place of the hung one, which has counted as failed
    expect(breaker.state).toBe('half-open')
    hung.end('ignored', 1500)
    const others = [breaker.enter(), breaker.enter(), breaker.enter(), breaker.enter()]
    expect(others.filter((pass) => pass !== undefined)).toHaveLength(3)
    next.end('ok', 10)
    others[0]!.end('ok', 10)
    others[1]!.end('ok', 10)
    expect(breaker.state).toBe('closed')
  }],
  ['B7 what is ignored gives its place back and counts nothing', async (lib) => {
    const { breaker, pass } = make(lib)
    feed(breaker, 'ignored', 1000)
    expect(breaker.metrics().calls).toBe(0)
    feed(breaker, 'failure', 10)
    await pass(5000)
    for (let n = 0; n < 20; n++) breaker.enter()!.end('ignored', 10)
    expect(breaker.state).toBe('half-open')
    feed(breaker, 'ok', 2)
    expect(breaker.state).toBe('closed')
  }],
  ['B8 slow answers open it though all of them are right', async (lib) => {
    const { breaker, events } = make(lib, { slowCallMs: 1000, slowRate: 0.5 })
    feed(breaker, 'ok', 5, 999)
    feed(breaker, 'ok', 4, 1000)
    expect(breaker.state).toBe('closed')
    feed(breaker, 'ok', 1, 1000)
    expect(breaker.state).toBe('open')
    expect(events.at(-1)).toMatchObject({ type: 'breaker.opened', why: 'slow', calls: 10, failures: 0, slow: 5 })
  }],
  ['B8 slow probes open it again', async (lib) => {
    const { breaker, pass } = make(lib, { slowCallMs: 1000, slowRate: 0.5 })
    feed(breaker, 'failure', 10)
    await pass(5000)
    feed(breaker, 'ok', 2, 1000)
    expect(breaker.state).toBe('open')
  }],
  ['B9 forced open it lets nobody in, disabled it counts nothing, and for metrics only it says when it would have opened', async (lib) => {
    const { breaker, pass, types } = make(lib)
    breaker.forceOpen()
    await pass(3_600_000)
    expect(breaker.enter()).toBeUndefined()
    expect(breaker.retryAfterMs).toBe(5000)
    breaker.disable()
    expect(feed(breaker, 'failure', 100)).toBe(100)
    expect(breaker.metrics().calls).toBe(0)
    breaker.metricsOnly()
    expect(feed(breaker, 'failure', 25)).toBe(25)
    expect(breaker.state).toBe('metrics-only')
    expect(types().filter((type) => type === 'breaker.trip_observed')).toHaveLength(2) // once for each ten
    breaker.reset()
    expect(breaker.state).toBe('closed')
    expect(breaker.metrics().calls).toBe(0)
    expect(types().filter((type) => type !== 'breaker.trip_observed')).toEqual(['breaker.forced_open', 'breaker.rejected', 'breaker.disabled', 'breaker.observed_only', 'breaker.closed'])
  }],
  ['B10 an open breaker stays open for the rest of its time in the next life, and half-open is probed anew', async (lib) => {
    const { breaker, clock, random, pass } = await opened(lib)
    await pass(2000)
    const saved = JSON.parse(JSON.stringify(breaker.snapshot()))
    const restarted = () => {
      const next = lib.breaker({ clock, random, ...plain })
      expect(next.restore(saved)).toBe(true)
      return next
    }
    expect(restarted().retryAfterMs).toBe(3000)
    await pass(2999)
    expect(restarted().enter()).toBeUndefined()
    await pass(1)
    expect(restarted().enter()).toBeDefined()

    breaker.enter()
    expect(breaker.state).toBe('half-open')
    const again = lib.breaker({ clock, random, ...plain })
    again.restore(JSON.parse(JSON.stringify(breaker.snapshot())))
    feed(again, 'ok', 2)
    expect(again.state).toBe('closed')
  }],
  ['B10 short lives share one window, of calls and of time', async (lib) => {
    for (const window of [{ calls: 10 }, { ms: 10_000 }]) {
      const { clock, random, pass } = world(lib)
      let saved: unknown
      let breaker = lib.breaker({ clock, random, ...plain, window })
      for (let life = 0; life < 10; life++) {
        breaker = lib.breaker({ clock, random, ...plain, window })
        if (saved) breaker.restore(saved)
        expect(breaker.state).toBe('closed')
        feed(breaker, 'failure', 1)
        saved = JSON.parse(JSON.stringify(breaker.snapshot()))
        await pass(500)
      }
      expect(breaker.state).toBe('open')
    }
  }],
  ['B10 a window of time that was saved is older by what has passed since', async (lib) => {
    const { clock, random, pass } = world(lib)
    const breaker = lib.breaker({ clock, random, ...plain, window: { ms: 10_000 } })
    feed(breaker, 'failure', 5)
    await pass(4000)
    feed(breaker, 'ok', 2)
    const saved = breaker.snapshot()
    await pass(7000)
    const next = lib.breaker({ clock, random, ...plain, window: { ms: 10_000 } })
    next.restore(saved)
    expect(next.metrics()).toEqual({ calls: 2, failures: 0, slow: 0 })
  }],
  ['B10 of siblings the later change wins, whatever order they are read in', async (lib) => {
    const around = world(lib)
    const [one, two] = [lib.breaker({ ...around, ...plain }), lib.breaker({ ...around, ...plain })]
    feed(one, 'failure', 10)
    const open = one.snapshot()
    expect(two.restore(open)).toBe(true)
    expect(two.restore(open)).toBe(false) // no move, no new generation
    expect(two.state).toBe('open')
    await around.pass(5000)
    feed(two, 'ok', 2)
    expect(two.state).toBe('closed')
    expect(two.restore(one.snapshot())).toBe(false)
    expect(one.restore(two.snapshot())).toBe(true)
    expect(one.state).toBe('closed')
  }],
  ['B10 what is no snapshot is refused, and a wrong wall clock cannot hold a breaker open', (lib) => {
    const { breaker, clock } = make(lib, { openCapMs: 8000 })
    for (const garbage of [undefined, null, 7, 'open', {}, { state: 'ajar' }, { ...breaker.snapshot(), untilAt: Number.NaN }]) expect(breaker.restore(garbage)).toBe(false)
    expect(breaker.restore({ state: 'open', changedAt: clock.now(), untilAt: clock.now() + 1e9, openings: 1, at: clock.now(), window: { calls: '' } })).toBe(true)
    expect(breaker.retryAfterMs).toBe(8000)
  }],
  ['B13 a storm of declines does not open it', (lib) => {
    const { breaker } = make(lib)
    for (let n = 0; n < 100; n++) feed(breaker, 'ignored', 9)
    feed(breaker, 'ok', 1)
    expect(breaker.state).toBe('closed')
  }],
  ['B14 one scope cannot open another', (lib) => {
    const around = world(lib)
    const breakers = lib.breakers({ ...around, ...plain })
    feed(breakers.of('merchant-1'), 'failure', 100)
    expect(breakers.of('merchant-1').state).toBe('open')
    expect(breakers.of('merchant-2').state).toBe('closed')
    expect(around.events[0]).toMatchObject({ type: 'breaker.opened', scope: 'merchant-1' })
  }],
  ['B14 scopes are bounded, and one that remembers nothing goes first', (lib) => {
    const { clock, random } = world(lib)
    const breakers = lib.breakers({ clock, random, ...plain, most: 10 })
    feed(breakers.of('bad'), 'failure', 10)
    feed(breakers.of('busy'), 'ok', 1)
    for (let n = 0; n < 1000; n++) breakers.of(`scope-${n}`)
    expect(breakers.size).toBe(10)
    expect(breakers.of('bad').state).toBe('open')
    expect(breakers.of('busy').metrics().calls).toBe(1)
  }],
  ['B15 after closing callers come back over the ramp, from a tenth to all', async (lib) => {
    const { breaker, pass } = await opened(lib, { rampMs: 2000 }, true)
    feed(breaker, 'ok', 2)
    expect(breaker.state).toBe('closed')
    const admitted: number[] = []
    for (let quarter = 0; quarter < 4; quarter++) {
      let count = 0
      for (let step = 0; step < 50; step++) {
        count += feed(breaker, 'ok', 10)
        await pass(10)
      }
      admitted.push(count)
    }
    expect(admitted[0]).toBeGreaterThan(50)
    expect(admitted[0]).toBeLessThan(90)
    expect(admitted[1]).toBeGreaterThan(160)
    expect(admitted[1]).toBeLessThan(215)
    expect(admitted[3]).toBeGreaterThan(410)
    expect(admitted[3]).toBeLessThan(465)
    expect(feed(breaker, 'ok', 500)).toBe(500)
  }],
  ['B15 a breaker on its ramp opens like any other', async (lib) => {
    const { breaker, pass } = await opened(lib, { rampMs: 2000 }, true)
    feed(breaker, 'ok', 2)
    await pass(1000)
    feed(breaker, 'failure', 30)
    expect(breaker.state).toBe('open')
  }],
  ['it stays open for longer each time, to a cap, until it has fully recovered', async (lib) => {
    const { breaker, pass } = await opened(lib, { openGrowth: 2, openCapMs: 15_000, rampMs: 1000 })
    const openFor: number[] = []
    for (let n = 0; n < 3; n++) {
      openFor.push(breaker.retryAfterMs)
      await pass(breaker.retryAfterMs)
      feed(breaker, 'failure', 2)
    }
    expect(openFor).toEqual([5000, 10_000, 15_000])
    await pass(breaker.retryAfterMs)
    feed(breaker, 'ok', 2)
    feed(breaker, 'failure', 100) // some of these pass the ramp
    expect(breaker.retryAfterMs).toBe(15_000)
    await pass(15_000)
    feed(breaker, 'ok', 2)
    await pass(1000)
    feed(breaker, 'ok', 1)
    feed(breaker, 'failure', 20)
    expect(breaker.retryAfterMs).toBe(5000)
  }],
  ['jitter makes it longer by up to its share, differently for each', (lib) => {
    const { clock, random } = world(lib)
    const times = Array.from({ length: 200 }, () => {
      const breaker = lib.breaker({ clock, random, ...plain, openJitter: 0.2 })
      feed(breaker, 'failure', 10)
      return breaker.retryAfterMs
    })
    expect(Math.min(...times)).toBeGreaterThanOrEqual(5000)
    expect(Math.min(...times)).toBeLessThan(5050)
    expect(Math.max(...times)).toBeGreaterThan(5950)
    expect(Math.max(...times)).toBeLessThanOrEqual(6000)
  }],
  ['a rejection says how long it is until the next probe', async (lib) => {
    const { breaker, pass, events } = await opened(lib)
    await pass(1200)
    expect(breaker.enter()).toBeUndefined()
    expect(breaker.retryAfterMs).toBe(3800)
    expect(events.at(-1)).toEqual({ type: 'breaker.rejected', policy: 'breaker', state: 'open', retryAfterMs: 3800 })
  }],
  ['a pass that is ended twice counts once', async (lib) => {
    const { breaker, pass } = make(lib)
    const once = breaker.enter()!
    for (let n = 0; n < 20; n++) once.end('failure', 10)
    expect(breaker.metrics().calls).toBe(1)
    feed(breaker, 'failure', 9)
    await pass(5000)
    const probe = breaker.enter()!
    probe.end('ignored', 10)
    const other = breaker.enter()!
    probe.end('ok', 10)
    probe.end('ok', 10)
    expect(breaker.state).toBe('half-open')
    other.end('ignored', 0)
  }],
  ['wrong settings are refused with a word', (lib) => {
    for (const options of [{ failureRate: 0 }, { failureRate: 1.1 }, { minimumCalls: 0 }, { window: { calls: 2000 } }, { window: { calls: 10 }, minimumCalls: 11 }, { openJitter: 2 }, { probes: 0 }, { openMs: Number.NaN }] as BreakerOptions[]) {
      expect(() => lib.breaker(options), JSON.stringify(options)).toThrow(expect.objectContaining({ code: 'INVALID_POLICY' }))
    }
  }],
]
