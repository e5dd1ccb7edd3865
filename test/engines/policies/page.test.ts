/** The examples of docs/policies.md print what stands beneath them, as somebody who installed resil would run them: dist/, in a process of their own. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type * as entry from 'resil/policies'
import { describe, expect, expectTypeOf, test } from 'vitest'
import type * as library from '../../../src/engines/policies/library.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const page = readFileSync(`${root}docs/policies.md`, 'utf8')
const examples = [...page.matchAll(/```js\n([^]*?)```\n```text\n([^]*?)```/g)].map(([, code, printed]) => ({ code: code!, printed: printed! }))

describe('docs/policies.md', () => {
  test('every example says what it prints', () => {
    expect(existsSync(`${root}dist/engines/policies/library.js`), 'npm run build').toBe(true)
    expect(examples.length).toBeGreaterThanOrEqual(6)
    expect(page.match(/```js\n/g)).toHaveLength(examples.length)
  })

  test.each(examples.map((example, n) => [n + 1, example] as const))('example %i', (_n, { code, printed }) => {
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', code], { cwd: root, encoding: 'utf8' })
    expect(stderr).toBe('')
    expect(stdout).toBe(printed)
  })
})

test('a stranger’s TypeScript finds the types, without settings of ours', () => {
  const folder = mkdtempSync(join(tmpdir(), 'resil-stranger-'))
  try {
    mkdirSync(join(folder, 'node_modules'))
    symlinkSync(root, join(folder, 'node_modules', 'resil'))
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
    writeFileSync(join(folder, 'service.ts'), `import { breaker, policy } from 'resil/policies'
import type { Attempt, Outcome } from 'resil/policies'
const guarded = policy({ breaker: breaker({ failureRate: 0.5 }), attemptMs: 50 })
const number: number = await guarded.run(async ({ number }: Attempt) => number)
const outcome: Outcome<string> = await guarded.outcome(async () => ({ kind: 'ok', value: 'x' }))
// @ts-expect-error a number is no string
const text: string = await guarded.run(async () => 5)
console.log(number, outcome, text)
`)
    const tsc = fileURLToPath(new URL('bin/tsc', import.meta.resolve('typescript/package.json')))
    const { stdout, status } = spawnSync(process.execPath, [tsc, '--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022', '--lib', 'es2022,dom', 'service.ts'], { cwd: folder, encoding: 'utf8' })
    expect([status, stdout]).toEqual([0, ''])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}, 60_000)

test('the entry has types', () => {
  expectTypeOf<ReturnType<typeof entry.breaker>['state']>().toEqualTypeOf<library.BreakerState>()
  expectTypeOf<Parameters<typeof entry.breaker>[0]>().not.toBeAny()
})
