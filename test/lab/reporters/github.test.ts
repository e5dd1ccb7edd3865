import { expect, test } from 'vitest'
import { reporter } from '../../../src/lab/reporters/github.ts'
import type { Event } from '../../../src/events.ts'
import { doubleCharge, doubleClick } from './runs.ts'

function report(events: Event[]): string[] {
  let text = ''
  const reporting = reporter.open({ write: (more) => (text += more) })
  for (const event of events) reporting.event(event)
  void reporting.end?.()
  return text.trimEnd().split('\n')
}

test('a run that held is one notice with the story', () => {
  expect(report(doubleClick())).toEqual(['::notice title=resil double-click%3A held::2 clicks, 1 charge of $99.00. Both clicks were told the same, and it is true.%0Aagain: resil pay --double-click --seed 7'])
})

test('violated is an error with its witnesses, undecided a warning', () => {
  expect(report(doubleCharge())).toEqual([
    '::error title=at-most-one-charge violated::order-1 has 2 charges that stand: $198.00 in all%0A#5  00:00.090  bank         CHARGED $99.00, ch_1ywc2tcfvkgy6g1p, key a%0A#9  00:00.140  bank         CHARGED $99.00, ch_2, key b%0Aagain: resil pay --double-click --seed 7',
    '::warning title=no-lost-payment undecided::the service has no look-up',
    '::notice title=resil double-click%3A violated::2 clicks, 2 charges of $99.00: the customer paid twice. Both clicks were told of one charge.%0Aagain: resil pay --double-click --seed 7',
  ])
})

test('a text can begin no command of its own', () => {
  const events = doubleCharge()
  const lines = report([{ ...events[0]!, scenario: 'a,b::c\n::stop' }, { ...events.at(-1)!, story: '100%\r\n::error::forged', findings: [], again: 'x' }])
  expect(lines).toEqual(['::notice title=resil a%2Cb%3A%3Ac\\n%3A%3Astop%3A violated::100%25%0D%0A::error::forged%0Aagain: x'])
})

test('more violations than GitHub shows are counted in the last one', () => {
  const events = doubleCharge()
  const violations = Array.from({ length: 20 }, (_, n) => ({ why: `why ${n}`, witness: [] }))
  const lines = report([{ ...events.at(-1)!, findings: [{ invariant: 'i', verdict: 'violated', looked: '', violations }] }])
  expect(lines.filter((line) => line.startsWith('::error'))).toHaveLength(10)
  expect(lines[9]).toContain('and 11 more')
})

test('a run that was cut short is an error', () => {
  expect(report(doubleClick().slice(0, 9))).toEqual(['::error title=resil double-click::the run was cut short: there is no verdict'])
})
