/** What holds of breakers and windows whatever happens to them, and one fact that only real sockets can show. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { VirtualClock } from '../../../src/clock.ts'
import type { Pass } from '../../../src/engines/policies/ambient.ts'
import * as library from '../../../src/engines/policies/library.ts'
import { CountWindow, TimeWindow } from '../../../src/engines/policies/window.ts'

test('a window of calls is the last n calls, also after it was saved', () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 70 }), fc.array(fc.tuple(fc.boolean(), fc.boolean()), { maxLength: 300 }), (size, calls) => {
    const window = new CountWindow(size)
    for (const [failed, slow] of calls) window.add(failed, slow)
    const last = calls.slice(-size)
    const model = { calls: last.length, failures: last.filter(([failed]) => failed).length, slow: last.filter(([, slow]) => slow).length }
    const { calls: count, failures, slow } = window
    expect({ calls: count, failures, slow }).toEqual(model)
    const loaded = new CountWindow(size)
    loaded.load(JSON.parse(JSON.stringify(window.save())))
    expect(loaded.save()).toEqual(window.save())
  }))
})

test('a window of time holds all calls of its last nine tenths and none that is older than all of it, also after it was saved', () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 400 }), fc.boolean()), { maxLength: 200 }), fc.integer({ min: 0, max: 1500 }), (calls, restMs) => {
    const window = new TimeWindow(1000)
    let now = 5
    const at = calls.map(([gapMs, failed]) => {
      now += gapMs
      window.add(failed, false, now)
      return { at: now, failed }
    })
    const saved = JSON.parse(JSON.stringify(window.save(now)))
    const savedAt = now
    now += restMs
    window.forget(now)
    const within = (ms: number) => at.filter((call) => call.at > now - ms).length
    expect(window.calls).toBeGreaterThanOrEqual(within(900))
    expect(window.calls).toBeLessThanOrEqual(within(1000))
    const loaded = new TimeWindow(1000)
    loaded.load(saved, now - savedAt, now)
    expect(loaded.calls).toBeLessThanOrEqual(within(1000))
    expect(loaded.calls).toBeGreaterThanOrEqual(within(800))
    expect(loaded.failures).toBeLessThanOrEqual(window.failures)
  }))
})

type Step = { do: 'enter' } | { do: 'end'; which: number; result: library.Result; elapsedMs: number } | { do: 'pass'; ms: number } | { do: 'hand'; what: 'forceOpen' | 'disable' | 'metricsOnly' | 'reset' | 'restart' }

const step = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Step>({ do: 'enter' }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('end' as const), which: fc.nat(9), result: fc.constantFrom<library.Result>('ok', 'failure', 'failure', 'ignored'), elapsedMs: fc.nat(300) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.nat(800) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('hand' as const), what: fc.constantFrom('forceOpen' as const, 'disable' as const, 'metricsOnly' as const, 'reset' as const, 'reset' as const, 'restart' as const) }) },
)

/** Time that is moved by hand: a property needs neither timers nor turns. */
class Hand extends VirtualClock {
  time = 0
  override now = () => 1_893_456_000_000 + this.time
  override monotonic = () => this.time
}

test('whatever happens to a breaker: probes are bounded, nobody passes before its time, old passes change nothing, and it can always recover', () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 150 }), fc.constantFrom({ calls: 8 }, { ms: 1000 }), (steps, window) => {
    const clock = new Hand()
    const options = { clock, random: library.Random.seeded(1), window, minimumCalls: 4, failureRate: 0.5, slowCallMs: 200, slowRate: 0.6, openMs: 500, openJitter: 0.1, probes: 3, probeMs: 400, rampMs: 300 }
    let breaker = library.breaker(options)
    let moves = 0
    let state = breaker.state
    /** With how many moves each was given. */
    let held: { pass: Pass; moves: number; at: number }[] = []
    let { changedAt } = breaker.snapshot()
    const look = () => {
      const now = breaker.snapshot()
      if (breaker.state !== state || now.changedAt !== changedAt) moves++
      ;[state, changedAt] = [breaker.state, now.changedAt]
    }
    for (const next of steps) {
      if (next.do === 'pass') clock.time += next.ms
      else if (next.do === 'enter') {
        const [before, waitMs] = [breaker.state, breaker.retryAfterMs]
        const pass = breaker.enter()
        look()
        if (before === 'open' && waitMs > 0) expect(pass).toBeUndefined()
        if (before === 'forced-open') expect(pass).toBeUndefined()
        if (before === 'disabled' || before === 'metrics-only') expect(pass).toBeDefined()
        if (pass) held.push({ pass, moves, at: clock.time })
        if (breaker.state === 'half-open') expect(held.filter((one) => one.moves === moves && one.at > clock.time - 400).length).toBeLessThanOrEqual(3)
        if (!pass && before !== 'forced-open') expect(breaker.retryAfterMs).toBeGreaterThanOrEqual(0)
      } else if (next.do === 'end') {
        const [one] = held.splice(next.which, 1)
        if (!one) continue
        const before = JSON.stringify(breaker.snapshot())
        one.pass.end(next.result, next.elapsedMs)
        if (one.moves !== moves || next.result === 'ignored') expect(JSON.stringify(breaker.snapshot())).toBe(before)
        const after = JSON.stringify(breaker.snapshot())
        look()
        const settled = JSON.stringify(breaker.snapshot())
        one.pass.end('failure', 9999)
        expect([JSON.stringify(breaker.snapshot()), settled]).toEqual([after, after])
      } else if (next.what === 'restart') {
        const restarted = library.breaker(options)
        restarted.restore(JSON.parse(JSON.stringify(breaker.snapshot())))
        if (breaker.state !== 'half-open') expect([restarted.state, Math.abs(restarted.retryAfterMs - breaker.retryAfterMs) <= 1 || breaker.state === 'closed']).toEqual([breaker.state, true])
        breaker = restarted
        held = []
        look()
        moves++
      } else {
        breaker[next.what]()
        look()
        moves++
      }
      const { calls, failures, slow } = breaker.metrics()
      expect([failures <= calls, slow <= calls, failures >= 0, slow >= 0]).toEqual([true, true, true, true])
    }
    if (breaker.state === 'forced-open') breaker.reset()
    for (let n = 0; n < 200 && !(breaker.state === 'closed' && breaker.retryAfterMs === 0); n++) {
      if (breaker.state === 'disabled' || breaker.state === 'metrics-only') break
      clock.time += 100
      breaker.enter()?.end('ok', 1)
    }
    expect(['closed', 'disabled', 'metrics-only']).toContain(breaker.state)
  }), { numRuns: 300 })
})

test('T8 after a second in which the event loop stood, the answer in the socket wins over the timer', async () => {
  const code = `const { createServer } = require('node:http')
    const { parentPort } = require('node:worker_threads')
    createServer((_request, response) => {
      parentPort.postMessage('asked')
      setTimeout(() => response.end('in time'), 200)
    }).listen(0, '127.0.0.1', function () { parentPort.postMessage(this.address().port) })`
  const service = new Worker(code, { eval: true })
  try {
    const [port] = await once(service, 'message')
    const dueAt = performance.now() + 1000
    const answer = library.policy({ attemptMs: 1000 }).run(async ({ signal }) => (await fetch(`http://127.0.0.1:${port}`, { signal })).text())
    await once(service, 'message')
    // After this the loop comes to its timers first, and then to its sockets.
    setImmediate(() => {
      while (performance.now() < dueAt + 100); // the answer comes, and the timer is due
    })
    expect(await answer).toBe('in time')
  } finally {
    await service.terminate()
  }
})
