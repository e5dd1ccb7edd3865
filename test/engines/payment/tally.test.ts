import { expect, test } from 'vitest'
import { count, courseOf, lately, rate, tally } from '../../../src/engines/payment/tally.ts'
import type { Tally } from '../../../src/engines/payment/tally.ts'

const counted = (...times: number[]): Tally => {
  const of = tally()
  for (const t of times) count(of, t)
  return of
}
const every = (ms: number, from: number, to: number) => counted(...Array.from({ length: (to - from) / ms }, (_, n) => from + n * ms))

test.each([
  ['ten a second, in the middle of a second', every(100, 0, 30_000), 30_500, 10],
  ['nothing for five of the ten seconds', every(100, 0, 30_000), 35_500, 5],
  ['nothing for long', every(100, 0, 30_000), 60_000, 0],
  ['a run that is younger than the ten seconds', every(100, 0, 4000), 4000, 10],
  ['a run of half a second', counted(10, 20, 30), 500, 3],
  ['one that begins late', every(100, 25_000, 30_000), 30_500, 5],
])('a rate is over the last whole seconds: %s', (_, of, now, expected) => {
  expect(rate(of, now)).toBeCloseTo(expected, 5)
})

test('an event that comes late counts where it belongs, or in the course alone', () => {
  const of = counted(20_000, 15_000, 2000)
  expect(of.all).toBe(3)
  expect(lately(of, 21_000)).toBe(2)
  expect(courseOf(of, { from: 0, to: 30_000, cells: 3 }).map((one) => one * 10)).toEqual([1, 1, 1])
})

test('a course has the rate of each cell, however the cells are cut', () => {
  const of = every(100, 10_000, 20_000)
  expect(courseOf(of, { from: 0, to: 40_000, cells: 4 })).toEqual([0, 10, 0, 0])
  expect(courseOf(of, { from: 0, to: 20_000, cells: 8 }).slice(4)).toEqual([10, 10, 10, 10])
  const fine = courseOf(of, { from: 10_000, to: 11_000, cells: 10 })
  for (const one of fine) expect(one).toBeGreaterThan(5)
})

test('the cell under way has the rate so far, from its half on', () => {
  const of = every(10, 0, 10_600)
  const scale = { from: 0, to: 20_000, cells: 20 }
  expect(courseOf(of, scale, 10_600).map(Math.round)).toEqual([...new Array(11).fill(100), ...new Array(9).fill(0)])
  expect(courseOf(of, scale, 10_400)[10]).toBe(0)
})

test('a run of any length has its course, in buckets of which there are never more than 256', () => {
  const of = tally()
  for (let t = 0; t < 86_400_000; t += 60_000) count(of, t)
  expect(of.course.length).toBeLessThanOrEqual(256)
  expect(of.course.reduce((sum, one) => sum + one, 0)).toBe(1440)
  // A bucket that reaches over the edge of a cell is shared out.
  for (const one of courseOf(of, { from: 0, to: 86_400_000, cells: 24 })) expect(Math.abs(one * 3600 - 60)).toBeLessThan(3)
})
