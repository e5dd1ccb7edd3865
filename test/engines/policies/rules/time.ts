import { expect } from 'vitest'
import type { Library, Rule } from './world.ts'
import { world } from './world.ts'

export const rules: Rule[] = [
  ['a deadline is spent by all hops together: min(cap, left - reserve), and none begins with less than it needs', async (lib) => {
    const { clock, random, pass } = world(lib)
    const deadline = lib.deadline(5000, { clock, random })
    expect(deadline.hopMs({ capMs: 500, reserveMs: 500 })).toBe(500)
    await pass(400)
    expect(deadline.hopMs({ reserveMs: 500 })).toBe(4100)
    expect([deadline.totalMs, deadline.leftMs, deadline.spentMs, deadline.at]).toEqual([5000, 4600, 400, 5000])
    await pass(3600)
    expect(deadline.hopMs({ reserveMs: 500, minStartMs: 500 })).toBe(500)
    expect(deadline.hopMs({ reserveMs: 500, minStartMs: 501 })).toBeUndefined()
    await pass(500)
    expect(deadline.hopMs({ reserveMs: 500 })).toBeUndefined()
    await pass(9000)
    expect([deadline.leftMs, deadline.hopMs()]).toEqual([0, undefined])
  }],
  ['T3 what a caller waits for is read from any header, cut to the most, and garbage is as if it were not there', (lib) => {
    const read = (headers: Record<string, string | string[]>) => lib.readTimeoutMs(headers, { maxMs: 10_000 })
    const cases: [Record<string, string | string[]>, number | undefined][] = [
      [{}, undefined],
      [{ 'x-request-timeout-ms': '1500' }, 1500],
      [{ 'x-request-timeout-ms': ' 1500.5 ' }, 1500.5],
      [{ 'x-request-timeout-ms': '0' }, 0],
      [{ 'x-request-timeout-ms': '99999999999' }, 10_000],
      [{ 'x-request-timeout-ms': '-5' }, undefined],
      [{ 'x-request-timeout-ms': '1e9' }, undefined],
      [{ 'x-request-timeout-ms': 'NaN' }, undefined],
      [{ 'x-request-timeout-ms': '' }, undefined],
      [{ 'x-request-timeout-ms': '0x10' }, undefined],
      [{ 'x-request-timeout-ms': '100, 200' }, undefined],
      [{ 'x-request-timeout-ms': ['100', '200'] }, undefined],
      [{ 'x-envoy-expected-rq-timeout-ms': '250' }, 250],
      [{ 'grpc-timeout': '2S' }, 2000],
      [{ 'grpc-timeout': '1M' }, 10_000],
      [{ 'grpc-timeout': '500m' }, 500],
      [{ 'grpc-timeout': '500u' }, 0.5],
      [{ 'grpc-timeout': '99999999n' }, 99.999999],
      [{ 'grpc-timeout': '123456789m' }, undefined],
      [{ 'grpc-timeout': '5' }, undefined],
      [{ 'x-request-timeout-ms': '900', 'grpc-timeout': '1S', 'x-envoy-expected-rq-timeout-ms': 'soon' }, 900],
      [{ 'x-request-deadline': '1893456000500' }, undefined],
    ]
    for (const [headers, ms] of cases) {
      const told = read(headers)
      if (ms === undefined) expect(told, JSON.stringify(headers)).toBeUndefined()
      else expect(told, JSON.stringify(headers)).toBeCloseTo(ms, 6)
    }
  }],
  ['T3 a point in time is believed only when the clocks are known to agree', async (lib) => {
    const { clock, pass } = world(lib)
    const read = (text: string) => lib.readTimeoutMs({ 'x-request-deadline': text }, { maxMs: 10_000, clock })
    expect(read(String(clock.now() + 1500))).toBe(1500)
    expect(read(new Date(clock.now() + 1500).toISOString())).toBe(1500)
    await pass(5000)
    expect(read(String(clock.now() - 1))).toBe(0)
    expect(read('tomorrow')).toBeUndefined()
    expect(read('2030-13-45T00:00:00Z')).toBeUndefined()
  }],
  ['T3 the next hop is told what is left, rounded down, and which attempt it is', (lib) => {
    expect(lib.deadlineHeaders(1234.9, 2)).toEqual({ 'x-request-timeout-ms': '1234', 'x-request-attempt': '2' })
    expect(lib.deadlineHeaders(-5)).toEqual({ 'x-request-timeout-ms': '0', 'x-request-attempt': '1' })
    expect(lib.deadlineFrom({ 'x-request-timeout-ms': '700' }, { maxMs: 5000 }).totalMs).toBe(700)
    expect(lib.deadlineFrom({}, { maxMs: 5000 }).totalMs).toBe(5000)
  }],
  ['an adaptive timeout settles where one healthy call in a thousand would be cut off', (lib) => {
    const { timeout, random } = adaptive(lib)
    expect(timeout.ms).toBe(5000)
    let cut = 0
    for (let n = 0; n < 60_000; n++) {
      const ms = random.logNormal(50, 400)
      if (n >= 50_000 && ms > timeout.ms) cut++
      if (ms > timeout.ms) timeout.timedOut(timeout.ms)
      else timeout.succeeded(ms)
    }
    // p99.9 of that curve is 794 ms
    expect(timeout.ms).toBeGreaterThan(700)
    expect(timeout.ms).toBeLessThan(1050)
    expect(cut).toBeLessThanOrEqual(20)
  }],
  ['until a thousand calls were seen it is the ceiling', (lib) => {
    const { timeout } = adaptive(lib)
    for (let n = 0; n < 999; n++) timeout.succeeded(20)
    expect(timeout.ms).toBe(5000)
  }],
  ['T7 it is slow both ways, and stays between floor and ceiling', (lib) => {
    const { timeout, events } = adaptive(lib)
    const seen: number[] = []
    const look = (times: number, ms: number) => {
      for (let n = 0; n < times; n++) {
        if (ms > timeout.ms) timeout.timedOut(timeout.ms)
        else timeout.succeeded(ms)
        seen.push(timeout.ms)
      }
    }
    look(20_000, 1)
    expect(timeout.ms).toBe(100)
    look(20_000, 9000) // everything is cut off: it climbs, to the ceiling and no further
    expect(timeout.ms).toBe(5000)
    for (const [n, ms] of seen.entries()) if (n > 0) expect(Math.max(ms / seen[n - 1]!, seen[n - 1]! / ms)).toBeLessThanOrEqual(1.0500001)
    expect(Math.min(...seen)).toBe(100)
    expect(events[0]).toEqual({ type: 'timeout.changed', policy: 'timeout', ms: expect.any(Number) })
  }],
  ['T7 calls that it cut off pull it up: without them it would only ever fall', (lib) => {
    const { timeout } = adaptive(lib)
    for (let n = 0; n < 20_000; n++) timeout.succeeded(200)
    const before = timeout.ms
    for (let n = 0; n < 20_000; n++) {
      if (n % 50 === 0) timeout.timedOut(timeout.ms)
      else timeout.succeeded(200)
    }
    expect(timeout.ms).toBeGreaterThan(before * 1.5)
  }],
  ['T7 while it is frozen nothing is learned', (lib) => {
    let frozen = false
    const { timeout } = adaptive(lib, () => frozen)
    for (let n = 0; n < 20_000; n++) timeout.succeeded(200)
    const before = timeout.ms
    frozen = true
    for (let n = 0; n < 20_000; n++) timeout.timedOut(timeout.ms)
    for (let n = 0; n < 20_000; n++) timeout.succeeded(1)
    expect(timeout.ms).toBe(before)
  }],
]

function adaptive(lib: Library, frozen?: () => boolean) {
  const around = world(lib)
  return { ...around, timeout: lib.adaptiveTimeout({ ...around, floorMs: 100, ceilingMs: 5000, frozen }) }
}
