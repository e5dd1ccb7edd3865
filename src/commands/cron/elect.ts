import { Flags } from '@oclif/core'
import { ResilError } from '../../errors.ts'
import type { Mode, Plan } from '../../lab/plan.ts'
import type { Look } from '../../lab/present.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { integer, seed } from '../flags.ts'

/** Stories by their flag, and the scenario that tells each. */
const STORIES = {
  'kill-leader': { scenario: 'C-01', summary: 'the leader is killed: who fires the next tick, and when' },
  zombie: { scenario: 'C-05', summary: 'the leader stands still for three leases and comes back' },
  skew: { scenario: 'C-22', summary: 'the wall clock is set an hour ahead' },
  deploy: { scenario: 'C-70', summary: 'a deploy at nine o\'clock, old and new side by side' },
  dst: { scenario: 'C-41', summary: 'the night in which 01:30 comes twice' },
  'missed-nine': { scenario: 'C-30', summary: 'every node is down at nine o\'clock' },
} as const

export default class CronElect extends BaseCommand<typeof CronElect> {
  static override summary = 'schedulers elect a leader, lose it, and fire each tick once: on a live dashboard, with a verdict'
  static override description =
    'Starts so many scheduler processes on one database file, kills and stops their leader, and judges from the ledger and from the resource that the jobs act on: each tick takes effect once. Keys kill, pause, resume and add nodes, deploy, and skew a clock. Stories that need a certain day, or hours, run in virtual time by themselves. Exit code: 0 all invariants held, 1 one is violated, 2 usage, 3 undecided, 70 a bug of resil, 130 interrupted.'
  static override examples = ['<%= config.bin %> <%= command.id %> --nodes 3', '<%= config.bin %> <%= command.id %> --zombie', '<%= config.bin %> <%= command.id %> --scenario C-42 --json', '<%= config.bin %> <%= command.id %> --mode none --sim --seed 7']
  static override flags = {
    ...Object.fromEntries(Object.entries(STORIES).map(([name, { scenario, summary }]) => [name, Flags.boolean({ summary: `${summary} (${scenario})`, helpGroup: 'STORY' })])),
    scenario: Flags.string({ summary: 'a scenario by name or acceptance id (resil list scenarios), or a file that exports `scenario`', helpGroup: 'STORY', helpValue: 'NAME' }),
    nodes: integer({ summary: 'schedulers; as many as the scenario says when not given', min: 1, max: 9 }),
    mode: Flags.string({ summary: 'leader: one node fires; none: every node does, and the unique rows keep it to once', options: ['leader', 'none'], default: 'leader' }),
    toxic: Flags.string({ summary: 'a fault on top, e.g. resource:lost_response,times=1 (resil list toxics)', multiple: true, helpValue: 'SPEC' }),
    invariant: Flags.string({ summary: 'an invariant on top, by name or as a file that exports `invariant`', multiple: true, helpValue: 'NAME' }),
    seed: seed({ summary: 'replays latencies, ids and decisions' }),
    sim: Flags.boolean({ summary: 'in virtual time and without processes: the same seed gives the same bytes' }),
    db: Flags.string({ summary: 'database file of the nodes; a temporary one when not given', helpValue: 'FILE' }),
    report: Flags.string({ summary: 'also write junit=FILE, github, plain=FILE or ndjson=FILE', multiple: true, helpValue: 'KIND=FILE' }),
  }

  protected async work(): Promise<ExitCode> {
    const { present } = await import('../../lab/present.ts')
    const { EXIT } = await import('../../lab/run.ts')
    const plan = await this.#plan()
    const result = await present(plan, {
      look: this.#look(),
      out: process.stdout,
      input: process.stdin,
      colour: this.colour,
      reports: this.flags.report ?? [],
      signal: this.interrupted,
      interrupt: () => this.interrupt(),
    })
    return EXIT[result.verdict]
  }

  #look(): Look {
    if (this.flags.json) return 'json'
    if (this.flags.quiet) return 'quiet'
    return this.screen ? 'screen' : 'plain'
  }

  async #plan(): Promise<Plan> {
    const { readToxic } = await import('../../lab/plan.ts')
    const { loadScenario, loadToxics } = await import('../../lab/units.ts')
    const { anySeed } = await import('../../lab/run.ts')
    const flags = this.flags as typeof this.flags & Record<string, unknown>
    const stories = Object.entries(STORIES).filter(([name]) => flags[name] === true)
    const named = [...stories.map(([, { scenario }]) => scenario as string), ...(flags.scenario === undefined ? [] : [flags.scenario])]
    if (named.length > 1) throw new ResilError('TWO_STORIES', `one run tells one story, not ${named.join(' and ')}`, 'give one of them')
    const scenario = named[0] ?? 'elect'
    const { takesHours, ...chosen } = await loadScenario(scenario, 'cron')
    if ('needsSubject' in chosen && chosen.needsSubject) throw new ResilError('NEEDS_SUBJECT', `${scenario} judges a scheduler of your own`, `run it as: resil prove cron --scenario ${scenario} -- COMMAND`)
    const toxics = await loadToxics()
    const mode: Mode = flags.sim || takesHours ? 'sim' : 'wire'
    if (flags.db !== undefined && mode === 'sim') throw new ResilError('NO_FILE_IN_SIM', `--db is for processes, and ${flags.sim ? '--sim has none' : `${scenario} runs in virtual time`}`, 'leave --db out')
    const seed = flags.seed ?? anySeed()
    return {
      scenario,
      mode,
      seed,
      subject: { kind: 'reference' },
      toxics: (flags.toxic ?? []).map((text) => readToxic(text, (type) => Object.keys(toxics[type]?.attributes ?? {})[0])),
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
    const quote = (text: string) => (/^[\w./:=,@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`)
    const words = ['resil cron elect', ...(story !== undefined ? [`--${story}`] : scenario === 'elect' ? [] : [`--scenario ${quote(scenario)}`]), `--seed ${seed}`]
    if (flags.nodes !== undefined) words.push(`--nodes ${flags.nodes}`)
    if (flags.mode === 'none') words.push('--mode none')
    if (flags.sim) words.push('--sim')
    for (const toxic of flags.toxic ?? []) words.push(`--toxic ${quote(toxic)}`)
    for (const invariant of flags.invariant ?? []) words.push(`--invariant ${quote(invariant)}`)
    return words.join(' ')
  }
}
