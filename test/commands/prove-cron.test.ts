/** Schedulers of strangers, judged by what they do: real processes, killed and stopped. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { resil, start } from './cli.ts'

const scheduler = (name: string) => fileURLToPath(new URL(`fixture/schedulers/${name}.mjs`, import.meta.url))

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'resil-prove-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const proofs = [
  { scenario: 'C-80', app: 'keyed', exit: 0, says: /HELD .*told apart by key/ },
  { scenario: 'C-81', app: 'unlocked', exit: 1, says: /took effect 3 times/ },
  { scenario: 'C-82', app: 'ttl-lock', exit: 1, says: /took effect 2 times/ },
  { scenario: 'C-83', app: 'keyed', exit: 1, says: /was missed/ },
]

// Side by side: they mostly wait for slots.
test.concurrent.each(proofs)('$scenario of $app: exit $exit', { timeout: 60_000 }, async ({ scenario, app, exit, says }) => {
  const { ended } = start('bin/run.js', ['prove', 'cron', '--expr', '* * * * * *', '--scenario', scenario, '--', process.execPath, scheduler(app)], { LOCK_FILE: join(folder, `${scenario}.lock`) }, { cwd: folder, longestMs: 50_000 })
  const { exit: code, stdout, stderr } = await ended
  expect(stderr).toBe('')
  expect(stdout).toMatch(says)
  expect(code).toBe(exit)
})

test('bad input is one line and exit 2', () => {
  const options = { cwd: folder }
  expect(resil(['prove', 'cron'], options)).toMatchObject({ exit: 2, stderr: expect.stringContaining('put its command behind --') })
  expect(resil(['prove', 'cron', '--expr', '0 9 * * *', '--', 'true'], options)).toMatchObject({ exit: 2, stderr: expect.stringContaining('every few seconds') })
  expect(resil(['prove', 'cron', '--scenario', 'C-05', '--', 'true'], options)).toMatchObject({ exit: 2, stderr: expect.stringContaining('resil cron elect --scenario C-05') })
  expect(resil(['cron', 'elect', '--scenario', 'C-82'], options)).toMatchObject({ exit: 2, stderr: expect.stringContaining('resil prove cron --scenario C-82') })
})

test('one that ends by itself is said so, with its last words', { timeout: 30_000 }, async () => {
  const { ended } = start('bin/run.js', ['prove', 'cron', '--expr', '* * * * * *', '--scenario', 'C-81', '--', process.execPath, '-e', "throw new Error('no port')"], {}, { cwd: folder })
  const { exit, stderr } = await ended
  expect(stderr).toMatch(/ended by itself: exit code 1, after it said: .*no port/)
  expect(exit).toBe(2)
})
