import { Flags } from '@oclif/core'
import * as catalog from '../catalog.ts'
import type { Plan } from '../lab/plan.ts'
import type { ExitCode } from './failure.ts'
import { modeOf, oneStory, onTop, readToxics, RunCommand, shellWord, storyFlags } from './run-command.ts'

/** Files of scenarios; one that has no acceptance id is a story under its own name. */
const NAMED = Object.keys(catalog.scenarios.webhook).filter((name) => !name.startsWith('w-'))

/** Stories by their flag, and the scenario that tells each. */
const STORIES: Readonly<Record<string, { scenario: string; summary: string }>> = {
  ...Object.fromEntries(NAMED.map((name) => [name, { scenario: name, summary: `the story ${name}` }])),
  'down-2h': { scenario: 'W-DOWN-2H', summary: 'a customer is down for two hours: nothing is lost, and all arrives within minutes of its return (W-DOWN-2H)' },
}
const FIRST = 'one-customer-down'

export default class Webhook extends RunCommand<typeof Webhook> {
  static override summary = 'one story of webhooks on a live dashboard, with a verdict'
  static override description =
    'Drives the webhook engine through a hostile world of customers and judges what happened from their inboxes: nothing is lost, nothing comes again after it was delivered, every signature verifies. Keys select a customer, take it down, disable its endpoint, and send the dead again. Stories of hours run in virtual time by themselves. Exit code: 0 all invariants held, 1 one is violated, 2 usage, 3 undecided, 70 a bug of resil, 130 interrupted.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --down-2h', '<%= config.bin %> <%= command.id %> --scenario W-500 --seed 7 --json']
  static override flags = {
    ...Object.fromEntries(Object.entries(STORIES).map(([name, { summary }]) => [name, Flags.boolean({ summary, helpGroup: 'STORY' })])),
    ...storyFlags,
    db: Flags.string({ summary: 'database file of the engine; a temporary one when not given', helpValue: 'FILE' }),
  }

  protected async work(): Promise<ExitCode> {
    return this.play(await this.#plan(), this.flags.report ?? [])
  }

  async #plan(): Promise<Plan> {
    const { loadScenario } = await import('../lab/units.ts')
    const { anySeed } = await import('../lab/run.ts')
    const flags = this.flags as typeof this.flags & Record<string, unknown>
    const stories = Object.entries(STORIES).filter(([name]) => flags[name] === true)
    const scenario = oneStory([...stories.map(([, story]) => story.scenario), ...(flags.scenario === undefined ? [] : [flags.scenario])]) ?? FIRST
    const { takesHours } = await loadScenario(scenario, 'webhook')
    const mode = modeOf(scenario, flags, takesHours)
    const seed = flags.seed ?? anySeed()
    return {
      scenario,
      mode,
      seed,
      subject: { kind: 'reference' },
      toxics: await readToxics(flags.toxic ?? []),
      invariants: flags.invariant ?? [],
      db: flags.db,
      again: this.#again(stories[0]?.[0], scenario, seed),
    }
  }

  /** The command line that makes this run again. */
  #again(story: string | undefined, scenario: string, seed: number): string {
    const { flags } = this
    const words = ['resil webhook', ...(story !== undefined ? [`--${story}`] : scenario === FIRST ? [] : [`--scenario ${shellWord(scenario)}`]), `--seed ${seed}`]
    if (flags.sim) words.push('--sim')
    words.push(...onTop(flags))
    return words.join(' ')
  }
}
