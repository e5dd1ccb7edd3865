/**
 * A bank in trouble on a busy day, in virtual time: 100 customers a second; for a minute half of the calls fail (half of those fast, half after 10 s) and the
 * others take long (p50 1.2 s, p99 10 s); the bank works on 120 calls at a time, in order, and does not know that a caller has given up.
 * A customer waits for 5 s. What could be served at best is what those 120 places can do in that time.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import * as library from '../../../src/engines/policies/library.ts'
import type { PolicyWorld } from './rules/world.ts'
import { world } from './rules/world.ts'

const BEGINS = 40_000
const ENDS = 100_000
const UNTIL = 140_000
const PLACES = 120

/** How one call would go, and for how long the bank is busy with it. */
function fate({ clock, random }: PolicyWorld): { ms: number; fails: boolean } {
  if (clock.monotonic() < BEGINS || clock.monotonic() >= ENDS) return { ms: random.logNormal(510, 1500), fails: false }
  if (random.next() >= 0.5) return { ms: random.logNormal(1200, 10_000), fails: false }
  return { ms: random.next() < 0.5 ? 50 : 10_000, fails: true }
}

async function play(seed: number, makePolicy: (around: PolicyWorld) => library.Policy) {
  const around = world(library, seed)
  const { clock, random } = around
  const policy = makePolicy(around)
  const queue: (() => void)[] = []
  let busy = 0
  const bank = async () => {
    if (busy >= PLACES) await new Promise<void>((resolve) => queue.push(resolve))
    else busy++
    const { ms, fails } = fate(around)
    await clock.sleep(ms)
    const next = queue.shift()
    if (next) next()
    else busy--
    if (fails) throw Object.assign(new Error('no'), { code: 'ECONNRESET' })
  }
  const customers: { at: number; paid: boolean; unsure: boolean }[] = []
  const customer = async () => {
    const at = clock.monotonic()
    const outcome = await policy.run(bank).then(() => 'paid', (error) => (error.sent === false ? 'refused' : 'unsure'))
    customers.push({ at, paid: outcome === 'paid' && clock.monotonic() - at < 5000, unsure: outcome === 'unsure' })
  }
  const all: Promise<void>[] = []
  await clock.run((async () => {
    while (clock.monotonic() < UNTIL) {
      all.push(customer())
      await clock.sleep(-Math.log(1 - random.next()) * 10)
    }
    await Promise.all(all)
  })())
  const share = (from: number, to: number, what: 'paid' | 'unsure') => {
    const those = customers.filter(({ at }) => at >= from && at < to)
    return those.filter((one) => one[what]).length / those.length
  }
  return { before: share(10_000, BEGINS, 'paid'), during: share(BEGINS, ENDS, 'paid'), unsure: share(BEGINS, ENDS, 'unsure'), after: share(ENDS + 5000, UNTIL, 'paid') }
}

const mean = async (makePolicy: (around: PolicyWorld) => library.Policy) => {
  const runs = await Promise.all([1, 2, 3].map((seed) => play(seed, makePolicy)))
  const of = (what: keyof (typeof runs)[0]) => runs.reduce((sum, run) => sum + run[what], 0) / runs.length
  return { before: of('before'), during: of('during'), unsure: of('unsure'), after: of('after') }
}

/**
 * What the bank can do at best in the minute: its 120 places serve 35 calls a second, of which half fail, and of the others some take longer than the
 * customer waits; counted against 100 arrivals a second.
 */
const CEILING = 0.154

type Options = library.PolicyOptions

/** The rows of the table in docs/policies.md. */
const rows: [row: string, makePolicy: (around: PolicyWorld) => Options][] = [
  ['a deadline alone', () => ({})],
  ['with a breaker that opens at half', (around) => ({ breaker: library.breaker({ ...around, failureRate: 0.5 }) })],
  ['with the breaker as it comes', (around) => ({ breaker: library.breaker(around) })],
  ['with a breaker that opens at half, and the bulkhead as it comes', (around) => ({ breaker: library.breaker({ ...around, failureRate: 0.5 }), bulkhead: library.bulkhead(around) })],
  ['with a bulkhead of 200 and the breaker as it comes', (around) => ({ breaker: library.breaker(around), bulkhead: library.bulkhead({ ...around, limit: 200 }) })],
  ['**with both as they come**', (around) => ({ breaker: library.breaker(around), bulkhead: library.bulkhead(around) })],
]
const page = readFileSync(new URL('../../../docs/policies.md', import.meta.url), 'utf8')
const percent = (share: number) => `${(share * 100).toFixed(1)} %`

describe('B11 Black Friday', () => {
  test.each(rows)('%s: the page tells what comes out', async (row, options) => {
    const { during, unsure, after } = await mean((around) => library.policy({ ...around, deadlineMs: 5000, attemptMs: 3500, ...options(around) }))
    const told = page.split('\n').find((line) => line.startsWith(`| ${row} |`))
    expect(told?.replaceAll('*', '')).toBe(`| ${row.replaceAll('*', '')} | ${percent(during)} | ${percent(unsure)} | ${percent(after)} |`)
  })

  test('the policies as they come keep nine tenths of what is possible, turn nobody away when all is well, and all is well 5 s after the bank is', async () => {
    const { before, during, unsure, after } = await mean((around) => library.policy({ ...around, deadlineMs: 5000, attemptMs: 3500, breaker: library.breaker(around), bulkhead: library.bulkhead(around) }))
    expect(before).toBeGreaterThan(0.999)
    expect(during).toBeGreaterThan(0.9 * CEILING)
    expect(unsure).toBeLessThan(0.25)
    expect(after).toBeGreaterThan(0.99)
  })
})
