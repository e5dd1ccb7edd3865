import { Flags } from '@oclif/core'
import * as catalog from '../catalog.ts'
import { ResilError } from '../errors.ts'
import type { Plan, Subject } from '../lab/plan.ts'
import type { ExitCode } from './failure.ts'
import { amount, integer } from './flags.ts'
import { oneStory, onTop, readToxics, RunCommand, shellWord, storyFlags } from './run-command.ts'

/** Scenarios that are stories; the others are acceptance ids, for --scenario. */
const STORIES = Object.keys(catalog.scenarios.payment).filter((name) => !/^[a-z]\d/.test(name))

export default class Pay extends RunCommand<typeof Pay> {
  static override summary = 'one payment story on a live dashboard, with a verdict'
  static override description =
    'Drives the payment engine, or your own payment service, through a hostile world and judges what happened from the ledger of the bank. Exit code: 0 all invariants held, 1 one is violated, 2 usage, 3 undecided, 70 a bug of resil, 130 interrupted.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --double-click',
    '<%= config.bin %> <%= command.id %> --double-click --seed 7 --json',
    '<%= config.bin %> <%= command.id %> --double-click --subject http://127.0.0.1:3000',
    '<%= config.bin %> <%= command.id %> --scenario U6 --sim',
    '<%= config.bin %> <%= command.id %> --black-friday --compare --sim',
  ]
  static override flags = {
    ...Object.fromEntries(STORIES.map((name) => [name, Flags.boolean({ summary: `the story ${name}`, helpGroup: 'STORY' })])),
    ...storyFlags,
    compare: Flags.boolean({ summary: 'the same trouble under several policies, side by side: of --black-friday and --cascade', exclusive: ['subject', 'db', 'report'] }),
    clicks: integer({ summary: 'how often the customer clicks', min: 1, max: 100, default: 2 }),
    amount: amount({ summary: 'the price', default: 9900, defaultHelp: async () => '99.00' }),
    subject: Flags.string({ summary: 'your own payment service by URL, or a module that exports `createEngine`', helpValue: 'URL' }),
    config: Flags.string({ summary: 'how your service is spoken to (default resil.config.yaml)', helpValue: 'FILE', dependsOn: ['subject'] }),
    db: Flags.string({ summary: 'database file of the engine; a temporary one when not given', helpValue: 'FILE' }),
  }

  protected async work(): Promise<ExitCode> {
    const plan = await this.#plan()
    return this.flags.compare ? this.#compare(plan) : this.play(plan, this.flags.report ?? [])
  }

  /** The exit code is of the last policy, which is ours: that the others break promises is what the table is for. */
  async #compare(plan: Plan): Promise<ExitCode> {
    const { comparisons, tableOf } = await import('../engines/payment/compare.ts')
    const { compare } = await import('../lab/compare.ts')
    const { EXIT } = await import('../lab/run.ts')
    const comparison = comparisons[plan.scenario]
    if (!comparison) throw new ResilError('NOTHING_TO_COMPARE', `${plan.scenario} is told under one policy only`, `these can be compared: ${Object.keys(comparisons).join(', ')}`)
    const rows = []
    for await (const row of compare(plan, comparison, this.interrupted)) {
      rows.push(row)
      if (this.flags.json) process.stdout.write(`${JSON.stringify({ type: 'policy.compared', policy: row.policy, ...row.figures, broken: row.broken })}\n`)
      else if (!this.flags.quiet) process.stderr.write(`${rows.length} of ${comparison.policies.length}: ${row.policy}\n`)
    }
    const ours = rows.at(-1)!.result.verdict
    if (this.flags.json) process.stdout.write(`${JSON.stringify({ type: 'comparison.ended', scenario: comparison.scenario, seed: plan.seed, verdict: ours, exit: EXIT[ours], again: plan.again })}\n`)
    else process.stdout.write(`${[...tableOf(comparison, rows), '', plan.again].join('\n')}\n`)
    return EXIT[ours]
  }

  async #plan(): Promise<Plan> {
    const { loadScenario } = await import('../lab/units.ts')
    const { anySeed } = await import('../lab/run.ts')
    const { readSubject } = await import('../lab/subject.ts')
    const flags = this.flags as typeof this.flags & Record<string, unknown>
    const scenario = oneStory([...STORIES.filter((name) => flags[name] === true), ...(flags.scenario === undefined ? [] : [flags.scenario])]) ?? 'single'
    await loadScenario(scenario, 'payment')
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
      toxics: await readToxics(flags.toxic ?? []),
      invariants: flags.invariant ?? [],
      options: { clicks: flags.clicks, amountMinor: flags.amount, currency: 'USD' },
      db: flags.db,
      again: this.#again(scenario, seed, subject),
    }
  }

  /** The command line that makes this run again. */
  #again(scenario: string, seed: number, subject: Subject): string {
    const { flags } = this
    const words = ['resil pay', STORIES.includes(scenario) ? `--${scenario}` : `--scenario ${shellWord(scenario)}`, `--seed ${seed}`]
    if (flags.compare) words.push('--compare')
    if (flags.sim) words.push('--sim')
    if (flags.clicks !== 2) words.push(`--clicks ${flags.clicks}`)
    if (flags.amount !== 9900) words.push(`--amount ${(flags.amount / 100).toFixed(2)}`)
    words.push(...onTop(flags))
    if (subject.kind !== 'reference') words.push(`--subject ${shellWord(flags.subject!)}`)
    if (flags.config !== undefined) words.push(`--config ${shellWord(flags.config)}`)
    return words.join(' ')
  }
}
