/**
 * Where the policies of opossum and cockatiel do what a service would not want, the same probe is run on theirs and on ours. What the page says of them
 * (docs/policies.md) is what is shown here. Time is vitest's for them and virtual for ours.
 */
import * as cockatiel from 'cockatiel'
import CircuitBreaker from 'opossum'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import * as library from '../../../src/engines/policies/library.ts'
import { feed, hangs, refused, reset, thrownBy, world } from './rules/world.ts'

const { circuitBreaker, CircuitState, ConsecutiveBreaker, ConstantBackoff, handleAll, retry, SamplingBreaker, timeout, TimeoutStrategy, wrap } = cockatiel

beforeEach(() => void vi.useFakeTimers())
const open: CircuitBreaker[] = []
afterEach(() => {
  for (const breaker of open.splice(0)) breaker.shutdown()
  vi.useRealTimers()
})

function opossum<I extends unknown[], R>(action: (...given: I) => Promise<R>, options: CircuitBreaker.Options): CircuitBreaker<I, R> {
  const breaker = new CircuitBreaker(action, options)
  open.push(breaker as never)
  return breaker
}

const fails = () => Promise.reject(new Error('no'))
const later = <T>(ms: number, answer: T) => new Promise<T>((resolve) => setTimeout(() => resolve(answer), ms))
/** Until the microtasks have run. */
const turn = () => vi.advanceTimersByTimeAsync(0)
/** For our side, which brings its own time. */
function ours() {
  vi.useRealTimers()
  return world(library)
}

describe('P1 nine failures, an hour, and one failure', () => {
  test('cockatiel’s sampling breaker opens', async () => {
    const policy = circuitBreaker(handleAll, { halfOpenAfter: 5000, breaker: new SamplingBreaker({ threshold: 0.5, duration: 10_000, minimumRps: 1 }) })
    for (let n = 0; n < 9; n++) await policy.execute(fails).catch(() => {})
    expect(policy.state).toBe(CircuitState.Closed)
    await vi.advanceTimersByTimeAsync(3_600_000)
    await policy.execute(fails).catch(() => {})
    expect(policy.state).toBe(CircuitState.Open)
  })
  test('ours has forgotten the nine', async () => {
    const around = ours()
    const breaker = library.breaker({ ...around, window: { ms: 10_000 }, minimumCalls: 10, failureRate: 0.5 })
    feed(breaker, 'failure', 9)
    await around.pass(3_600_000)
    feed(breaker, 'failure', 1)
    expect(breaker.state).toBe('closed')
  })
})

describe('P2 a caller who leaves 50 ms into a wait of 400 ms', () => {
  test('cockatiel’s retry sleeps on, and calls once more', async () => {
    const leaver = new AbortController()
    let calls = 0
    let answeredAt = 0
    const begunAt = Date.now()
    const running = retry(handleAll, { maxAttempts: 3, backoff: new ConstantBackoff(400) })
      .execute(() => (calls++, fails()), leaver.signal)
      .catch(() => (answeredAt = Date.now() - begunAt))
    await vi.advanceTimersByTimeAsync(50)
    leaver.abort()
    await vi.advanceTimersByTimeAsync(5000)
    await running
    expect([calls, answeredAt]).toEqual([2, 400])
  })
  test('ours is answered in that turn, without another call', async () => {
    const around = ours()
    const policy = library.policy({ ...around, retry: { attempts: 4, baseMs: 400 } })
    const leaver = new AbortController()
    let calls = 0
    const running = thrownBy(policy.run(() => (calls++, Promise.reject(refused())), { signal: leaver.signal }))
    await around.pass(1)
    leaver.abort()
    expect((await running).code).toBe('CALLER_LEFT')
    await around.pass(5000)
    expect([calls, around.clock.monotonic()]).toEqual([1, 5001])
  })
})

describe('P3 five hundred callers while one probe is under way', () => {
  test('cockatiel lets all of them wait, and then all of them in at once', async () => {
    const policy = circuitBreaker(handleAll, { halfOpenAfter: 1000, breaker: new ConsecutiveBreaker(1) })
    await policy.execute(fails).catch(() => {})
    await vi.advanceTimersByTimeAsync(1000)
    let calls = 0
    const all = Array.from({ length: 500 }, () => policy.execute(() => (calls++, later(100, 'ok'))))
    await vi.advanceTimersByTimeAsync(99)
    expect(calls).toBe(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(calls).toBe(500)
    await vi.advanceTimersByTimeAsync(200)
    await Promise.all(all)
  })
  test('ours rejects the others at once', async () => {
    const around = ours()
    const breaker = library.breaker({ ...around, window: { calls: 1 }, probes: 1, openMs: 1000, openJitter: 0 })
    feed(breaker, 'failure', 1)
    await around.pass(1000)
    const policy = library.policy({ ...around, breaker })
    let calls = 0
    const all = Array.from({ length: 500 }, () => policy.run(() => (calls++, around.clock.sleep(100))))
    const settled = await around.clock.run(Promise.allSettled(all))
    expect([calls, settled.filter(({ status }) => status === 'fulfilled').length]).toEqual([1, 1])
  })
})

describe('P4 one failure, as it comes', () => {
  test('opens opossum', async () => {
    const breaker = opossum(fails, {})
    await breaker.fire().catch(() => {})
    expect(breaker.opened).toBe(true)
  })
  test('does not open ours', () => {
    const breaker = library.breaker(ours())
    feed(breaker, 'failure', 1)
    expect(breaker.state).toBe('closed')
  })
})

describe('P5 ten calls at once that would all go well, and room for one', () => {
  test('open opossum by its own rejections', async () => {
    const breaker = opossum(() => later(10, 'ok'), { capacity: 1 })
    const settled = Promise.allSettled(Array.from({ length: 10 }, () => breaker.fire()))
    await vi.advanceTimersByTimeAsync(20)
    expect((await settled).filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(breaker.opened).toBe(true)
  })
  test('count as one call for ours', async () => {
    const around = ours()
    const breaker = library.breaker({ ...around, window: { calls: 10 }, minimumCalls: 1, failureRate: 0.1 })
    const policy = library.policy({ ...around, breaker, bulkhead: library.bulkhead({ ...around, limit: 1, queue: 0 }) })
    await around.clock.run(Promise.allSettled(Array.from({ length: 10 }, () => policy.run(() => around.clock.sleep(10)))))
    expect(breaker.state).toBe('closed')
    expect(breaker.metrics()).toEqual({ calls: 1, failures: 0, slow: 0 })
  })
})

describe('P6 a success that was begun before the breaker opened comes while it is half-open', () => {
  test('opossum closes, without a probe', async () => {
    const breaker = opossum((ms: number) => (ms === 0 ? fails() : later(ms, 'ok')), { resetTimeout: 1000, timeout: false, errorThresholdPercentage: 10 })
    const early = breaker.fire(1500)
    await breaker.fire(0).catch(() => {})
    await vi.advanceTimersByTimeAsync(1000)
    expect(breaker.halfOpen).toBe(true)
    await vi.advanceTimersByTimeAsync(500)
    await early
    expect(breaker.closed).toBe(true)
  })
  test('ours asks its own probes', async () => {
    const around = ours()
    const breaker = library.breaker({ ...around, window: { calls: 1 }, openMs: 1000, openJitter: 0, probes: 1 })
    const early = breaker.enter()!
    feed(breaker, 'failure', 1)
    await around.pass(1000)
    breaker.enter()
    early.end('ok', 1500)
    expect(breaker.state).toBe('half-open')
  })
})

describe('P7 one call that takes too long', () => {
  test('aborts what opossum’s other callers have under way', async () => {
    const controller = new AbortController()
    const aborted: number[] = []
    const breaker = opossum((id: number, ms: number) => {
      controller.signal.addEventListener('abort', () => aborted.push(id))
      return later(ms, id)
    }, { timeout: 100, abortController: controller })
    const slow = breaker.fire(1, 500).catch(() => {})
    await vi.advanceTimersByTimeAsync(90)
    const other = breaker.fire(2, 50)
    await vi.advanceTimersByTimeAsync(10)
    expect(aborted).toEqual([1, 2])
    await vi.advanceTimersByTimeAsync(500)
    await Promise.all([slow, other])
  })
  test('is alone in it with ours', async () => {
    const around = ours()
    const policy = library.policy({ ...around, attemptMs: 100 })
    const aborted: number[] = []
    const call = (id: number, ms: number) => policy.run(({ signal }) => {
      signal.addEventListener('abort', () => aborted.push(id))
      return around.clock.sleep(ms)
    })
    const slow = call(1, 500).catch(() => {})
    await around.pass(90)
    await around.clock.run(call(2, 50))
    await slow
    expect(aborted).toEqual([1])
  })
})

describe('P8 a charge that takes too long', () => {
  test('happens with opossum, which says nothing but that it timed out', async () => {
    let charged = 0
    const breaker = opossum(async () => {
      await later(200, 0)
      charged++
    }, { timeout: 100 })
    const error = breaker.fire().catch((error) => error)
    await vi.advanceTimersByTimeAsync(300)
    expect([charged, (await error).code]).toEqual([1, 'ETIMEDOUT'])
  })
  test('is unknown with ours, is told to stop, and is not tried again', async () => {
    const around = ours()
    const policy = library.policy({ ...around, attemptMs: 100, retry: { attempts: 3 } })
    let [charged, calls] = [0, 0]
    const outcome = await around.clock.run(policy.outcome<string>(async ({ signal }) => {
      calls++
      await around.clock.sleep(200, signal)
      if (!signal.aborted) charged++
      return { kind: 'ok', value: 'charged' }
    }))
    expect(outcome).toMatchObject({ kind: 'unknown', error: { code: 'ATTEMPT_TIMED_OUT', sent: true } })
    await around.pass(500)
    expect([charged, calls]).toEqual([0, 1])
  })
})

describe('P9 work that does not look at its signal and takes 300 ms of 50', () => {
  test('is answered "late ok" by cockatiel’s cooperative timeout', async () => {
    const running = timeout(50, TimeoutStrategy.Cooperative).execute(() => later(300, 'late ok'))
    await vi.advanceTimersByTimeAsync(300)
    expect(await running).toBe('late ok')
  })
  test('is cut off by ours at 50', async () => {
    const around = ours()
    const policy = library.policy({ ...around, attemptMs: 50 })
    const error = await around.clock.run(thrownBy(policy.run(() => around.clock.sleep(300))))
    expect([error.code, around.clock.monotonic()]).toEqual(['ATTEMPT_TIMED_OUT', 50])
  })
})

describe('P10 repeats around an open breaker', () => {
  test('cockatiel sleeps through all of them, to be rejected by its own breaker again', async () => {
    const breaker = circuitBreaker(handleAll, { halfOpenAfter: 60_000, breaker: new ConsecutiveBreaker(1) })
    await breaker.execute(fails).catch(() => {})
    const begunAt = Date.now()
    const running = wrap(retry(handleAll, { maxAttempts: 3, backoff: new ConstantBackoff(400) }), breaker).execute(() => 'ok').catch(() => Date.now() - begunAt)
    await vi.advanceTimersByTimeAsync(5000)
    expect(await running).toBe(1200)
  })
  test('ours answers at once', async () => {
    const around = ours()
    const breaker = library.breaker(around)
    breaker.forceOpen()
    await thrownBy(library.policy({ ...around, breaker, retry: { attempts: 4, baseMs: 400 } }).run(async () => 'ok'))
    expect(around.clock.monotonic()).toBe(0)
  })
})

describe('P11 forty calls that ended have all failed, sixty hang', () => {
  test('opossum stays closed: it divides by what was begun', async () => {
    const breaker = opossum((hang: boolean) => (hang ? hangs() : later(10, 0).then(fails)), { timeout: false, volumeThreshold: 10, errorThresholdPercentage: 50 })
    for (let n = 0; n < 60; n++) void breaker.fire(true).catch(() => {})
    for (let n = 0; n < 40; n++) void breaker.fire(false).catch(() => {})
    await vi.advanceTimersByTimeAsync(100)
    expect(breaker.stats.failures).toBe(40)
    expect(breaker.opened).toBe(false)
  })
  test('ours opens: it divides by what has ended', () => {
    const breaker = library.breaker({ ...ours(), failureRate: 0.5 })
    for (let n = 0; n < 60; n++) breaker.enter()
    feed(breaker, 'failure', 40)
    expect(breaker.state).toBe('open')
  })
})

describe('P12 a failure of before comes while the probe is under way', () => {
  test('cockatiel opens again, and the probe that goes well is ignored', async () => {
    const policy = circuitBreaker(handleAll, { halfOpenAfter: 1000, breaker: new ConsecutiveBreaker(1) })
    const early = policy.execute(() => later(1050, 0).then(fails)).catch(() => {})
    await policy.execute(fails).catch(() => {})
    await vi.advanceTimersByTimeAsync(1000)
    const probe = policy.execute(() => later(100, 'ok'))
    await vi.advanceTimersByTimeAsync(50)
    await early
    expect(policy.state).toBe(CircuitState.Open)
    await vi.advanceTimersByTimeAsync(50)
    expect(await probe).toBe('ok')
    expect(policy.state).toBe(CircuitState.Open)
  })
  test('ours believes the probe', async () => {
    const around = ours()
    const breaker = library.breaker({ ...around, window: { calls: 1 }, openMs: 1000, openJitter: 0, probes: 1 })
    const early = breaker.enter()!
    feed(breaker, 'failure', 1)
    await around.pass(1000)
    const probe = breaker.enter()!
    early.end('failure', 1050)
    probe.end('ok', 100)
    expect(breaker.state).toBe('closed')
  })
})

describe('P13 a probe that hangs', () => {
  test('shuts opossum for ever, where it has no timeout', async () => {
    const breaker = opossum((what: 'fail' | 'hang' | 'ok') => (what === 'fail' ? fails() : what === 'hang' ? hangs() : Promise.resolve('ok')), { timeout: false, resetTimeout: 1000 })
    await breaker.fire('fail').catch(() => {})
    await vi.advanceTimersByTimeAsync(1000)
    void breaker.fire('hang')
    await turn()
    await vi.advanceTimersByTimeAsync(3_600_000)
    await expect(breaker.fire('ok')).rejects.toMatchObject({ code: 'EOPENBREAKER' })
  })
  test('keeps ours shut until it has expired and the next one has gone well', async () => {
    const around = ours()
    const breaker = library.breaker({ ...around, window: { calls: 1 }, openMs: 1000, openJitter: 0, probes: 1, probeMs: 10_000, rampMs: 0 })
    feed(breaker, 'failure', 1)
    await around.pass(1000)
    breaker.enter()
    await around.pass(10_000)
    expect(breaker.enter()).toBeUndefined()
    await around.pass(1000)
    feed(breaker, 'ok', 1)
    expect(breaker.state).toBe('closed')
  })
})

test('a reset is repeated by cockatiel’s retry unless told otherwise, and by ours only when told that it is harmless', async () => {
  let calls = 0
  const running = retry(handleAll, { maxAttempts: 2, backoff: new ConstantBackoff(1) }).execute(() => (calls++, Promise.reject(reset()))).catch(() => {})
  await vi.advanceTimersByTimeAsync(100)
  await running
  expect(calls).toBe(3)
  const around = ours()
  calls = 0
  await around.clock.run(thrownBy(library.policy({ ...around, retry: { attempts: 3 } }).run(() => (calls++, Promise.reject(reset())))))
  expect(calls).toBe(1)
})
