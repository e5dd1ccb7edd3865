import { expect, test } from 'vitest'
import { runCronSeed } from '../../../src/lab/cron-sweep.ts'

/** The rest of ten thousand: npm run sweep:cron. */
const SEEDS = 30

test(`${SEEDS} seeds of three nodes under faults: no violation`, { timeout: 120_000 }, async () => {
  const wrong: unknown[] = []
  let fired = 0
  for (let seed = 1; seed <= SEEDS; seed++) {
    const result = await runCronSeed(seed)
    fired += result.fired
    if (result.violations.length > 0) wrong.push({ seed, violations: result.violations.slice(0, 5) })
  }
  expect(wrong).toEqual([])
  expect(fired).toBeGreaterThanOrEqual(3 * SEEDS)
})

test('without an election, by the same judges: no violation', { timeout: 60_000 }, async () => {
  for (let seed = 1; seed <= 8; seed++) expect((await runCronSeed(seed, undefined, true)).violations, `seed ${seed}`).toEqual([])
})

test('a seed does the same again', async () => {
  expect((await runCronSeed(5)).trace).toBe((await runCronSeed(5)).trace)
})
