import { expect, test } from 'vitest'
import { durationMs, durationOrMs } from '../src/duration.ts'

test.each([['250ms', 250], ['1.5s', 1500], ['2m', 120_000], ['1h', 3_600_000], ['3d', 259_200_000], ['1.001s', 1001], ['0.125ms', 0.125], ['0s', 0]])('%s is %d ms', (text, ms) => {
  expect(durationMs(text)).toBe(ms)
  expect(durationOrMs(text)).toBe(ms)
})

test.each(['', '5', '5 s', '-5s', '1.2345s', '1h30m', '5S', '5s\n', '١s', '1e3s', '.5s', '0x1s', '9999999999999s'])('%j is no duration', (text) => {
  expect(durationMs(text)).toBeUndefined()
})

test('where bare numbers of ms are written they are read as such, and nothing else is', () => {
  expect(['250', '-5', '1.5', '', '1e3', ' 5'].map(durationOrMs)).toEqual([250, -5, 1.5, undefined, undefined, undefined])
})
