import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { globOf } from '../../src/proxy/glob.ts'

describe('a glob', () => {
  test.each([
    ['/v1/charges', '/v1/charges', true],
    ['/v1/charges', '/v1/charges/', false],
    ['/v1/*', '/v1/charges', true],
    ['/v1/*', '/v1/', true],
    ['/v1/*', '/v1/charges/ch_1', false],
    ['/v1/**', '/v1/charges/ch_1', true],
    ['/v1/**', '/v1', false],
    ['/*/refunds', '/ch_1/refunds', true],
    ['/*/refunds', '/v1/ch_1/refunds', false],
    ['/**/refunds', '/v1/ch_1/refunds', true],
    ['**', '', true],
    ['*', '/', false],
    ['/a.c', '/abc', false],
    ['/(a|b)+[c]?', '/(a|b)+[c]?', true],
    ['/a***b', '/a/x/b', true],
    ['', '', true],
    ['', 'x', false],
  ])('%s and %s: %s', (pattern, text, fits) => {
    expect(globOf(pattern, 'segment')(text)).toBe(fits)
  })

  test('where a star stands for anything, a slash is nothing special', () => {
    expect(globOf('text/*', 'anything')('text/html; a/b')).toBe(true)
    expect(globOf('*/b', 'anything')('a/c/b\nb/b')).toBe(true)
  })

  /** What it means, said plainly; slow where there are many stars. */
  const meaning = (pattern: string) => new RegExp(`^${pattern.replace(/\*+/g, (stars) => (stars === '*' ? '[^/]*' : '.*'))}$`, 's')

  test('is what its meaning says', () => {
    const texts = (signs: string) => fc.string({ unit: fc.constantFrom(...signs), maxLength: 10 })
    fc.assert(fc.property(texts('ab/**'), texts('ab/'), (pattern, text) => globOf(pattern, 'segment')(text) === meaning(pattern).test(text)), { numRuns: 20_000 })
  })

  test('reads a long text once, however many stars it has', () => {
    let read = 0
    const text = new Proxy(Object('a'.repeat(20_000)) as object, {
      get(target, key) {
        if (typeof key === 'string' && /^\d+$/.test(key)) read++
        const value = Reflect.get(target, key, target) as unknown
        return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value
      },
    })
    expect(globOf(`${'*a'.repeat(40)}c`, 'anything')(text as unknown as string)).toBe(false)
    expect(read).toBe(20_000)
  })
})
