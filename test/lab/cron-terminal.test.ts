/** The dashboard of schedulers on a pseudo-terminal, over real processes: every key does what it says. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openTerminal } from './pty.ts'

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'resil-cron-terminal-'))
})
afterEach(() => rmSync(cwd, { recursive: true, force: true }))

/** How long the script goes on after the last key, ms: it sleeps for some twenty seconds, and the world rests only when all clocks have passed what the one that is ahead has made due. */
const PLAY_MS = 150_000

test('kill, pause, resume, add, deploy and skew', { timeout: 300_000 }, async () => {
  const terminal = openTerminal(['cron', 'elect', '--nodes', '2', '--seed', '7'], { columns: 140, rows: 44, cwd })
  const press = async (key: string, shown: RegExp) => {
    const from = terminal.raw.length
    terminal.press(key)
    await terminal.shows(shown, from)
  }
  await terminal.shows(/LEADER/)
  await press('p', /p: hold and release scripted time/)
  await press('?', /\+ +add node\s+d +deploy new build\s+c +skew clock/)
  await press('?', /effects +\d+ due/) // the legend covers it
  await press('c', /\+30\.0 s/)
  await press('+', /n3 +\d+ +follower/)
  await press('k', /n\d +\d+ +dead/)
  await terminal.shows(/epoch 2/, 0)
  await press('z', /ZOMBIE/)
  await press('r', /r: resume/)
  await press('d', /build 2/)
  await press('p', /p: hold/)
  terminal.press('q')
  await terminal.shows(/HELD/, 0, PLAY_MS)
  expect(await terminal.ended).toBe(0)
})
