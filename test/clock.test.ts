import { setImmediate as immediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { type Clock, NodeClock, SystemClock, VIRTUAL_EPOCH_MS, VirtualClock, within } from '../src/clock.ts'

describe('VirtualClock', () => {
  test('fires timers by time, and those of one time in the order they were set', async () => {
    const clock = new VirtualClock()
    const fired: string[] = []
    for (const [name, ms] of [['c', 30], ['a', 10], ['d', 30], ['b', 20], ['now', 0], ['past', -5]] as const) clock.after(ms, () => fired.push(`${name}@${clock.monotonic()}`))
    await clock.run(clock.sleep(100))
    expect(fired).toEqual(['now@0', 'past@0', 'a@10', 'b@20', 'c@30', 'd@30'])
  })

  test('keeps the order of a thousand timers that were set out of order', async () => {
    const clock = new VirtualClock()
    const fired: number[] = []
    for (let i = 0; i < 1000; i++) clock.after((i * 7919) % 1000, () => fired.push(clock.monotonic()))
    await clock.run(clock.sleep(1000))
    expect(fired).toEqual(Array.from({ length: 1000 }, (_, ms) => ms))
  })

  test('lets everything settle before time moves', async () => {
    const clock = new VirtualClock()
    const seen: string[] = []
    async function chatter(): Promise<void> {
      for (let i = 0; i < 50; i++) await Promise.resolve()
      seen.push(`settled@${clock.monotonic()}`)
    }
    clock.after(10, () => void chatter())
    clock.after(11, () => seen.push('next'))
    await clock.run(clock.sleep(20))
    expect(seen).toEqual(['settled@10', 'next'])
  })

  test('a year passes at once, and wall time goes with it', async () => {
    const clock = new VirtualClock()
    const yearMs = 365 * 24 * 3_600_000
    await clock.run(clock.sleep(yearMs))
    expect([clock.monotonic(), clock.now()]).toEqual([yearMs, VIRTUAL_EPOCH_MS + yearMs])
  })

  test('answers what the work answered, or throws what it threw', async () => {
    const clock = new VirtualClock()
    expect(await clock.run(clock.sleep(5).then(() => 'done'))).toBe('done')
    await expect(clock.run(clock.sleep(5).then(() => Promise.reject(new Error('broke'))))).rejects.toThrow('broke')
  })

  test('a cancelled timer neither fires nor moves time', async () => {
    const clock = new VirtualClock()
    let fired = false
    clock.after(1_000, () => {
      fired = true
    })()
    await clock.run(clock.sleep(5))
    await expect(clock.run(new Promise(() => {}))).rejects.toMatchObject({ code: 'SIM_STUCK' })
    expect([fired, clock.monotonic()]).toEqual([false, 5])
  })

  test('a lost promise is SIM_STUCK, not a hang', async () => {
    const clock = new VirtualClock()
    await expect(clock.run(clock.sleep(7).then(() => new Promise(() => {})))).rejects.toMatchObject({ code: 'SIM_STUCK', message: expect.stringContaining('7 ms') })
  })

  test('a loop without a bound is SIM_ENDLESS, by time and by the number of timers', async () => {
    const forever = async (clock: Clock): Promise<never> => {
      for (;;) await clock.sleep(10)
    }
    const late = new VirtualClock()
    await expect(late.run(forever(late), { untilMs: 1_000 })).rejects.toMatchObject({ code: 'SIM_ENDLESS' })
    expect(late.monotonic()).toBe(1_000)
    const busy = new VirtualClock()
    await expect(busy.run(forever(busy), { timers: 50 })).rejects.toMatchObject({ code: 'SIM_ENDLESS' })
    expect(busy.monotonic()).toBe(500)
  })

  test('work that ends exactly at the limit has ended', async () => {
    const clock = new VirtualClock()
    expect(await clock.run(clock.sleep(1_000).then(() => 'done'), { untilMs: 1_000, timers: 1 })).toBe('done')
  })

  test('the pace is asked before each jump, and not for timers of the same time', async () => {
    const clock = new VirtualClock()
    const asked: string[] = []
    clock.after(10, () => {})
    await clock.run(clock.sleep(10).then(() => clock.sleep(5)), {
      pace: async (at) => void asked.push(`${clock.monotonic()} to ${at}`),
    })
    expect(asked).toEqual(['0 to 10', '10 to 15'])
  })
})

describe('sleep', () => {
  test('ends early when its signal aborts, and at once when it has aborted before', async () => {
    const clock = new VirtualClock()
    const stop = new AbortController()
    clock.after(10, () => stop.abort())
    await clock.run(clock.sleep(1_000, stop.signal))
    expect(clock.monotonic()).toBe(10)
    await clock.run(clock.sleep(1_000, stop.signal))
    expect(clock.monotonic()).toBe(10)
  })
})

describe('within', () => {
  test('is what the work answered, when it was in time; no timer stays', async () => {
    const clock = new VirtualClock()
    expect(await clock.run(within(clock, 10, clock.sleep(9).then(() => 'answer')))).toBe('answer')
    await expect(clock.run(new Promise(() => {}))).rejects.toMatchObject({ code: 'SIM_STUCK' })
    expect(clock.monotonic()).toBe(9)
  })

  test('is undefined when the work was late, and the work goes on', async () => {
    const clock = new VirtualClock()
    let done = false
    const work = clock.sleep(20).then(() => {
      done = true
    })
    expect(await clock.run(within(clock, 10, work))).toBeUndefined()
    expect([clock.monotonic(), done]).toEqual([10, false])
    await clock.run(work)
    expect(done).toBe(true)
  })

  test('throws what the work threw; what it throws later is nobody\'s', async () => {
    const clock = new VirtualClock()
    await expect(clock.run(within(clock, 10, clock.sleep(5).then(() => Promise.reject(new Error('broke')))))).rejects.toThrow('broke')
    expect(await clock.run(within(clock, 10, clock.sleep(50).then(() => Promise.reject(new Error('late')))))).toBeUndefined()
    await clock.run(clock.sleep(100))
  })
})

describe('NodeClock', () => {
  test('a skewed node reads another wall time and the same monotonic time', async () => {
    const base = new VirtualClock()
    const node = new NodeClock(base, { skewMs: -3_600_000 })
    await base.run(node.sleep(100))
    expect([base.monotonic(), node.monotonic(), node.now() - base.now()]).toEqual([100, 100, -3_600_000])
  })

  test('a drifting node runs fast or slow in both times, and its timers with it', async () => {
    const base = new VirtualClock()
    const fast = new NodeClock(base, { drift: 1.25 })
    const slow = new NodeClock(base, { drift: 0.5 })
    await base.run(fast.sleep(1_000))
    expect([base.monotonic(), fast.monotonic(), fast.now() - VIRTUAL_EPOCH_MS]).toEqual([800, 1_000, 1_000])
    await base.run(slow.sleep(100))
    expect([base.monotonic(), slow.monotonic(), slow.now() - VIRTUAL_EPOCH_MS]).toEqual([1_000, 500, 500])
  })

  test('a paused node wakes late, in order, and finds that time has passed', async () => {
    const base = new VirtualClock()
    const node = new NodeClock(base)
    const fired: string[] = []
    node.after(10, () => fired.push(`a@${node.monotonic()}`))
    node.after(20, () => fired.push(`b@${node.monotonic()}`))
    const cancel = node.after(30, () => fired.push('cancelled while paused'))
    node.after(200, () => fired.push(`c@${node.monotonic()}`))
    node.pause()
    await base.run(base.sleep(100))
    expect(fired).toEqual([])
    cancel()
    node.resume()
    await base.run(base.sleep(200))
    expect(fired).toEqual(['a@100', 'b@100', 'c@200'])
  })

  test('a node that is paused again by what it wakes stays paused', async () => {
    const base = new VirtualClock()
    const node = new NodeClock(base)
    const fired: string[] = []
    node.after(10, () => {
      fired.push('a')
      node.pause()
    })
    node.after(10, () => fired.push('b'))
    node.pause()
    await base.run(base.sleep(20))
    node.resume()
    expect(fired).toEqual(['a'])
    node.resume()
    expect(fired).toEqual(['a', 'b'])
  })

  test('a dead node does nothing more, paused or not', async () => {
    const base = new VirtualClock()
    const node = new NodeClock(base)
    const fired: string[] = []
    node.after(10, () => fired.push('before'))
    node.after(30, () => fired.push('after'))
    node.after(15, () => node.pause())
    node.after(16, () => fired.push('waiting'))
    await base.run(base.sleep(20))
    node.kill()
    node.resume()
    node.after(1, () => fired.push('set after death'))
    await base.run(base.sleep(100))
    expect(fired).toEqual(['before'])
  })
})

describe('SystemClock', () => {
  test('fires after the time, 0 at the end of this turn, and not when cancelled', async () => {
    const clock = new SystemClock()
    const fired: string[] = []
    clock.after(0, () => fired.push('cancelled'))()
    clock.after(1, () => fired.push('cancelled'))()
    clock.after(0, () => fired.push('now'))
    void Promise.resolve().then(() => fired.push('microtask'))
    await immediate()
    expect(fired).toEqual(['microtask', 'now'])
    const start = clock.monotonic()
    await clock.sleep(10)
    expect(clock.monotonic() - start).toBeGreaterThanOrEqual(9)
    expect(fired).toEqual(['microtask', 'now'])
  })

  test('a wait longer than a timer can take does not fire at once, and can be cancelled', async () => {
    const clock = new SystemClock()
    let fired = false
    const cancel = clock.after(2 ** 40, () => {
      fired = true
    })
    await clock.sleep(5)
    cancel()
    expect(fired).toBe(false)
  })

  test('tells wall time and monotonic time', () => {
    const clock = new SystemClock()
    expect(Math.abs(clock.now() - Date.now())).toBeLessThan(1_000)
    const first = clock.monotonic()
    expect(clock.monotonic()).toBeGreaterThanOrEqual(first)
  })
})
