import { expect } from 'vitest'
import type { Attempt } from '../../../../src/engines/policies/library.ts'
import type { Rule } from './world.ts'
import { hangs, refused, reset, thrownBy, world } from './world.ts'

export const rules: Rule[] = [
  ['a read that takes long is sent again, the first answer wins, and the other copy is told to stop', async (lib) => {
    const around = world(lib)
    const hedge = lib.hedge({ ...around, afterMs: 100, share: 1 })
    const copies: Attempt[] = []
    const work = async (attempt: Attempt) => {
      copies.push(attempt)
      void attempt.signal
      await around.clock.sleep(attempt.number === 1 ? 5000 : 50)
      return attempt.number
    }
    expect(await around.clock.run(hedge.run(work, { idempotent: true }))).toBe(2)
    expect(around.clock.monotonic()).toBe(150)
    expect(copies.map(({ signal }) => signal.aborted)).toEqual([true, false])
    expect(around.types()).toEqual(['hedge.sent', 'hedge.won'])
  }],
  ['a read that answers in time is sent once; what fails before that is thrown at once', async (lib) => {
    const around = world(lib)
    const hedge = lib.hedge({ ...around, afterMs: 100, share: 1 })
    let calls = 0
    await around.clock.run(hedge.run(() => (calls++, around.clock.sleep(99)), { idempotent: true }))
    expect((await thrownBy(hedge.run(() => (calls++, Promise.reject(refused())), { idempotent: true }))).code).toBe('ECONNREFUSED')
    await around.pass(1000)
    expect(calls).toBe(2)
  }],
  ['of two copies one may fail; when both do the first one’s error is thrown', async (lib) => {
    const around = world(lib)
    const hedge = lib.hedge({ ...around, afterMs: 100, share: 1 })
    const work = (fails: number[]) => async ({ number }: Attempt) => {
      await around.clock.sleep(200 * number)
      if (fails.includes(number)) throw Object.assign(new Error(), { code: `COPY_${number}` })
      return number
    }
    expect(await around.clock.run(hedge.run(work([1]), { idempotent: true }))).toBe(2)
    expect((await around.clock.run(thrownBy(hedge.run(work([1, 2]), { idempotent: true })))).code).toBe('COPY_1')
  }],
  ['copies are at most a twentieth of the calls, also when everything is slow', async (lib) => {
    const around = world(lib)
    const hedge = lib.hedge({ ...around, afterMs: 10 })
    let sent = 0
    await around.clock.run((async () => {
      for (let n = 0; n < 1000; n++) await hedge.run(() => (sent++, around.clock.sleep(1000)), { idempotent: true })
    })())
    expect(sent).toBeGreaterThan(1045)
    expect(sent).toBeLessThanOrEqual(1050)
  }],
  ['without a time it waits for the 95th percentile, and sends no copy before a hundred calls', async (lib) => {
    const around = world(lib)
    const hedge = lib.hedge({ ...around, share: 1 })
    let n = 0
    const work = ({ number }: Attempt) => around.clock.sleep(number === 2 ? 1 : n % 20 === 0 ? 1000 : 100)
    const begun = () => around.events.filter(({ type }) => type === 'hedge.sent').length
    await around.clock.run((async () => {
      for (; n < 99; n++) await hedge.run(work, { idempotent: true })
      expect(begun()).toBe(0)
      for (; n < 500; n++) await hedge.run(work, { idempotent: true })
    })())
    expect(begun()).toBeGreaterThan(10)
    expect(begun()).toBeLessThan(40)
  }],
  ['what may not happen twice is never hedged', (lib) => {
    const hedge = lib.hedge()
    expect(() => hedge.run(hangs, {} as never)).toThrow(expect.objectContaining({ code: 'HEDGE_NOT_IDEMPOTENT' }))
  }],
  ['a caller who leaves stops both copies', async (lib) => {
    const around = world(lib)
    const hedge = lib.hedge({ ...around, afterMs: 100, share: 1 })
    const leaver = new AbortController()
    const signals: AbortSignal[] = []
    const running = thrownBy(hedge.run(({ signal }) => (signals.push(signal), hangs()), { idempotent: true, signal: leaver.signal }))
    await around.pass(200)
    leaver.abort()
    expect((await running).code).toBe('CALLER_LEFT_DURING')
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true])
  }],
  ['while a service is not there the first alternative that can is served, and the answer says so', async (lib) => {
    const around = world(lib)
    const rates = lib.fallback(around)
    let up = false
    const ask = () => rates.run(async () => {
      if (!up) throw refused()
      return 1.17
    }, [{ mode: 'cached', serve: () => Promise.reject(new Error('empty')) }, { mode: 'stale', serve: () => 1.16 }])
    expect(await ask()).toEqual({ value: 1.16, mode: 'stale' })
    expect(await ask()).toEqual({ value: 1.16, mode: 'stale' })
    up = true
    expect(await ask()).toEqual({ value: 1.17, mode: 'normal' })
    expect(around.types()).toEqual(['mode.failed', 'mode.degraded', 'mode.failed', 'mode.restored'])
  }],
  ['what may have happened is not done elsewhere: only an alternative for doubt is served', async (lib) => {
    const charge = lib.fallback()
    let second = 0
    const alternatives = [{ mode: 'second bank', serve: () => (second++, 'charged') }, { mode: 'pending', serve: () => 'we will tell you', inDoubt: true }]
    expect(await charge.run(() => Promise.reject(reset()), alternatives)).toEqual({ value: 'we will tell you', mode: 'pending' })
    expect(second).toBe(0)
    expect(await charge.run(() => Promise.reject(refused()), alternatives)).toEqual({ value: 'charged', mode: 'second bank' })
    expect((await thrownBy(charge.run(() => Promise.reject(reset()), alternatives.slice(0, 1)))).code).toBe('ECONNRESET')
  }],
  ['what a policy refused was not sent, so any alternative will do; a decline is the answer', async (lib) => {
    const around = world(lib)
    const breaker = lib.breaker(around)
    breaker.forceOpen()
    const policy = lib.policy({ ...around, breaker })
    expect(await lib.fallback(around).run(() => policy.run(hangs), [{ mode: 'second bank', serve: () => 'charged' }])).toEqual({ value: 'charged', mode: 'second bank' })
    const declined = lib.fallback({ judgeError: () => 'declined' })
    expect((await thrownBy(declined.run(() => Promise.reject(new Error('no cover')), [{ mode: 'second bank', serve: () => 'charged' }]))).message).toBe('no cover')
  }],
]
