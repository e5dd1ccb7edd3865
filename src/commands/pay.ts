import { Flags } from '@oclif/core'
import * as catalog from '../catalog.ts'
import { ResilError } from '../errors.ts'
import type { Plan, Subject } from '../lab/plan.ts'
import type { Look } from '../lab/present.ts'
import { BaseCommand } from './base.ts'
import type { ExitCode } from './failure.ts'
import { amount, integer, seed } from './flags.ts'

/** Scenarios that are stories; the others are acceptance ids, for --scenario. */
const STORIES = Object.keys(catalog.scenarios.payment).filter((name) => !/^[a-z]\d/.test(name))

export default class Pay extends BaseCommand<typeof Pay> {
  static override summary = 'one payment story on a live dashboard, with a verdict'
  static override description =
    'Drives the payment engine, or your own payment service, through a hostile world and judges what happened from the ledger of the bank. Exit code: 0 all invariants held, 1 one is violated, 2 usage, 3 undecided, 70 a bug of resil, 130 interrupted.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --double-click',
    '<%= config.bin %> <%= command.id %> --double-click --seed 7 --json',
    '<%= config.bin %> <%= command.id %> --double-click --subject http://127.0.0.1:3000',
    '<%= config.bin %> <%= command.id %> --scenario U6 --sim',
  ]
  static override flags = {
    ...Object.fromEntries(STORIES.map((name) => [name, Flags.boolean({ summary: `the story ${name}`, helpGroup: 'STORY' })])),
    scenario: Flags.string({ summary: 'a scenario by name or acceptance id (resil list scenarios), or a file that exports `scenario`', helpGroup: 'STORY', helpValue: 'NAME' }),
    clicks: integer({ summary: 'how often the customer clicks', min: 1, max: 100, default: 2 }),
    amount: amount({ summary: 'the price', default: 9900, defaultHelp: async () => '99.00' }),
    toxic: Flags.string({ summary: 'a fault on top, e.g. bank:latency=200ms,jitter=50ms (resil list toxics)', multiple: true, helpValue: 'SPEC' }),
    invariant: Flags.string({ summary: 'an invariant on top, by name or as a file that exports `invariant`', multiple: true, helpValue: 'NAME' }),
    seed: seed({ summary: 'replays latencies, ids and decisions' }),
    sim: Flags.boolean({ summary: 'in virtual time and without sockets: the same seed gives the same bytes' }),
    subject: Flags.string({ summary: 'your own payment service by URL, or a module that exports `createEngine`', helpValue: 'URL' }),
    config: Flags.string({ summary: 'how your service is spoken to (default resil.config.yaml)', helpValue: 'FILE', dependsOn: ['subject'] }),
    db: Flags.string({ summary: 'database file of the engine; a temporary one when not given', helpValue: 'FILE' }),
    report: Flags.string({ summary: 'also write junit=FILE, github, plain=FILE or ndjson=FILE', multiple: true, helpValue: 'KIND=FILE' }),
  }

  protected async work(): Promise<ExitCode> {
    const { present } = await import('../lab/present.ts')
    const { EXIT } = await import('../lab/run.ts')
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
    const { readToxic } = await import('../lab/plan.ts')
    const { loadScenario, loadToxics } = await import('../lab/units.ts')
    const { anySeed } = await import('../lab/run.ts')
    const { readSubject } = await import('../lab/subject.ts')
    const flags = this.flags as typeof this.flags & Record<string, unknown>
    const stories = STORIES.filter((name) => flags[name] === true)
    const named = [...stories, ...(flags.scenario === undefined ? [] : [flags.scenario])]
    if (named.length > 1) throw new ResilError('TWO_STORIES', `one run tells one story, not ${named.join(' and ')}`, 'give one of them')
    const scenario = named[0] ?? 'single'
    await loadScenario(scenario)
    const toxics = await loadToxics()
    const mode = flags.sim ? 'sim' : 'wire'
    const seed = flags.seed ?? anySeed()
    const { subject, face, ports } = await readSubject(flags.subject, flags.config)
    return {
      scenario,
      mode,
      seed,
      subject,
      face,
      ports,
      toxics: (flags.toxic ?? []).map((text) => readToxic(text, (type) => Object.keys(toxics[type]?.attributes ?? {})[0])),
      invariants: flags.invariant ?? [],
      options: { clicks: flags.clicks, amountMinor: flags.amount, currency: 'USD' },
      db: flags.db,
      again: this.#again(scenario, seed, subject),
    }
  }

  /** The command line that makes this run again. */
  #again(scenario: string, seed: number, subject: Subject): string {
    const { flags } = this
    const quote = (text: string) => (/^[\w./:=,@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`)
    const words = ['resil pay', STORIES.includes(scenario) ? `--${scenario}` : `--scenario ${quote(scenario)}`, `--seed ${seed}`]
    if (flags.sim) words.push('--sim')
    if (flags.clicks !== 2) words.push(`--clicks ${flags.clicks}`)
    if (flags.amount !== 9900) words.push(`--amount ${(flags.amount / 100).toFixed(2)}`)
    for (const toxic of flags.toxic ?? []) words.push(`--toxic ${quote(toxic)}`)
    for (const invariant of flags.invariant ?? []) words.push(`--invariant ${quote(invariant)}`)
    if (subject.kind !== 'reference') words.push(`--subject ${quote(flags.subject!)}`)
    if (flags.config !== undefined) words.push(`--config ${quote(flags.config)}`)
    return words.join(' ')
  }
}
