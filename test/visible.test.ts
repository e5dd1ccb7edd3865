import { expect, test } from 'vitest'
import { visible, visibleCopy } from '../src/visible.ts'

test('what a terminal obeys is shown instead', () => {
  expect(visible('a\u001b[31mb\nc\u0007d\u202ee\u009bf')).toBe('a\\e[31mb\\nc\\x07d\\u202ee\\x9bf')
})

test('letters, accents and pictures stay as they are', () => {
  expect(visible('żółć 日本 🙂 “quoted”')).toBe('żółć 日本 🙂 “quoted”')
})

test('an object that is fine is not copied', () => {
  const fine = { a: [1, 'two'], b: null }
  expect(visibleCopy(fine)).toBe(fine)
})

test('names of fields and nested texts are made visible, lengths and depths are bounded', () => {
  let deep: unknown = 'bottom'
  for (let n = 0; n < 20; n++) deep = { deep }
  expect(visibleCopy({ 'a\nb': ['c\rd'], long: 'x'.repeat(5000) })).toEqual({ 'a\\nb': ['c\\rd'], long: `${'x'.repeat(2000)}…` })
  expect(JSON.stringify(visibleCopy(deep))).not.toContain('bottom')
})
