import type { Event } from '../../events.ts'
import type { Finding } from '../../invariant.ts'
import type { Ending, Reporter } from '../reporter.ts'
import { Witnesses } from '../reporter.ts'
import { plainLine } from './plain.ts'

/**
 * JUnit's XML: one suite a run, one case an invariant.
 *
 * | verdict   | element |
 * |-----------|---------|
 * | held      | the case alone, what it looked at as its output |
 * | violated  | `failure`, each violation with the events that show it |
 * | undecided | `error`: a run that proved nothing must not be green |
 *
 * A fault that never happened, and a run that was cut short, are cases of their own, with `error`.
 */
export const reporter: Reporter = {
  summary: "JUnit's XML, one case an invariant; for continuous integration",
  open({ write }) {
    const witnesses = new Witnesses()
    let suite = 'resil'
    let at = 0
    let t = 0
    let ending: Ending | undefined
    return {
      event(event) {
        witnesses.on(event)
        t = event.t
        if (event.type === 'run.started') {
          suite = `${event['scenario']} (${event['mode']}, seed ${event['seed']})`
          at = event.at
        }
        if (event.type === 'run.ended') ending = event as Event & Ending
      },
      end() {
        const cases = ending ? casesOf(ending, (seq) => witnesses.get(seq)) : [{ name: 'run', kind: 'error' as const, message: 'the run was cut short: there is no verdict', body: '' }]
        const seconds = ((ending?.ms ?? t) / 1000).toFixed(3)
        const of = (kind: Case['kind']) => cases.filter((one) => one.kind === kind).length
        const totals = `tests="${cases.length}" failures="${of('failure')}" errors="${of('error')}" skipped="0" time="${seconds}"`
        write('<?xml version="1.0" encoding="UTF-8"?>\n')
        write(`<testsuites name="resil" ${totals}>\n  <testsuite name="${attribute(suite)}" ${totals} timestamp="${new Date(at).toISOString().slice(0, 19)}">\n`)
        if (ending) write(`    <properties>\n      <property name="seed" value="${attribute(String(ending.seed))}"/>\n      <property name="again" value="${attribute(ending.again)}"/>\n    </properties>\n`)
        for (const { name, kind, message, body } of cases) {
          write(`    <testcase classname="${attribute(suite)}" name="${attribute(name)}" time="0.000">\n`)
          if (kind === 'held') write(`      <system-out>${text(message)}</system-out>\n`)
          else write(`      <${kind} message="${attribute(message)}" type="${kind === 'failure' ? 'violated' : 'undecided'}">${text(body)}</${kind}>\n`)
          write('    </testcase>\n')
        }
        if (ending) write(`    <system-out>${text(`${ending.story}\nagain: ${ending.again}`)}</system-out>\n`)
        write('  </testsuite>\n</testsuites>\n')
      },
    }
  },
}

interface Case {
  name: string
  kind: 'held' | 'failure' | 'error'
  message: string
  body: string
}

function casesOf({ findings, unfired, story, again }: Ending, quote: (seq: number) => Event | undefined): Case[] {
  return [
    ...findings.map((finding): Case => {
      if (finding.verdict === 'held') return { name: finding.invariant, kind: 'held', message: finding.looked, body: '' }
      if (finding.verdict === 'undecided') return { name: finding.invariant, kind: 'error', message: `undecided: ${finding.looked}`, body: again }
      return { name: finding.invariant, kind: 'failure', message: finding.violations[0]?.why ?? finding.looked, body: [story, ...witnessed(finding, quote), `again: ${again}`].join('\n') }
    }),
    ...unfired.map((fault): Case => ({ name: `fault ${fault}`, kind: 'error', message: `${fault} never happened: a fault that does not strike proves nothing`, body: again })),
  ]
}

function witnessed({ violations }: Finding, quote: (seq: number) => Event | undefined): string[] {
  return violations.flatMap(({ why, witness }) => [
    why,
    ...witness.map((seq) => {
      const seen = quote(seq)
      return `  #${seq}  ${(seen && plainLine(seen)) ?? '(no longer remembered)'}`
    }),
  ])
}

/** XML 1.0 has no way to write these, escaped or not. */
// oxlint-disable-next-line no-control-regex -- they are what is looked for
const UNWRITABLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g

function text(raw: string): string {
  return raw.replace(UNWRITABLE, '\ufffd').replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

function attribute(raw: string): string {
  return text(raw).replaceAll('"', '&quot;').replaceAll('\n', '&#10;').replaceAll('\r', '&#13;').replaceAll('\t', '&#9;')
}
