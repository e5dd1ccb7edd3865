import { expect } from 'vitest'
import type { Attempt, CallOptions, Outcome, PolicyOptions } from '../../../../src/engines/policies/library.ts'
import type { Library, Rule } from './world.ts'
import { feed, hangs, refused, reset, thrownBy, world } from './world.ts'

function make(lib: Library, options: PolicyOptions = {}) {
  const around = world(lib)
  return { ...around, policy: lib.policy({ ...around, ...options }) }
}

const outcomeError = (lib: Library, code: string) => new lib.ResilError(code, code)

export const rules: Rule[] = [
  ['R1 a refused connection is tried three times in all, with waits between', async (lib) => {
    const { policy, clock, types } = make(lib, { retry: {} })
    const at: number[] = []
    const error = await clock.run(thrownBy(policy.run(async () => {
      at.push(clock.monotonic())
      throw refused()
    })))
    expect(error.code).toBe('ECONNREFUSED')
    expect(at).toHaveLength(3)
    expect(at[2]! - at[1]!).toBeGreaterThan(0)
    expect(types()).toEqual(['retry.scheduled', 'retry.scheduled', 'retry.given_up'])
  }],
  ['R5 what may have happened is tried once, and again only when it is said to be harmless; a decline is final', async (lib) => {
    const { policy, clock } = make(lib, { retry: {}, judgeAnswer: (status: number) => lib.judgeStatus(status) })
    const calls = async (work: () => Promise<unknown>, call?: CallOptions) => {
      let count = 0
      await clock.run(policy.run(() => (count++, work()), call).catch(() => {}))
      return count
    }
    expect(await calls(() => Promise.reject(reset()))).toBe(1)
    expect(await calls(() => Promise.reject(reset()), { idempotent: true })).toBe(3)
    expect(await calls(async () => 402, { idempotent: true })).toBe(1)
    expect(await calls(async () => 500)).toBe(1)
    expect(await calls(async () => 429)).toBe(3)
  }],
  ['the answer of a repeat is the answer', async (lib) => {
    const { policy, clock } = make(lib, { retry: {} })
    expect(await clock.run(policy.run(async ({ number }) => {
      if (number < 3) throw refused()
      return `attempt ${number}`
    }))).toBe('attempt 3')
  }],
  ['R2 a thousand clients of a service that is dead for 8 s make 1.1 calls an operation, and it recovers alone', async (lib) => {
    const around = world(lib)
    const { clock } = around
    const policy = lib.policy({ ...around, retry: { attempts: 4 }, budget: lib.retryBudget(around) })
    let calls = 0
    const work = async () => {
      calls++
      const dead = clock.monotonic() < 8000
      await clock.sleep(20)
      if (dead) throw refused()
    }
    const answers: boolean[] = []
    const client = async (n: number) => {
      await clock.sleep(n % 400)
      for (let turn = 0; turn < 20; turn++) {
        answers.push(await policy.run(work).then(() => true, () => false))
        await clock.sleep(480)
      }
    }
    await clock.run(Promise.all(Array.from({ length: 1000 }, (_, n) => client(n))))
    expect(answers).toHaveLength(20_000)
    expect(calls).toBeGreaterThan(20_000)
    expect(calls).toBeLessThanOrEqual(22_000)
    expect(answers.slice(-1000)).not.toContain(false)
  }],
  ['R3 a wait that the service asked for is kept, and passed on when there is no time for it', async (lib) => {
    const judgeAnswer = (answer: { pushbackMs: number }) => ({ verdict: 'failed' as const, pushbackMs: answer.pushbackMs })
    const { policy, clock, events } = make(lib, { retry: { attempts: 2 }, deadlineMs: 5000, judgeAnswer })
    const at: number[] = []
    const ask = (pushbackMs: number) => clock.run(policy.run(async () => {
      at.push(clock.monotonic())
      return { pushbackMs }
    }))
    await ask(3000)
    expect(at[1]! - at[0]!).toBeGreaterThanOrEqual(3000)
    expect(await ask(30_000)).toEqual({ pushbackMs: 30_000 })
    expect(at).toHaveLength(3)
    expect(events.at(-1)).toEqual({ type: 'retry.given_up', policy: 'policy', why: 'pushback', attempt: 1, verdict: 'failed', pushbackMs: 30_000 })
  }],
  ['R6 when the budget is empty a call fails at once', async (lib) => {
    const around = world(lib)
    const budget = lib.retryBudget({ ...around, minimum: 0, share: 0 })
    const policy = lib.policy({ ...around, retry: { attempts: 3 }, budget })
    let calls = 0
    await around.clock.run(thrownBy(policy.run(() => (calls++, Promise.reject(refused())))))
    expect(calls).toBe(1)
    expect(around.clock.monotonic()).toBe(0)
    expect(around.types()).toEqual(['retry_budget.emptied', 'retry.given_up'])
    expect(budget.inFlight).toBe(0)
  }],
  ['R7 a caller who leaves during a wait is answered in the same turn, and nothing is called after', async (lib) => {
    const { policy, clock, pass } = make(lib, { retry: { baseMs: 10_000, capMs: 10_000 } })
    const leaver = new AbortController()
    let calls = 0
    const running = thrownBy(policy.run(() => (calls++, Promise.reject(refused())), { signal: leaver.signal }))
    await pass(1)
    const leftAt = clock.monotonic()
    leaver.abort()
    const error = await Promise.race([running, new Promise<any>((resolve) => setImmediate(resolve, 'waits'))]) // no virtual time has passed
    expect(error.code).toBe('CALLER_LEFT')
    expect(error.sent).toBe(false)
    expect(clock.monotonic()).toBe(leftAt)
    await pass(60_000)
    expect(calls).toBe(1)
  }],
  ['R8 what an inner policy has refused is not repeated by an outer one', async (lib) => {
    const around = world(lib)
    const breaker = lib.breaker(around)
    breaker.forceOpen()
    const inner = lib.policy({ ...around, breaker })
    const outer = lib.policy({ ...around, retry: { attempts: 5 } })
    let asked = 0
    const error = await around.clock.run(thrownBy(outer.run(() => (asked++, inner.run(hangs)), { idempotent: true })))
    expect([asked, error.code, around.clock.monotonic()]).toEqual([1, 'BREAKER_OPEN', 0])
  }],
  ['T4 queue, attempts and waits together never take longer than the deadline', async (lib) => {
    for (let seed = 1; seed <= 50; seed++) {
      const around = world(lib, seed)
      const bulkhead = lib.bulkhead({ ...around, limit: 2, queue: 10 })
      const policy = lib.policy({ ...around, deadlineMs: 1000, attemptMs: 300, retry: { attempts: 10, baseMs: 200 }, bulkhead })
      const work = async () => {
        await around.clock.sleep(around.random.int(0, 600))
        if (around.random.next() < 0.7) throw reset()
      }
      const took = Array.from({ length: 12 }, async () => {
        const begunAt = around.clock.monotonic()
        await policy.run(work, { idempotent: true }).catch(() => {})
        return around.clock.monotonic() - begunAt
      })
      expect(Math.max(...(await around.clock.run(Promise.all(took))))).toBeLessThanOrEqual(1000)
      expect([bulkhead.inFlight, bulkhead.queued]).toEqual([0, 0])
    }
  }],
  ['T9 with less than it needs a call is not begun, at first, after the queue, and before a repeat', async (lib) => {
    const { policy, clock, random } = make(lib, { minStartMs: 800, retry: { attempts: 5, baseMs: 300, capMs: 300 } })
    let calls = 0
    const work = async () => {
      calls++
      await clock.sleep(100)
      throw refused()
    }
    const deadline = (ms: number) => lib.deadline(ms, { clock })
    const error = await clock.run(thrownBy(policy.run(work, { deadline: deadline(799) })))
    expect([calls, error.code, error.sent]).toEqual([0, 'DEADLINE_TOO_SHORT', false])
    expect(await clock.run(policy.outcome(work as never, { deadline: deadline(799) }))).toMatchObject({ kind: 'failed', error: { code: 'DEADLINE_TOO_SHORT' } })
    await clock.run(thrownBy(policy.run(work, { deadline: deadline(899) })))
    expect(calls).toBe(1)

    const bulkhead = lib.bulkhead({ clock, random, limit: 1, queue: 5 })
    const queued = lib.policy({ clock, random, bulkhead, minStartMs: 800, deadlineMs: 1000 })
    const first = queued.run(() => clock.sleep(500))
    const begunAt = clock.monotonic()
    const late = await clock.run(thrownBy(queued.run(async () => calls++)))
    expect([late.code, clock.monotonic() - begunAt, calls]).toEqual(['DEADLINE_TOO_SHORT', 200, 1])
    await clock.run(first)
  }],
  ['K2 the wait in the queue is a part of what the work is told it may take', async (lib) => {
    const around = world(lib)
    const bulkhead = lib.bulkhead({ ...around, limit: 1, queue: 5 })
    const policy = lib.policy({ ...around, bulkhead, deadlineMs: 1000 })
    const told: number[] = []
    const work = async ({ timeoutMs }: Attempt) => {
      told.push(timeoutMs)
      await around.clock.sleep(300)
    }
    await around.clock.run(Promise.all([policy.run(work), policy.run(work), policy.run(work)]))
    expect(told).toEqual([1000, 700, 400])
  }],
  ['of the deadline that a call brings the reserve is kept back, and the nearer of two deadlines holds', async (lib) => {
    const { policy, clock } = make(lib, { deadlineMs: 2000, reserveMs: 500 })
    const told = (ms: number) => policy.run(async ({ timeoutMs, number }) => [timeoutMs, number], { deadline: lib.deadline(ms, { clock }) })
    expect(await clock.run(told(1200))).toEqual([700, 1])
    expect(await clock.run(told(9000))).toEqual([2000, 1])
  }],
  ['a call that is cut off is answered at once, is told, and what it answers later is nobody’s', async (lib) => {
    const around = world(lib)
    const breaker = lib.breaker({ ...around, window: { calls: 10 }, minimumCalls: 10 })
    const policy = lib.policy({ ...around, attemptMs: 50, breaker })
    let reason: any
    const running = thrownBy(policy.run(async (attempt) => {
      attempt.signal.addEventListener('abort', () => (reason = attempt.signal.reason))
      await around.clock.sleep(300)
      return 'late ok'
    }))
    const error = await around.clock.run(running)
    expect([error.code, error.sent, around.clock.monotonic()]).toEqual(['ATTEMPT_TIMED_OUT', true, 50])
    expect(reason).toBe(error)
    await around.pass(1000)
    expect(breaker.metrics()).toMatchObject({ calls: 1, failures: 1 })
  }],
  ['work that asks for its signal after it was cut off gets one that has aborted', async (lib) => {
    const { policy, clock, pass } = make(lib, { attemptMs: 50 })
    let attempt: Attempt | undefined
    await clock.run(thrownBy(policy.run((given) => ((attempt = given), hangs()))))
    await pass(1)
    expect(attempt!.signal.aborted).toBe(true)
  }],
  ['a call that is over leaves nothing behind: no listener at its caller, no second cut', async (lib) => {
    const { policy, clock, pass } = make(lib, { attemptMs: 50 })
    const caller = new AbortController()
    let listeners = 0
    const { addEventListener, removeEventListener } = caller.signal
    caller.signal.addEventListener = (...given: Parameters<typeof addEventListener>) => (listeners++, addEventListener.apply(caller.signal, given))
    caller.signal.removeEventListener = (...given: Parameters<typeof removeEventListener>) => (listeners--, removeEventListener.apply(caller.signal, given))
    const call = (work: () => Promise<unknown>) => policy.run(work, { signal: caller.signal }).catch(() => {})
    await clock.run(Promise.all([call(async () => 1), call(() => Promise.reject(refused())), call(hangs)]))
    expect(listeners).toBe(0)
    let attempt: Attempt | undefined
    const left = thrownBy(policy.run((given) => ((attempt = given), hangs()), { signal: caller.signal }))
    const { signal } = attempt!
    caller.abort()
    const error = await left
    await pass(1000)
    expect([error.code, signal.reason, (attempt as never as { cut: unknown }).cut]).toEqual(['CALLER_LEFT_DURING', error, error])
  }],
  ['a caller who leaves before the work’s first await has left during the call', async (lib) => {
    const { policy } = make(lib, { attemptMs: 50 })
    const caller = new AbortController()
    expect((await thrownBy(policy.run(() => (caller.abort(), hangs()), { signal: caller.signal }))).code).toBe('CALLER_LEFT_DURING')
  }],
  ['one call that is cut off leaves the others alone', async (lib) => {
    const { policy, clock } = make(lib, { attemptMs: 100 })
    const signals: AbortSignal[] = []
    const call = (ms: number) => policy.run(async ({ signal }) => {
      signals.push(signal)
      await clock.sleep(ms)
      return ms
    })
    const settled = await clock.run(Promise.allSettled([call(20), call(500), call(90)]))
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, true, false])
  }],
  ['T8 an answer that came in the turn in which the time ran out wins', async (lib) => {
    const { policy, clock } = make(lib, { attemptMs: 50 })
    // The timer of the policy was set first, so at 50 ms it fires first; the answer is ready in the same turn.
    expect(await clock.run(policy.run(async () => {
      await Promise.resolve()
      await clock.sleep(50)
      return 'just in time'
    }))).toBe('just in time')
  }],
  ['timeouts that share a timer are each kept to the millisecond, in whatever order they were set', async (lib) => {
    const { policy, clock } = make(lib, { deadlineMs: 1000, retry: { attempts: 1 } })
    const cut: [number, number][] = []
    const call = async (afterMs: number, ms: number, deadlineMs: number) => {
      await clock.sleep(afterMs)
      const due = clock.monotonic() + Math.min(1000, deadlineMs)
      await policy.run(() => clock.sleep(ms), { deadline: lib.deadline(deadlineMs, { clock }) }).catch(() => cut.push([clock.monotonic(), due]))
    }
    await clock.run(Promise.all([call(0, 5000, 1000), call(3, 10, 1000), call(3, 5000, 997), call(7, 5000, 40), call(8, 999, 1000), call(9, 5000, 600), call(300, 5000, 5000), call(411, 5000, 5000), call(412, 20, 21), call(3000, 5000, 9)]))
    expect(cut.map(([at, due]) => at - due)).toEqual([0, 0, 0, 0, 0, 0, 0])
    expect(cut.map(([at]) => at)).toEqual([47, 609, 1000, 1000, 1300, 1411, 3009])
    await clock.run(call(0, 10, 1000))
    await clock.run(call(0, 5000, 40)) // the timer looks for the one before, which has ended
    expect(cut.at(-1)![0] - cut.at(-1)![1]).toBe(0)
  }],
  ['without a timer the work keeps its own time, and the deadline is only told', async (lib) => {
    const { policy, clock } = make(lib, { deadlineMs: 100, timer: false })
    expect(await clock.run(policy.run(async ({ timeoutMs }) => {
      await clock.sleep(300)
      return timeoutMs
    }))).toBe(100)
  }],
  ['T5 a caller who leaves before the call stops it; during the call it ends in doubt; no breaker counts either', async (lib) => {
    const around = world(lib)
    const breaker = lib.breaker(around)
    const policy = lib.policy({ ...around, breaker, retry: {} })
    const leaver = new AbortController()
    const running = policy.outcome<string>(() => hangs(), { signal: leaver.signal, idempotent: true })
    leaver.abort()
    expect(await running).toMatchObject({ kind: 'unknown', error: { code: 'CALLER_LEFT_DURING' } })
    expect(await policy.outcome<string>(() => hangs(), { signal: leaver.signal })).toMatchObject({ kind: 'failed', error: { code: 'CALLER_LEFT' } })
    expect(breaker.metrics().calls).toBe(0)
  }],
  ['B7 a full bulkhead, a decline and a caller who left are nothing to the breaker', async (lib) => {
    const around = world(lib)
    const breaker = lib.breaker({ ...around, window: { calls: 10 }, minimumCalls: 2, failureRate: 0.1 })
    const bulkhead = lib.bulkhead({ ...around, limit: 1, queue: 0 })
    const policy = lib.policy({ ...around, breaker, bulkhead, judgeAnswer: (status: number) => lib.judgeStatus(status) })
    const running = policy.run(() => around.clock.sleep(100).then(() => 200))
    for (let n = 0; n < 50; n++) expect((await thrownBy(policy.run(async () => 200))).code).toBe('BULKHEAD_FULL')
    await around.clock.run(running)
    for (let n = 0; n < 50; n++) expect(await policy.run(async () => 402)).toBe(402)
    expect(breaker.state).toBe('closed')
    expect(breaker.metrics()).toEqual({ calls: 1, failures: 0, slow: 0 })
  }],
  ['K1 what is full or open for one service is not for another', async (lib) => {
    const around = world(lib)
    const [fraud, bank] = [lib.policy({ ...around, bulkhead: lib.bulkhead({ ...around, limit: 1, queue: 0 }) }), lib.policy({ ...around, bulkhead: lib.bulkhead({ ...around, limit: 1, queue: 0 }) })]
    void fraud.run(hangs)
    expect((await thrownBy(fraud.run(async () => 1))).code).toBe('BULKHEAD_FULL')
    expect(await bank.run(async () => 1)).toBe(1)
  }],
  ['an open breaker ends a call at once, with how long to wait, however many repeats are left', async (lib) => {
    const around = world(lib)
    const breaker = lib.breaker({ ...around, window: { calls: 10 }, openJitter: 0 })
    const policy = lib.policy({ ...around, breaker, retry: { attempts: 10, baseMs: 5000, capMs: 5000 } })
    feed(breaker, 'failure', 10)
    let calls = 0
    const error = await thrownBy(policy.run(async () => calls++))
    expect([error.code, error.retryAfterMs, error.sent, calls, around.clock.monotonic()]).toEqual(['BREAKER_OPEN', 5000, false, 0, 0])
    expect(error).toBeInstanceOf(Error)
    expect(error.stack).toBeUndefined()
  }],
  ['a breaker that opens between two attempts ends the repeats with what the last attempt said', async (lib) => {
    const around = world(lib)
    const breaker = lib.breaker({ ...around, window: { calls: 3 } })
    const policy = lib.policy({ ...around, breaker, retry: { attempts: 10 } })
    let calls = 0
    const error = await around.clock.run(thrownBy(policy.run(() => (calls++, Promise.reject(refused())))))
    expect([calls, error.code]).toEqual([3, 'ECONNREFUSED'])
    expect(around.events.at(-1)).toMatchObject({ type: 'retry.given_up', why: 'breaker', attempt: 3 })
  }],
  ['a repeat that was refused does not undo the attempt before it: the answer stays in doubt', async (lib) => {
    const { policy, clock } = make(lib, { retry: { attempts: 2 }, attemptMs: 50 })
    const outcomes: Outcome<string>[] = [{ kind: 'unknown', error: outcomeError(lib, 'ECONNRESET') }, { kind: 'failed', error: outcomeError(lib, 'REFUSED') }]
    expect(await clock.run(policy.outcome<string>(async ({ number }) => outcomes[number - 1]!, { idempotent: true }))).toBe(outcomes[0])
    const error = await clock.run(thrownBy(policy.run(({ number }) => (number === 1 ? hangs() : Promise.reject(refused())), { idempotent: true })))
    expect([error.code, error.sent]).toEqual(['ATTEMPT_TIMED_OUT', true])
  }],
  ['outcomes are values: refused is failed, cut off is unknown, and nothing is thrown but what the work throws', async (lib) => {
    const around = world(lib)
    const breaker = lib.breaker({ ...around, window: { calls: 3 } })
    const policy = lib.policy({ ...around, breaker, attemptMs: 50, retry: { attempts: 2 } })
    let calls = 0
    const answers: Outcome<number>[] = [{ kind: 'failed', error: outcomeError(lib, 'REFUSED') }, { kind: 'ok', value: 7 }]
    expect(await around.clock.run(policy.outcome(async () => answers[calls++]!))).toEqual({ kind: 'ok', value: 7 })
    expect(await around.clock.run(policy.outcome<number>(() => hangs()))).toMatchObject({ kind: 'unknown', error: { code: 'ATTEMPT_TIMED_OUT' } })
    breaker.forceOpen()
    expect(await policy.outcome<number>(() => hangs())).toMatchObject({ kind: 'failed', error: { code: 'BREAKER_OPEN' } })
    breaker.reset()
    expect(await thrownBy(policy.outcome<number>(() => { throw new TypeError('a bug') }))).toBeInstanceOf(TypeError)
  }],
  ['an adaptive timeout learns from the calls of its policy', async (lib) => {
    const around = world(lib)
    const timeout = lib.adaptiveTimeout({ ...around, floorMs: 100, ceilingMs: 2000 })
    const policy = lib.policy({ ...around, attemptMs: timeout })
    await around.clock.run((async () => {
      for (let n = 0; n < 8000; n++) await policy.run(() => around.clock.sleep(200))
    })())
    expect(timeout.ms).toBeGreaterThan(200)
    expect(timeout.ms).toBeLessThan(260)
    const before = timeout.ms
    await around.clock.run((async () => {
      for (let n = 0; n < 3000; n++) await policy.run(() => around.clock.sleep(900)).catch(() => {})
    })())
    expect(timeout.ms).toBeGreaterThan(before)
  }],
  ['work that throws before its first await is an attempt like any other', async (lib) => {
    const around = world(lib)
    const bulkhead = lib.bulkhead({ ...around, limit: 1, queue: 0 })
    for (const attemptMs of [50, Number.POSITIVE_INFINITY]) {
      const policy = lib.policy({ ...around, bulkhead, attemptMs })
      expect((await thrownBy(policy.run(() => { throw refused() }))).code).toBe('ECONNREFUSED')
      expect(bulkhead.inFlight).toBe(0)
    }
  }],
  ['an attempt knows its headers, and a call may bring the breaker of its scope', async (lib) => {
    const around = world(lib)
    const breakers = lib.breakers(around)
    breakers.of('merchant-1').forceOpen()
    const policy = lib.policy({ ...around, deadlineMs: 1500 })
    expect((await thrownBy(policy.run(hangs, { breaker: breakers.of('merchant-1') }))).code).toBe('BREAKER_OPEN')
    expect(await policy.run(async (attempt) => attempt.headers, { breaker: breakers.of('merchant-2') })).toEqual({ 'x-request-timeout-ms': '1500', 'x-request-attempt': '1' })
  }],
]
