import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openTerminal, plain } from './pty.ts'

/** Look-ups that take long keep the run in mid-fault while keys are pressed. */
const SLOW = ['pay', '--double-click', '--seed', '7', '--toxic', 'bank:latency=3s,method=GET,times=2']

const ENTERED = '\u001b[?1049h'
const LEFT = '\u001b[?1049l'

let cwd: string

beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'resil-terminal-'))
})

afterEach(() => {
  rmSync(cwd, { recursive: true, force: true })
})

function recorded(): { type: string; key?: string }[] {
  const runs = join(cwd, '.resil', 'runs')
  const file = readdirSync(runs).find((name) => name.endsWith('.ndjson'))!
  return readFileSync(join(runs, file), 'utf8').trimEnd().split('\n').slice(1).map((line) => JSON.parse(line))
}

function childrenOf(parent: number): number[] {
  return execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number) as [number, number])
    .filter(([, ppid]) => ppid === parent)
    .map(([pid]) => pid)
}

/** The keys that the help lists; a frame that was drawn before it does not count. */
function keysIn(text: string): (string | undefined)[] {
  const help = text.slice(text.search(/^ {3}q {2,}/m))
  return [...help.matchAll(/^ {3}(\S+(?: \S)?) {2,}\S/gm)].map((match) => match[1])
}

describe('the screen on a real terminal', () => {
  test('every key that ? lists does what it says, and leaving prints the verdict on the normal screen', { timeout: 90_000 }, async () => {
    const terminal = openTerminal(SLOW, { columns: 100, cwd })
    await terminal.shows(/UNKNOWN/)

    let from = terminal.raw.length
    terminal.press('?')
    await terminal.shows(/interrupt the run/, from)
    const listed = keysIn(plain(terminal.raw.slice(from)))
    expect(new Set(listed)).toEqual(new Set(['q', '?', '↑ ↓', 's', 'p', 'f', 'Ctrl-C']))
    from = terminal.raw.length
    terminal.press('?')
    await terminal.shows(/deadline +▓/, from)

    from = terminal.raw.length
    terminal.press('s')
    await terminal.shows(/saved .*\.txt and .*\.svg/s, from)

    from = terminal.raw.length
    terminal.press('\u001b[A')
    await terminal.shows(/esc back/, from)
    from = terminal.raw.length
    terminal.press('\u001b')
    await terminal.shows(/q leave/, from)

    from = terminal.raw.length
    terminal.press('p')
    await terminal.shows(/p: hold and release scripted time/, from)
    from = terminal.raw.length
    terminal.press('p')
    await terminal.shows(/p: hold/, from)

    from = terminal.raw.length
    terminal.press('f')
    await terminal.shows(/f: drop the bank's next answer/, from)

    terminal.press('q')
    // The fault of the key f comes too late to strike: the run says that it is undecided.
    expect(await terminal.ended).toBe(3)
    const after = plain(terminal.raw.slice(terminal.raw.lastIndexOf(LEFT))).replaceAll(/\s+/g, ' ')
    expect(after).toMatch(/UNDECIDED .*1 charge of \$99\.00\. Both (?:clicks|clients) were told the same, and it is true\./)
    expect(after).toMatch(/again: resil pay --double-click --seed 7/)
    expect(recorded().filter((event) => event.type === 'key.pressed').map((event) => event.key)).toEqual(['p', 'p', 'f'])
    const saved = readdirSync(join(cwd, '.resil', 'runs'))
    expect(saved.some((name) => name.endsWith('.txt'))).toBe(true)
    expect(readFileSync(join(cwd, '.resil', 'runs', saved.find((name) => name.endsWith('.svg'))!), 'utf8')).toMatch(/^<svg[\s\S]*<\/svg>\s*$/)
  })

  test('every key that ? lists on resil up does what it says, and q ends the world', { timeout: 120_000 }, async () => {
    const terminal = openTerminal(['up', '--port', '0', '--seed', '7', '--toxic', 'bank:latency=20ms'], { columns: 100, rows: 60, cwd })
    await terminal.shows(/\[9\] resource/)

    let from = terminal.raw.length
    const press = async (key: string, shown: RegExp) => {
      from = terminal.raw.length
      terminal.press(key)
      await terminal.shows(shown, from)
    }
    await press('?', /the same, with exit code 130/)
    const listed = keysIn(plain(terminal.raw.slice(from)))
    expect(new Set(listed)).toEqual(new Set(['q', '?', '↑ ↓', 's', 'b', 'k', '←', '→', 'p', 'f', 'Ctrl-C', '1', '2', '3', '4', '5', '6', '7', '8', '9']))
    await press('?', /\[9\] resource/)

    await press('1', /\[1\] bank .* taken away/)
    for (const key of ['2', '3', '4', '5', '6', '7', '8', '9']) await press(key, new RegExp(`\\[${key}\\] \\S+ +× .* armed`))
    await press('f', /f: drop the bank's next answer/)
    await press('p', /p: stop the payment engine for a while/)
    await press('p', /p: stop the payment engine for a while/)
    await press('\u001b[C', /› customer-2/)
    await press('\u001b[D', /› customer-1/)
    await press('s', /saved .*\.txt and .*\.svg/s)
    await press('\u001b[A', /esc back/)
    terminal.press('q')
    expect(await terminal.ended).toBe(0)
    expect(terminal.raw.lastIndexOf(LEFT)).toBeGreaterThan(terminal.raw.lastIndexOf(ENTERED))
  })

  test('resil up: whoever buys has it told to three customers; one that is taken down is parked, heals, and q leaves no process behind', { timeout: 120_000 }, async () => {
    const terminal = openTerminal(['up', '--port', '0', '--seed', '7'], { columns: 100, rows: 60, cwd })
    await terminal.shows(/customer-3 +healthy/)
    const nodes = childrenOf(terminal.pid)
    expect(nodes).toHaveLength(3)
    terminal.press('b')
    await terminal.shows(/basket-1 +\$99\.00 .* 1 charge/)
    await terminal.shows(/3 webhooks owed +3 delivered +0 waiting/)
    terminal.press('k')
    await terminal.shows(/customer-1 +DOWN: connections are refused/)
    terminal.press('bbbbb')
    await terminal.shows(/customer-1 +PARKED +5/)
    terminal.press('k')
    await terminal.shows(/18 webhooks owed +18 delivered +0 waiting/)
    const from = terminal.raw.length
    await terminal.shows(/customer-1 +(healthy|slow) +0/, from)
    terminal.press('q')
    expect(await terminal.ended).toBe(0)
    expect(plain(terminal.raw.slice(terminal.raw.lastIndexOf(LEFT))).replaceAll(/\s+/g, ' ')).toMatch(/6 charged once \(\$594\.00 in all\), 0 charged twice\..* customer-1 was down for [^:]*: 5 webhooks held, 0 lost, all delivered .* 18 webhooks owed, 18 delivered/)
    for (const pid of nodes) expect(() => process.kill(pid, 0)).toThrow('ESRCH')
  })

  test('Ctrl-C restores the terminal, ends with 130 and leaves no process behind', { timeout: 60_000 }, async () => {
    const terminal = openTerminal(SLOW, { columns: 80, cwd })
    await terminal.shows(/UNKNOWN/)
    const nodes = childrenOf(terminal.pid)
    expect(nodes).toHaveLength(1)
    terminal.press('\u0003')
    expect(await terminal.ended).toBe(130)
    expect(terminal.raw.lastIndexOf(LEFT)).toBeGreaterThan(terminal.raw.lastIndexOf(ENTERED))
    expect(terminal.raw).toContain('\u001b[?25h')
    for (const pid of nodes) expect(() => process.kill(pid, 0)).toThrow('ESRCH')
  })

  test.each([60, 100, 160])('at %i columns no line is wider than the terminal, and the story is told', { timeout: 60_000 }, async (columns) => {
    const terminal = openTerminal(['pay', '--double-click', '--seed', '7', '--sim'], { columns, cwd })
    await terminal.shows(/closing in/)
    terminal.press('q')
    expect(await terminal.ended).toBe(0)
    const shown = plain(terminal.raw.slice(0, terminal.raw.lastIndexOf(LEFT)))
    for (const line of shown.split(/\r?\n/)) expect(line.length).toBeLessThanOrEqual(columns)
    expect(plain(terminal.raw.slice(terminal.raw.lastIndexOf(LEFT)))).toMatch(/HELD {2}2 clicks, 1 charge of \$99\.00\./)
  })

  test('NO_COLOR takes the colours and nothing else', { timeout: 60_000 }, async () => {
    const terminal = openTerminal(['pay', '--double-click', '--seed', '7', '--sim'], { columns: 100, cwd, env: { NO_COLOR: '1' } })
    await terminal.shows(/closing in/)
    terminal.press('q')
    expect(await terminal.ended).toBe(0)
    // eslint-disable-next-line no-control-regex
    expect(terminal.raw).not.toMatch(/\u001b\[[0-9;]*m/)
  })
})
