/** The dashboard of webhooks on a pseudo-terminal. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openTerminal, plain } from './pty.ts'

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'resil-webhook-terminal-'))
})
afterEach(() => rmSync(cwd, { recursive: true, force: true }))

const recorded = (): { type: string; key?: string; does?: string; customer?: string }[] => {
  const runs = join(cwd, '.resil', 'runs')
  return readFileSync(join(runs, readdirSync(runs).find((name) => name.endsWith('.ndjson'))!), 'utf8').trimEnd().split('\n').slice(1).map((line) => JSON.parse(line))
}

test('two hours down: the lane is parked, whoever leaves early gets the verdict, and the terminal is as it was', { timeout: 300_000 }, async () => {
  const terminal = openTerminal(['webhook', '--down-2h', '--sim', '--seed', '3'], { columns: 100, cwd })
  await terminal.shows(/customer-1 +PARKED +\d+/)
  await terminal.shows(/customer-1 has been down for/)
  terminal.press('q')
  expect(await terminal.ended).toBe(0)
  expect(terminal.raw.lastIndexOf('\u001b[?1049l')).toBeGreaterThan(terminal.raw.lastIndexOf('\u001b[?1049h'))
  const end = plain(terminal.raw.slice(terminal.raw.lastIndexOf('\u001b[?1049l')))
  expect(end.replace(/\s+/g, ' ')).toMatch(/HELD customer-1 was down for 2 h: 19,500 webhooks held, 0 lost, all delivered \d m( \d+ s)? after it came back\./)
  expect(end).toMatch(/again: resil webhook --down-2h --seed 3/)
})

test('keys select a customer, take it down and up, hold its endpoint and replay the dead, and each is in the record', { timeout: 300_000 }, async () => {
  const terminal = openTerminal(['webhook', '--sim', '--seed', '7'], { columns: 120, cwd })
  const press = async (key: string, shown: RegExp) => {
    const from = terminal.raw.length
    terminal.press(key)
    await terminal.shows(shown, from)
  }
  await terminal.shows(/› customer-1 +healthy[^]*customer-3 +healthy/)
  await press('\u001b[C', /› customer-2/)
  await press('d', /d: disable or enable its endpoint/)
  await terminal.shows(/customer-2 +disabled/)
  await press('d', /d: disable or enable/)
  await press('\u001b[D', /› customer-1/)
  await press('k', /k: take it down or up/)
  await terminal.shows(/customer-1 +PARKED/)
  // Two keys in one piece, as a hand does while the picture is drawn.
  await press('kr', /r: replay the dead/)
  await press('q', /again: +resil webhook --seed 7 --sim/)
  await terminal.ended
  const does = recorded().filter(({ type }) => type === 'key.pressed').map((event) => event.does)
  expect(does).toEqual(['select customer-2', 'disable the endpoint of customer-2', 'enable the endpoint of customer-2', 'select customer-1', 'take customer-1 down', 'take customer-1 up', 'replay the dead'])
  expect(recorded().filter(({ type }) => type === 'customer.selected').map(({ customer }) => customer)).toEqual(['customer-2', 'customer-1'])
})
