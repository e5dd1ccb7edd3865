import { describe, expect, test } from 'vitest'
import { chance, Random } from '../src/random.ts'

const draws = (random: Random, count: number) => Array.from({ length: count }, () => random.next())

/** Chi-square of `values` in [0, 1) over 20 equal cells; 19 degrees of freedom, so under 43.8 in 999 of 1000 fair samples. */
function unevenness(values: number[]): number {
  const cells = new Array<number>(20).fill(0)
  for (const value of values) cells[Math.floor(value * 20)]!++
  const expected = values.length / 20
  return cells.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
}
const FAIR = 43.8

describe('a seeded Random', () => {
  test('gives these numbers, on every machine and in every release: recorded seeds depend on it', () => {
    const random = Random.seeded(7)
    expect(draws(random, 3)).toEqual([0.6056098327971995, 0.31463328562676907, 0.7274500306230038])
    expect(random.id('pay')).toBe('pay_stpwf2s6n5kw8x8n')
    expect(Random.seeded(7).fork('bank').next()).toBe(0.20321801560930908)
    expect(Random.seeded(7).fork('bank').fork('x').id('ch')).toBe('ch_ccpkjaehzwr7xkzz')
  })

  test('takes a number and its text for the same seed, and each seed for another stream', () => {
    expect(draws(Random.seeded('7'), 10)).toEqual(draws(Random.seeded(7), 10))
    expect(draws(Random.seeded(8), 10)).not.toEqual(draws(Random.seeded(7), 10))
  })

  test('forks streams that depend on their name alone, not on what others drew', () => {
    const quiet = Random.seeded(7)
    const busy = Random.seeded(7)
    draws(busy, 1_000)
    draws(busy.fork('fraud'), 1_000)
    expect(draws(busy.fork('bank'), 10)).toEqual(draws(quiet.fork('bank'), 10))
    expect(draws(quiet.fork('bank'), 10)).not.toEqual(draws(quiet.fork('fraud'), 10))
    expect(draws(quiet.fork('bank').fork('fraud'), 10)).not.toEqual(draws(quiet.fork('fraud').fork('bank'), 10))
  })

  test.each([
    ['one stream', () => draws(Random.seeded(1), 20_000)],
    ['the first draw of neighbouring seeds', () => Array.from({ length: 20_000 }, (_, seed) => Random.seeded(seed).next())],
    ['the first draw of neighbouring streams', () => Array.from({ length: 20_000 }, (_, i) => Random.seeded(1).fork(`node-${i}`).next())],
  ])('is uniform over %s', (_, sample) => {
    expect(unevenness(sample())).toBeLessThan(FAIR)
  })
})

test('int takes both ends and every number between', () => {
  const random = Random.seeded(1)
  expect(new Set(Array.from({ length: 1_000 }, () => random.int(-1, 2)))).toEqual(new Set([-1, 0, 1, 2]))
})

test('pick takes every item', () => {
  const random = Random.seeded(1)
  expect(new Set(Array.from({ length: 1_000 }, () => random.pick(['a', 'b', 'c'])))).toEqual(new Set(['a', 'b', 'c']))
})

test('logNormal has the percentiles that were asked for', () => {
  const random = Random.seeded(3)
  const sorted = Array.from({ length: 20_000 }, () => random.logNormal(100, 1_000)).sort((a, b) => a - b)
  expect(sorted[0]).toBeGreaterThan(0)
  expect(sorted[10_000]! / 100).toBeCloseTo(1, 1)
  expect(sorted[19_800]! / 1_000).toBeGreaterThan(0.9)
  expect(sorted[19_800]! / 1_000).toBeLessThan(1.1)
})

test('ids are a prefix and 16 characters without i, l, o and u, and do not come twice', () => {
  const random = Random.seeded(1)
  const ids = Array.from({ length: 10_000 }, () => random.id('pay'))
  expect(ids.every((id) => /^pay_[0-9a-hjkmnp-tv-z]{16}$/.test(id))).toBe(true)
  expect(new Set(ids).size).toBe(10_000)
})

describe('bytes', () => {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
  test('are these for a seed, in every release, as many as were asked for, and the stream goes on behind them', () => {
    const random = Random.seeded(7)
    expect(hex(random.bytes(0))).toBe('')
    expect(hex(random.bytes(6))).toBe('fa3e099b98ce')
    expect(random.next()).toBe(0.7274500306230038)
    expect([1, 5, 32].map((n) => random.bytes(n).length)).toEqual([1, 5, 32])
  })

  test('take every value at every place', () => {
    const random = Random.seeded(1)
    const seen = [new Set(), new Set(), new Set(), new Set(), new Set()]
    for (let i = 0; i < 5000; i++) for (const [at, byte] of random.bytes(5).entries()) seen[at]!.add(byte)
    expect(seen.map(({ size }) => size)).toEqual([256, 256, 256, 256, 256])
  })

  test('of the system are not the same twice, beyond what is asked of it at a time', () => {
    const random = Random.system()
    const drawn = Array.from({ length: 100 }, () => hex(random.bytes(32)))
    expect(new Set([...drawn, hex(Random.system().bytes(32))]).size).toBe(101)
  })
})

test('the system\'s randomness is not the same twice, forks included', () => {
  expect(Random.system().id('a')).not.toBe(Random.system().id('a'))
  expect(Random.system().fork('x').id('a')).not.toBe(Random.system().fork('x').id('a'))
})

describe('chance', () => {
  test('gives these numbers, in every release', () => {
    expect([1, 2, 3].map((ordinal) => chance(7, 'bank/lost_response_downstream', ordinal))).toEqual([0.7014411112759262, 0.4408890847116709, 0.7176199846435338])
  })

  test('depends on its arguments alone: the order in which decisions are made changes none of them', () => {
    const ordinals = Array.from({ length: 100 }, (_, i) => i)
    const forwards = ordinals.map((ordinal) => chance(7, 'bank', ordinal))
    const backwards = ordinals.toReversed().map((ordinal) => [chance(7, 'fraud', ordinal), chance(7, 'bank', ordinal)][1]).toReversed()
    expect(backwards).toEqual(forwards)
    expect(new Set([...forwards, ...ordinals.map((ordinal) => chance(7, 'fraud', ordinal)), ...ordinals.map((ordinal) => chance(8, 'bank', ordinal))]).size).toBe(300)
  })

  test.each([
    ['the ordinals of one rule', (i: number) => chance(7, 'bank/latency', i)],
    ['the first matches of neighbouring seeds', (i: number) => chance(i, 'bank/latency', 1)],
  ])('is uniform over %s, and a decision tells nothing of the next', (_, draw) => {
    const values = Array.from({ length: 20_000 }, (_, i) => draw(i))
    expect(unevenness(values)).toBeLessThan(FAIR)
    expect(unevenness(values.slice(1).map((value, i) => (value + values[i]!) % 1))).toBeLessThan(FAIR)
  })
})
