import { describe, expect, it } from 'vitest'
import { Random } from '../../../src/random.ts'
import type { Warning } from '../../../src/engines/payment/slow-watch.ts'
import { SlowWatch } from '../../../src/engines/payment/slow-watch.ts'

const BUDGET_MS = 4400
/** The mock bank's usual latency. */
const P50 = 300
const P99 = 2000
const BETWEEN_MS = 100

function watch(): { record(ms: number): void; warnings: Warning[] } {
  const warnings: Warning[] = []
  const slow = new SlowWatch(BUDGET_MS, (warning) => warnings.push(warning))
  let now = 0
  return { record: (ms) => slow.record(ms, (now += BETWEEN_MS)), warnings }
}

describe('SlowWatch', () => {
  it.each([1, 2, 3, 4])('does not warn by chance: log-normal latencies, 250,000 calls of seed %i', (seed) => {
    const random = Random.seeded(seed)
    const { record, warnings } = watch()
    for (let call = 0; call < 250_000; call++) record(random.logNormal(P50, P99))
    expect(warnings).toEqual([])
  })

  it('warns on a ramp long before a call takes longer than it may', () => {
    const late: number[] = []
    for (let seed = 1; seed <= 50; seed++) {
      const random = Random.seeded(seed)
      const { record, warnings } = watch()
      for (let call = 0; call < 500; call++) record(random.logNormal(P50, P99))
      // The bank becomes slower by a hundredth of its usual time with every call.
      let trouble = 0
      let warnedAt: number | undefined
      let call = 0
      for (; call < 2000 && trouble < 10; call++) {
        const ms = random.logNormal(P50, P99) * (1 + call / 100)
        if (ms > BUDGET_MS) trouble++
        record(Math.min(ms, BUDGET_MS))
        if (warnings.length > 0) warnedAt ??= call
      }
      expect(warnedAt, `seed ${seed}: ten of ${call} calls were cut off`).toBeLessThan(call)
      late.push(warnedAt! / call)
    }
    expect(late.toSorted((a, b) => a - b)[25]).toBeLessThan(0.8)
  })

  it('warns when it is suddenly three times as slow, within forty calls, and says how slow', () => {
    const { record, warnings } = watch()
    for (let call = 0; call < 1000; call++) record(300)
    let calls = 0
    while (warnings.length === 0 && calls < 40) {
      record(900)
      calls++
    }
    expect(warnings).toHaveLength(1)
    expect(warnings[0]!.recentMs).toBeGreaterThanOrEqual(2.2 * 300)
    expect(warnings[0]!.usualMs).toBeLessThan(340)
    expect(warnings[0]!.budgetShare).toBeCloseTo(warnings[0]!.recentMs / BUDGET_MS, 1)
  })

  it('warns when half of the time that a call may take is gone, though that is usual', () => {
    const { record, warnings } = watch()
    for (let call = 0; call < 60; call++) record(2220)
    expect(warnings).toEqual([{ recentMs: 2220, usualMs: 2220, budgetShare: 0.5 }])
  })

  it('warns once, and again only after it has calmed down', () => {
    const { record, warnings } = watch()
    const calls = (many: number, ms: number) => {
      for (let call = 0; call < many; call++) record(ms)
    }
    calls(200, 300)
    calls(500, 1200)
    expect(warnings).toHaveLength(1)
    calls(100, 300)
    calls(100, 2000)
    expect(warnings).toHaveLength(2)
  })

  it('judges nobody by his first fifty calls', () => {
    const { record, warnings } = watch()
    for (let call = 0; call < 49; call++) record(call < 20 ? 10 : 4000)
    expect(warnings).toEqual([])
  })
})
