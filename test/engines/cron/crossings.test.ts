import { expect, test } from 'vitest'
import { crossings, cut } from '../../../src/lab/cron-crossings.ts'

/** Of each site of each node, so many crossings are cut here; npm run sweep:cron cuts them all. */
const EACH = 2

test('the first crossings of every site, cut by a crash and by a pause longer than the lease: no violation, and every fault strikes', { timeout: 120_000 }, async () => {
  const all = await crossings()
  expect(all.length).toBeGreaterThan(200)
  const sites = new Set(all.map(({ point }) => point.site))
  expect([...sites].sort()).toEqual(expect.arrayContaining(['call:resource', 'tx:beat', 'tx:checkpoint', 'tx:claim', 'tx:complete', 'tx:fire', 'tx:lease:look', 'tx:lease:renew', 'tx:lease:take', 'tx:register']))
  const wrong: unknown[] = []
  for (const crossing of all.filter(({ point }) => point.nth <= EACH)) {
    for (const how of ['crash', 'pause'] as const) {
      const { violations, struck } = await cut(crossing, how)
      if (violations.length > 0 || !struck) wrong.push({ crossing, how, struck, violations: violations.slice(0, 3) })
    }
  }
  expect(wrong).toEqual([])
})
