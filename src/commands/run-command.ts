/** What commands share that run a plan: the faults and judges on top, the seed, the reports, the look, and the verdict as exit code. */
import type { Command } from '@oclif/core'
import { Flags } from '@oclif/core'
import { ResilError } from '../errors.ts'
import type { Mode, Plan } from '../lab/plan.ts'
import type { ToxicSpec } from '../scenario.ts'
import { BaseCommand } from './base.ts'
import type { ExitCode } from './failure.ts'
import { seed } from './flags.ts'

/** Of every run. */
export const runFlags = {
  seed: seed({ summary: 'replays latencies, ids and decisions' }),
  report: Flags.string({ summary: 'also write junit=FILE, github, plain=FILE or ndjson=FILE', multiple: true, helpValue: 'KIND=FILE' }),
}

/** Of a run of a story, by its scenario. */
export const storyFlags = {
  ...runFlags,
  scenario: Flags.string({ summary: 'a scenario by name or acceptance id (resil list scenarios), or a file that exports `scenario`', helpGroup: 'STORY', helpValue: 'NAME' }),
  toxic: Flags.string({ summary: 'a fault on top, e.g. bank:latency=200ms,jitter=50ms (resil list toxics)', multiple: true, helpValue: 'SPEC' }),
  invariant: Flags.string({ summary: 'an invariant on top, by name or as a file that exports `invariant`', multiple: true, helpValue: 'NAME' }),
  sim: Flags.boolean({ summary: 'in virtual time and without sockets: the same seed gives the same bytes' }),
}

export abstract class RunCommand<C extends typeof Command> extends BaseCommand<C> {
  /** Runs the plan and shows it as the flags and the terminal say. */
  protected async play(plan: Plan, reports: readonly string[]): Promise<ExitCode> {
    const { present } = await import('../lab/present.ts')
    const { EXIT } = await import('../lab/run.ts')
    const result = await present(plan, {
      look: this.flags['json'] ? 'json' : this.flags['quiet'] ? 'quiet' : this.screen ? 'screen' : 'plain',
      out: process.stdout,
      input: process.stdin,
      colour: this.colour,
      reports,
      signal: this.interrupted,
      interrupt: () => this.interrupt(),
    })
    return EXIT[result.verdict]
  }
}

/** The one story that was asked for, by flag or by name. Throws TWO_STORIES. */
export function oneStory(named: readonly string[]): string | undefined {
  if (named.length > 1) throw new ResilError('TWO_STORIES', `one run tells one story, not ${named.join(' and ')}`, 'give one of them')
  return named[0]
}

/** Whether a story is told in virtual time: asked for, or because it takes hours. Throws NO_FILE_IN_SIM. */
export function modeOf(scenario: string, { sim, db }: { sim?: boolean; db?: string | undefined }, takesHours: boolean | undefined): Mode {
  const mode = sim || takesHours ? 'sim' : 'wire'
  if (db !== undefined && mode === 'sim') throw new ResilError('NO_FILE_IN_SIM', `--db is for processes, and ${sim ? '--sim has none' : `${scenario} runs in virtual time`}`, 'leave --db out')
  return mode
}

/** The words of a command line for what is on top of a story. */
export function onTop({ toxic = [], invariant = [] }: { toxic?: readonly string[] | undefined; invariant?: readonly string[] | undefined }): string[] {
  return [...toxic.map((spec) => `--toxic ${shellWord(spec)}`), ...invariant.map((name) => `--invariant ${shellWord(name)}`)]
}

/** Throws BAD_TOXIC. */
export async function readToxics(texts: readonly string[]): Promise<ToxicSpec[]> {
  const { readToxic } = await import('../lab/plan.ts')
  const { loadToxics } = await import('../lab/units.ts')
  const toxics = await loadToxics()
  return texts.map((text) => readToxic(text, (type) => Object.keys(toxics[type]?.attributes ?? {})[0]))
}

/** A word as a shell takes it. */
export function shellWord(text: string): string {
  return /^[\w./:=,@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
