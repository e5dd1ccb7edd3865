import { Flags } from '@oclif/core'
import { ResilError } from '../../errors.ts'
import type { Plan } from '../../lab/plan.ts'
import type { ExitCode } from '../failure.ts'
import { integer } from '../flags.ts'
import { modeOf, oneStory, onTop, readToxics, RunCommand, shellWord, storyFlags } from '../run-command.ts'

/** Stories by their flag, and the scenario that tells each. */
const STORIES = {
  'kill-leader': { scenario: 'C-01', summary: 'the leader is killed: who fires the next tick, and when' },
  zombie: { scenario: 'C-05', summary: 'the leader stands still for three leases and comes back' },
  skew: { scenario: 'C-22', summary: 'the wall clock is set an hour ahead' },
  deploy: { scenario: 'C-70', summary: 'a deploy at nine o\'clock, old and new side by side' },
  dst: { scenario: 'C-41', summary: 'the night in which 01:30 comes twice' },
  'missed-nine': { scenario: 'C-30', summary: 'every node is down at nine o\'clock' },
} as const

export default class CronElect extends RunCommand<typeof CronElect> {
  static override summary = 'schedulers elect a leader, lose it, and fire each tick once: on a live dashboard, with a verdict'
  static override description =
    'Starts so many scheduler processes on one database file, kills and stops their leader, and judges from the ledger and from the resource that the jobs act on: each tick takes effect once. Keys kill, pause, resume and add nodes, deploy, and skew a clock. Stories that need a certain day, or hours, run in virtual time by themselves. Exit code: 0 all invariants held, 1 one is violated, 2 usage, 3 undecided, 70 a bug of resil, 130 interrupted.'
  static override examples = ['<%= config.bin %> <%= command.id %> --nodes 3', '<%= config.bin %> <%= command.id %> --zombie', '<%= config.bin %> <%= command.id %> --scenario C-42 --json', '<%= config.bin %> <%= command.id %> --mode none --sim --seed 7']
  static override flags = {
    ...Object.fromEntries(Object.entries(STORIES).map(([name, { scenario, summary }]) => [name, Flags.boolean({ summary: `${summary} (${scenario})`, helpGroup: 'STORY' })])),
    ...storyFlags,
    nodes: integer({ summary: 'schedulers; as many as the scenario says when not given', min: 1, max: 9 }),
    mode: Flags.string({ summary: 'leader: one node fires; none: every node does, and the unique rows keep it to once', options: ['leader', 'none'], default: 'leader' }),
    db: Flags.string({ summary: 'database file of the nodes; a temporary one when not given', helpValue: 'FILE' }),
  }

  protected async work(): Promise<ExitCode> {
    return this.play(await this.#plan(), this.flags.report ?? [])
  }

  async #plan(): Promise<Plan> {
    const { loadScenario } = await import('../../lab/units.ts')
    const { anySeed } = await import('../../lab/run.ts')
    const flags = this.flags as typeof this.flags & Record<string, unknown>
    const stories = Object.entries(STORIES).filter(([name]) => flags[name] === true)
    const scenario = oneStory([...stories.map(([, story]) => story.scenario as string), ...(flags.scenario === undefined ? [] : [flags.scenario])]) ?? 'elect'
    const { takesHours, ...chosen } = await loadScenario(scenario, 'cron')
    if ('needsSubject' in chosen && chosen.needsSubject) throw new ResilError('NEEDS_SUBJECT', `${scenario} judges a scheduler of your own`, `run it as: resil prove cron --scenario ${scenario} -- COMMAND`)
    const mode = modeOf(scenario, flags, takesHours)
    const seed = flags.seed ?? anySeed()
    return {
      scenario,
      mode,
      seed,
      subject: { kind: 'reference' },
      toxics: await readToxics(flags.toxic ?? []),
      invariants: flags.invariant ?? [],
      nodes: flags.nodes,
      leaderless: flags.mode === 'none' ? true : undefined,
      db: flags.db,
      again: this.#again(stories[0]?.[0], scenario, seed),
    }
  }

  /** The command line that makes this run again. */
  #again(story: string | undefined, scenario: string, seed: number): string {
    const { flags } = this
    const words = ['resil cron elect', ...(story !== undefined ? [`--${story}`] : scenario === 'elect' ? [] : [`--scenario ${shellWord(scenario)}`]), `--seed ${seed}`]
    if (flags.nodes !== undefined) words.push(`--nodes ${flags.nodes}`)
    if (flags.mode === 'none') words.push('--mode none')
    if (flags.sim) words.push('--sim')
    words.push(...onTop(flags))
    return words.join(' ')
  }
}
