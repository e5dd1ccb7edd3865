import { describe, expect, test } from 'vitest'
import { reporter } from '../../../src/lab/reporters/junit.ts'
import type { Event } from '../../../src/events.ts'
import { doubleCharge, doubleClick } from './runs.ts'

function report(events: Event[]): string {
  let text = ''
  const reporting = reporter.open({ write: (more) => (text += more) })
  for (const event of events) reporting.event(event)
  void reporting.end?.()
  return text
}

interface Element {
  name: string
  attributes: Record<string, string>
  children: Element[]
  text: string
}

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"' }
const decoded = (raw: string) =>
  raw.replaceAll(/&([^;]*);/g, (_, name: string) => {
    if (name.startsWith('#')) return String.fromCodePoint(Number(name.slice(1)))
    if (ENTITIES[name] === undefined) throw new Error(`no such entity: &${name};`)
    return ENTITIES[name]
  })

/** Reads the XML that we write, strictly: what is not well-formed throws. */
function parse(xml: string): Element {
  // oxlint-disable-next-line no-control-regex -- they are what XML forbids
  const forbidden = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/.exec(xml)
  if (forbidden) throw new Error(`a character that XML forbids at ${forbidden.index}`)
  const root: Element = { name: '', attributes: {}, children: [], text: '' }
  const open = [root]
  const body = xml.replace(/^<\?xml version="1.0" encoding="UTF-8"\?>\n/, '')
  let at = 0
  for (const match of body.matchAll(/<(\/?)([a-z-]+)((?: [a-z]+="[^"<]*")*)(\/?)>/g)) {
    const between = body.slice(at, match.index)
    if (/[<>]/.test(between) || /&(?![a-z#0-9]+;)/.test(between)) throw new Error(`not well-formed: ${between}`)
    open.at(-1)!.text += decoded(between)
    at = match.index + match[0].length
    const [, closing, name, attributes, empty] = match
    if (closing) {
      if (open.pop()!.name !== name) throw new Error(`</${name}> closes another`)
      continue
    }
    const element: Element = { name: name!, attributes: Object.fromEntries([...attributes!.matchAll(/ ([a-z]+)="([^"]*)"/g)].map(([, key, value]) => [key!, decoded(value!)])), children: [], text: '' }
    open.at(-1)!.children.push(element)
    if (!empty) open.push(element)
  }
  if (open.length !== 1 || body.slice(at).trim() !== '') throw new Error('not closed')
  return root.children[0]!
}

const cases = (suites: Element) => suites.children[0]!.children.filter(({ name }) => name === 'testcase')

describe('the JUnit report', () => {
  test('a run that held has one passing case an invariant', () => {
    const suites = parse(report(doubleClick()))
    expect(suites.attributes).toMatchObject({ tests: '5', failures: '0', errors: '0', time: '0.440' })
    expect(suites.children[0]!.attributes).toMatchObject({ name: 'double-click (sim, seed 7)', timestamp: '2030-01-01T00:00:00' })
    expect(cases(suites).map(({ attributes, children }) => [attributes['name'], children.map(({ name, text }) => `${name}: ${text}`)])).toEqual([
      ['at-most-one-charge', ['system-out: 1 charge, 1 order']],
      ['same-key-same-answer', ['system-out: 2 answers']],
      ['answer-matches-ledger', ['system-out: 2 answers']],
      ['no-lost-payment', ['system-out: final 0.3 s after the charge']],
      ['within-deadline', ['system-out: 0.4 of 5.0 s']],
    ])
  })

  test('violated is a failure with its witnesses, undecided is an error', () => {
    const suites = parse(report(doubleCharge()))
    expect(suites.attributes).toMatchObject({ tests: '3', failures: '1', errors: '1' })
    const [violated, , undecided] = cases(suites)
    expect(violated!.children[0]).toMatchObject({ name: 'failure', attributes: { message: 'order-1 has 2 charges that stand: $198.00 in all', type: 'violated' } })
    expect(violated!.children[0]!.text).toContain('#5  00:00.090  bank         CHARGED $99.00')
    expect(violated!.children[0]!.text).toContain('again: resil pay --double-click --seed 7')
    expect(undecided!.children[0]).toMatchObject({ name: 'error', attributes: { message: 'undecided: the service has no look-up' } })
  })

  test('a fault that never happened is an error of its own', () => {
    const events = doubleClick()
    const suites = parse(report([...events.slice(0, -1), { ...events.at(-1)!, unfired: ['bank:latency'] }]))
    expect(suites.attributes).toMatchObject({ tests: '6', errors: '1' })
    expect(cases(suites).at(-1)!.attributes['name']).toBe('fault bank:latency')
  })

  test('whatever the texts hold, the XML is well-formed', () => {
    const nasty = `<a href="x">&'\u0000\u001b\ud800 ]]> \n\t --> 日本 🙂`
    const events = doubleCharge()
    const ending = { ...events.at(-1)!, story: nasty, again: nasty, seed: nasty, findings: [{ invariant: nasty, verdict: 'violated', looked: nasty, violations: [{ why: nasty, witness: [5, 999] }] }, { invariant: nasty, verdict: 'held', looked: nasty, violations: [] }] }
    const suites = parse(report([{ ...events[0]!, scenario: nasty }, ...events.slice(1, -1), ending]))
    expect(cases(suites)[0]!.attributes['name']).toBe(`<a href="x">&'\ufffd\ufffd\ufffd ]]> \n\t --> 日本 🙂`)
  })

  test('a run that was cut short is an error, not an empty success', () => {
    expect(parse(report(doubleClick().slice(0, 9))).attributes).toMatchObject({ tests: '1', errors: '1' })
  })
})
