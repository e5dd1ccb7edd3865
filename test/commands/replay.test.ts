import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Event } from '../../src/events.ts'
import type { Plan } from '../../src/lab/plan.ts'
import { replay } from '../../src/lab/replay.ts'
import type { Hold } from '../../src/lab/run.ts'
import { run } from '../../src/lab/run.ts'
import { resil } from './cli.ts'

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'resil-test-'))
})
afterEach(() => rmSync(cwd, { recursive: true, force: true }))

const runs = () => join(cwd, '.resil', 'runs')
const plan: Plan = { scenario: 'double-click', mode: 'sim', seed: 7, subject: { kind: 'reference' }, toxics: [], invariants: [], options: { clicks: 2, amountMinor: 9900, currency: 'USD' }, again: '' }

it('a simulated run comes again byte for byte, and leaves its recording as it was', () => {
  expect(resil(['pay', '--double-click', '--seed', '7', '--sim', '--quiet'], { cwd }).exit).toBe(0)
  const [file] = readdirSync(runs()) as [string]
  const recorded = readFileSync(join(runs(), file), 'utf8')
  const { exit, json } = resil(['replay', file.slice(0, 4), '--json'], { cwd })
  expect(exit).toBe(0)
  expect(json().at(-1)).toEqual({ replayed: file.slice(0, -'.ndjson'.length), verdict: 'held', before: 'held', sameVerdict: true, sameEvents: true, firstDifference: null })
  expect(json().slice(0, -1)).toEqual(recorded.trimEnd().split('\n').slice(1).map((line) => JSON.parse(line)))
  expect(readFileSync(join(runs(), file), 'utf8')).toBe(recorded)
})

it('one seed, two runs: the same bytes', () => {
  const run = () => resil(['pay', '--double-click', '--seed', '7', '--sim', '--json'], { cwd })
  const first = run()
  expect(first.exit).toBe(0)
  expect(first.stdout).not.toBe('')
  expect(run().stdout).toBe(first.stdout)
})

it('a convicted run is convicted again, and its exit code is that of the verdict', () => {
  const subject = fileURLToPath(new URL('../mutants/unknown-as-failed.mjs', import.meta.url))
  expect(resil(['pay', '--double-click', '--seed', '7', '--sim', '--quiet', '--subject', subject], { cwd }).exit).toBe(1)
  const { exit, stdout } = resil(['replay', '--quiet'], { cwd })
  expect(exit).toBe(1)
  expect(stdout).toMatch(/^replayed: violated, as before; the same \d+ events, byte for byte\n$/)
})

it('says where a run first differs from its recording', () => {
  resil(['pay', '--double-click', '--seed', '7', '--sim', '--quiet'], { cwd })
  const file = join(runs(), readdirSync(runs())[0]!)
  const lines = readFileSync(file, 'utf8').split('\n')
  lines[9] = lines[9]!.replace('"seq":9,"t":', '"seq":9,"t":1')
  writeFileSync(file, lines.join('\n'))
  expect(resil(['replay', file, '--quiet'], { cwd })).toMatchObject({ exit: 0, stdout: 'replayed: held, as before; the events differ from number 9 on\n' })
})

it('shows a recording without running anything, the newest when none is named', () => {
  mkdirSync(runs(), { recursive: true })
  const event = (verdict: string) => JSON.stringify({ run: 'r', seq: 1, t: 0, at: 0, src: 'lab', node: null, type: 'run.ended', verdict, exit: 0, story: `It was ${verdict}.`, findings: [], unfired: [], seed: 1, again: 'resil pay', ms: 1 })
  for (const [name, verdict, at] of [['old', 'violated', 1000], ['new', 'held', 2000]] as const) {
    const file = join(runs(), `${name}.ndjson`)
    writeFileSync(file, `${JSON.stringify({ plan })}\n${event(verdict)}\n`)
    utimesSync(file, at, at)
  }
  expect(resil(['replay', '--show'], { cwd })).toMatchObject({ exit: 0, stdout: expect.stringContaining('HELD  It was held.') })
  expect(resil(['replay', 'old', '--show', '--json'], { cwd }).stdout).toBe(`${event('violated')}\n`)
})

it('a missing or broken recording is a wrong use', () => {
  expect(resil(['replay'], { cwd })).toMatchObject({ exit: 2, stderr: expect.stringContaining('there is no run') })
  expect(resil(['replay', 'beef'], { cwd })).toMatchObject({ exit: 2, stderr: expect.stringContaining('there is no run "beef"') })
  expect(resil(['replay', cwd], { cwd })).toMatchObject({ exit: 2, stderr: expect.stringContaining('is not a file') })
  for (const text of ['', 'null', '{"plan":{}}', 'not json', `${JSON.stringify({ plan })}\n7`]) {
    const file = join(cwd, 'broken.ndjson')
    writeFileSync(file, text)
    expect(resil(['replay', file], { cwd }), text).toMatchObject({ exit: 2, stderr: expect.stringContaining('is no recording') })
  }
}, 60_000)

it('keys that were pressed are pressed again behind the same event', async () => {
  const events: Event[] = []
  let hold: Hold | undefined
  let presses = 0
  await run(plan, {
    sinks: [(event) => void events.push(event)],
    onOpen: (given) => {
      hold = given
    },
    pace: (at) => {
      if (hold && presses === 0 && at > 30) {
        presses++
        hold.press('f')
        hold.pause(true)
      } else if (hold && presses === 1 && at > 300) {
        presses++
        hold.pause(false)
      }
      return undefined
    },
  })
  expect(events.filter(({ type }) => type === 'key.pressed')).toHaveLength(3)
  const again: Event[] = []
  const replayed = await replay({ plan, events }, { sinks: [(event) => void again.push(event)] })
  expect(again).toEqual(events)
  expect(replayed).toMatchObject({ events: events.length, firstDifference: undefined })
})
