import { expect } from 'vitest'
import type { Rule } from './world.ts'
import { world } from './world.ts'

const ended = { attempt: 1, verdict: 'failed', idempotent: false, leftMs: 60_000, minStartMs: 0 } as const

export const rules: Rule[] = [
  ['what did not happen is repeated; what may have happened only when it may happen twice; an answer never', (lib) => {
    const { random } = world(lib)
    const settings = lib.retrySettings()
    const repeated = (verdict: Parameters<typeof lib.nextDelayMs>[0]['verdict'], idempotent: boolean) => typeof lib.nextDelayMs({ ...ended, verdict, idempotent }, settings, random) === 'number'
    expect((['ok', 'declined', 'throttled', 'failed', 'unknown'] as const).map((verdict) => [repeated(verdict, false), repeated(verdict, true)])).toEqual([
      [false, false],
      [false, false],
      [true, true],
      [true, true],
      [false, true],
    ])
    expect(lib.nextDelayMs({ ...ended, attempt: 3 }, settings, random)).toBe('attempts')
  }],
  ['R4 waits are spread evenly over their whole range, which doubles to a cap', (lib) => {
    const { random } = world(lib)
    const settings = lib.retrySettings({ attempts: 10, baseMs: 100, capMs: 300 })
    for (const [attempt, mostMs] of [[1, 100], [2, 200], [3, 300], [9, 300]] as const) {
      const tenths = new Array<number>(10).fill(0)
      for (let n = 0; n < 10_000; n++) tenths[Math.floor(((lib.nextDelayMs({ ...ended, attempt }, settings, random) as number) / mostMs) * 10)]!++
      expect(Math.min(...tenths), `attempt ${attempt}`).toBeGreaterThan(850)
      expect(Math.max(...tenths), `attempt ${attempt}`).toBeLessThan(1150)
    }
  }],
  ['R3 it is never repeated before the service asked, and given up when that is more than there is', (lib) => {
    const { random } = world(lib)
    const settings = lib.retrySettings()
    for (let n = 0; n < 1000; n++) {
      const delayMs = lib.nextDelayMs({ ...ended, pushbackMs: 3000 }, settings, random) as number
      expect(delayMs).toBeGreaterThanOrEqual(3000)
      expect(delayMs).toBeLessThanOrEqual(3100)
    }
    expect(lib.nextDelayMs({ ...ended, pushbackMs: 3000, leftMs: 3000 }, settings, random)).toBe('pushback')
    expect(lib.nextDelayMs({ ...ended, pushbackMs: 3000, leftMs: 3500, minStartMs: 500 }, settings, random)).toBe('pushback')
    expect(lib.nextDelayMs({ ...ended, pushbackMs: 2999.5, leftMs: 3000 }, settings, random)).toBeGreaterThanOrEqual(2999.5)
    expect(lib.nextDelayMs({ ...ended, pushbackMs: 'never' }, settings, random)).toBe('pushback')
  }],
  ['a wait that would leave less than an attempt needs is not begun', (lib) => {
    const { random } = world(lib)
    const settings = lib.retrySettings({ attempts: 5, baseMs: 1000, capMs: 1000 })
    for (let n = 0; n < 1000; n++) {
      const delayMs = lib.nextDelayMs({ ...ended, leftMs: 800, minStartMs: 300 }, settings, random)
      if (typeof delayMs === 'number') expect(delayMs).toBeLessThan(500)
      else expect(delayMs).toBe('deadline')
    }
  }],
  ['a pushback is read as seconds, as a date, or as gRPC says it; negative and unreadable mean never', (lib) => {
    const { clock } = world(lib)
    const read = (headers: Record<string, string>) => lib.readPushbackMs(headers, clock.now())
    const cases: [Record<string, string>, number | 'never' | undefined][] = [
      [{}, undefined],
      [{ 'retry-after': '20' }, 20_000],
      [{ 'retry-after': '0' }, 0],
      [{ 'retry-after': '-1' }, 'never'],
      [{ 'retry-after': 'soon' }, 'never'],
      [{ 'retry-after': '' }, 'never'],
      [{ 'retry-after': 'Tue, 01 Jan 2030 00:00:30 GMT' }, 30_000],
      [{ 'retry-after': 'Mon, 31 Dec 2029 23:59:00 GMT' }, 0],
      [{ 'retry-after': 'Tue, 99 Jan 2030 00:00:30 GMT' }, 'never'],
      [{ 'grpc-retry-pushback-ms': '150' }, 150],
      [{ 'grpc-retry-pushback-ms': '-1' }, 'never'],
      [{ 'grpc-retry-pushback-ms': 'x' }, 'never'],
    ]
    for (const [headers, pushback] of cases) expect(read(headers), JSON.stringify(headers)).toBe(pushback)
  }],
  ['a status is read with care: 5xx is unknown, 503 with a pushback failed, 429 no fault of the service, 4xx a decline', (lib) => {
    expect([200, 302, 400, 402, 404, 408, 409, 425, 429, 500, 502, 503, 504].map((status) => lib.judgeStatus(status))).toEqual(['ok', 'ok', 'declined', 'declined', 'declined', 'unknown', 'declined', 'throttled', 'throttled', 'unknown', 'unknown', 'unknown', 'unknown'])
    expect(lib.judgeStatus(503, 2000)).toEqual({ verdict: 'failed', pushbackMs: 2000 })
    expect(lib.judgeStatus(500, 2000)).toEqual({ verdict: 'unknown', pushbackMs: 2000 })
    expect(lib.judgeStatus(429, 'never')).toEqual({ verdict: 'throttled', pushbackMs: 'never' })
    expect(['ECONNREFUSED', 'ENOTFOUND', 'UND_ERR_CONNECT_TIMEOUT', 'ECONNRESET', 'UND_ERR_SOCKET', 'UND_ERR_HEADERS_TIMEOUT', 'EHOSTUNREACH'].map((code) => lib.judgeError({ code }))).toEqual(['failed', 'failed', 'failed', 'unknown', 'unknown', 'unknown', 'unknown'])
  }],
  ['a budget lets a tenth of the calls in flight be repeats, three at any rate, and says when it is empty', (lib) => {
    const around = world(lib)
    const budget = lib.retryBudget(around)
    const few = Array.from({ length: 10 }, () => budget.enter())
    expect(few.map((call) => call.retry())).toEqual([true, true, true, ...new Array(7).fill(false)])
    expect(around.events).toEqual([{ type: 'retry_budget.emptied', policy: 'retry-budget', inFlight: 10, retrying: 3 }])
    for (const call of few) call.end()
    const many = Array.from({ length: 100 }, () => budget.enter())
    expect(many.map((call) => call.retry()).filter(Boolean)).toHaveLength(10)
    expect(around.types()).toEqual(['retry_budget.emptied', 'retry_budget.emptied'])
  }],
  ['a call that repeats again needs no second place, and gives its place back once', (lib) => {
    const budget = lib.retryBudget({ minimum: 2, share: 0 })
    const [one, two, three] = [budget.enter(), budget.enter(), budget.enter()]
    expect([one.retry(), one.retry(), one.retry(), two.retry(), three.retry()]).toEqual([true, true, true, true, false])
    one.end()
    one.end()
    expect([budget.inFlight, budget.retrying]).toEqual([2, 1])
    expect([three.retry(), one.retry()]).toEqual([true, false])
  }],
]
