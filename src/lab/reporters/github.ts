import type { Event } from '../../events.ts'
import { visible } from '../../visible.ts'
import type { Ending, Reporter } from '../reporter.ts'
import { Witnesses } from '../reporter.ts'
import { plainLine } from './plain.ts'

/** Annotations that GitHub shows for one step and kind; more are silently dropped there, so the rest is counted in the last one. */
const ANNOTATIONS = 9

/**
 * Workflow commands of GitHub Actions: `::error` for what was violated, `::warning` for what is undecided, `::notice` for what the run came to.
 * Source: GitHub's "Workflow commands for GitHub Actions"; escapes as its toolkit writes them (@actions/core, command.ts).
 */
export const reporter: Reporter = {
  summary: 'annotations of GitHub Actions: errors, warnings, and the story as a notice',
  open({ write }) {
    const witnesses = new Witnesses()
    let scenario = 'resil'
    let ended = false
    const say = (command: 'error' | 'warning' | 'notice', title: string, message: string) => write(`::${command} title=${property(title)}::${data(message)}\n`)
    const few = (command: 'error' | 'warning', all: readonly { title: string; message: string }[]) => {
      for (const { title, message } of all.slice(0, ANNOTATIONS)) say(command, title, message)
      if (all.length > ANNOTATIONS) say(command, scenario, `and ${all.length - ANNOTATIONS} more: see the report`)
    }
    return {
      event(event) {
        witnesses.on(event)
        if (event.type === 'run.started') scenario = visible(`resil ${event['scenario']}`)
        if (event.type !== 'run.ended') return
        ended = true
        const { verdict, story, findings, unfired, again } = event as Event & Ending
        const quoted = (seq: number) => {
          const seen = witnesses.get(seq)
          return `#${seq}  ${(seen && plainLine(seen)) ?? '(no longer remembered)'}`
        }
        few('error', findings.flatMap(({ invariant, violations }) => violations.map(({ why, witness }) => ({ title: `${invariant} violated`, message: [why, ...witness.map(quoted), `again: ${again}`].join('\n') }))))
        few('warning', [
          ...findings.filter((finding) => finding.verdict === 'undecided').map(({ invariant, looked }) => ({ title: `${invariant} undecided`, message: looked })),
          ...unfired.map((fault) => ({ title: `${fault} never happened`, message: `a fault that does not strike proves nothing\nagain: ${again}` })),
        ])
        say('notice', `${scenario}: ${verdict}`, `${story}\nagain: ${again}`)
      },
      end() {
        if (!ended) say('error', scenario, 'the run was cut short: there is no verdict')
      },
    }
  },
}

const data = (raw: string) => raw.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
const property = (raw: string) => data(raw).replaceAll(':', '%3A').replaceAll(',', '%2C')
