/** The dashboard of schedulers, drawn from a run in virtual time at every width. */
import { beforeAll, expect, test } from 'vitest'
import type { Event } from '../../../../src/events.ts'
import { empty, fold, story } from '../../../../src/engines/cron/view.ts'
import type { CronView } from '../../../../src/engines/cron/view.ts'
import { run } from '../../../../src/lab/run.ts'
import { cronLines } from '../../../../src/lab/reporters/screens/cron.ts'
import { lineText, toText, width } from '../../../../src/lab/reporters/screens/lines.ts'
import type { Frame } from '../../../../src/lab/reporters/screens/parts.ts'

let events: Event[]
beforeAll(async () => {
  events = []
  await run({ scenario: 'elect', mode: 'sim', seed: 7, subject: { kind: 'reference' }, toxics: [], invariants: [], again: 'resil cron elect --seed 7 --sim' }, { sinks: [(event) => events.push(event)] })
})

const upTo = (last: (event: Event) => boolean): { view: CronView; now: number } => {
  const at = events.findIndex(last)
  const seen = events.slice(0, at + 1)
  return { view: seen.reduce(fold, empty()), now: seen.at(-1)!.t }
}
const takeOver = () => {
  const paused = events.find(({ type }) => type === 'node.paused')!
  return upTo(({ type, seq }) => type === 'leader.elected' && seq > paused.seq)
}
const frame = (columns: number, now: number, rows = 44): Frame => ({ columns, rows, title: 'resil cron elect', now, walk: null, hint: [{ text: '? keys   q leave', look: 'quiet' }], switches: [] })

test.each([40, 60, 80, 100, 160])('in the middle of a take-over at %i columns: who leads, who only believes it, and no line is too long', (columns) => {
  const { view, now } = takeOver()
  const lines = cronLines(view, frame(columns, now))
  for (const line of lines) expect(width(lineText(line)), lineText(line)).toBeLessThanOrEqual(columns)
  expect(lines.length).toBeLessThanOrEqual(44)
  const text = toText(lines)
  expect(text).toMatch(/ZOMBIE +2 +.*expired/)
  expect(text).toMatch(/LEADER +3 +█+/)
})

test('a low terminal keeps the nodes and the story', () => {
  const { view, now } = takeOver()
  const text = toText(cronLines(view, frame(100, now, 14)))
  expect(text).toMatch(/LEADER/)
  expect(text).toMatch(/3 elections/)
})

test('nobody leads between a death and an election, and it says so', () => {
  const { view, now } = upTo(({ type }) => type === 'node.killed')
  const text = toText(cronLines(view, frame(100, now)))
  expect(text).toMatch(/dead 0 ms/)
  expect(text).toMatch(/nobody leads/)
})

test('the end tells what each invariant looked at, and the line that runs it again', () => {
  const view = events.reduce(fold, empty())
  const text = toText(cronLines(view, frame(120, view.t, 70)))
  expect(text).toMatch(/i13-one-effect/)
  expect(text).toMatch(/again: +resil cron elect --seed 7 --sim/)
  expect(story(view)).toMatch(/^3 nodes, 1 kill and 1 pause\. 3 elections/)
})
