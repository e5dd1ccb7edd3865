import { expect, it } from 'vitest'
import { comparisons, tableOf } from '../../src/engines/payment/compare.ts'
import { compare } from '../../src/lab/compare.ts'
import type { Plan } from '../../src/lab/plan.ts'
import { resil } from '../commands/cli.ts'

const plan: Plan = { scenario: 'cascade', mode: 'sim', seed: 1, subject: { kind: 'reference' }, toxics: [], invariants: [], options: { clicks: 2, amountMinor: 9900, currency: 'USD' }, again: 'resil pay --cascade --compare --seed 1 --sim' }

it('one slow service: the naive one holds all it can hold and fails everybody, ours isolates it', async () => {
  const rows = []
  for await (const row of compare(plan, comparisons['cascade']!)) rows.push(row)
  const [naive, ours] = rows
  expect(naive!.figures).toMatchObject({ paid: 0 })
  expect(naive!.figures['failed']).toBeGreaterThan(0.9)
  expect(naive!.figures['heldAtMost']).toBeGreaterThanOrEqual(200)
  expect(naive!.broken).toEqual(['within-deadline'])
  expect(ours!.figures['paid']).toBeGreaterThan(0.95)
  expect(ours!.figures['heldAtMost']).toBeLessThan(100)
  expect(ours!).toMatchObject({ broken: [], result: { verdict: 'held' } })
  expect(tableOf(comparisons['cascade']!, rows)[2]).toMatch(/^resil +100\.0 % .* nothing$/)
}, 60_000)

it('a table is as wide as what is in it, shares are percents, and what was not measured is a dash', () => {
  const comparison = { scenario: 'x', measured: 'x', policies: [], columns: [{ field: 'paid', head: 'paid', as: 'percent' }, { field: 'calls', head: 'calls', as: 'number' }] } as const
  expect(tableOf(comparison, [{ policy: 'a long name', figures: { paid: 0.1234, calls: 1.5 }, broken: [] }, { policy: 'b', figures: { paid: 1 }, broken: ['x', 'y'] }])).toEqual([
    'policy           paid   calls   broken',
    'a long name    12.3 %    1.50   nothing',
    'b             100.0 %       -   x, y',
  ])
})

it('only what has policies to compare can be compared', () => {
  const { exit, stderr } = resil(['pay', '--single', '--compare', '--sim'])
  expect(exit).toBe(2)
  expect(stderr).toContain('single is told under one policy only')
})
