import { Flags } from '@oclif/core'
import type { Subject } from '../../lab/plan.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { integer, seed } from '../flags.ts'
import { table } from '../text.ts'

/** More than all triples of faults: an enumeration beyond it would take days. */
const MOST_SCHEDULES = 10_000_000

/** A line of progress after so many schedules, on stderr. */
const PROGRESS_EVERY = 2000

export default class ExplorePayment extends BaseCommand<typeof ExplorePayment> {
  static override summary = 'every schedule of up to N faults on the payment engine, in virtual time'
  static override description =
    'Kills the engine at every crossing of its boundary and spoils every exchange of every link, alone and in pairs, and judges each run. Exit code: 0 no violation, 1 a violation, 2 usage, 3 undecided (a fault did not strike), 130 interrupted.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --depth 1',
    '<%= config.bin %> <%= command.id %> --workload double-click --json',
    '<%= config.bin %> <%= command.id %> --schedule double-click:1:bank/1/lost',
  ]
  static override flags = {
    depth: integer({ summary: 'most faults in one schedule', min: 0, max: 3, default: 2 }),
    workload: Flags.string({ summary: 'what the clients do: single, double-click, abandon, changed-body, late-retry; all when not given', multiple: true, helpValue: 'NAME' }),
    seed: seed({ summary: 'of ids and back-offs', default: 1 }),
    limit: integer({ summary: 'most schedules to run', min: 1, max: MOST_SCHEDULES, default: MOST_SCHEDULES }),
    schedule: Flags.string({ summary: 'run this one schedule and print its events', helpValue: 'TOKEN', exclusive: ['depth', 'workload', 'limit', 'seed'] }),
    subject: Flags.string({ summary: 'a module that exports `createEngine`', helpValue: 'FILE' }),
  }

  protected async work(): Promise<ExitCode> {
    const { readSubject } = await import('../../lab/subject.ts')
    const { subject } = await readSubject(this.flags.subject, undefined)
    return this.flags.schedule === undefined ? this.#explore(subject) : this.#one(this.flags.schedule, subject)
  }

  async #explore(subject: Subject): Promise<ExitCode> {
    const { again, explore } = await import('../../lab/explore.ts')
    const { workloads } = await import('../../engines/payment/workloads.ts')
    const { depth, limit } = this.flags
    const found = await explore({
      depth,
      workloads: this.flags.workload ?? Object.keys(workloads),
      seed: this.flags.seed,
      subject,
      limit,
      signal: this.interrupted,
      onSchedule: (_, schedules) => {
        if (schedules % PROGRESS_EVERY === 0 && process.stderr.isTTY && !this.flags.quiet) process.stderr.write(`\r${schedules} schedules`)
      },
    })
    for (const { token, findings } of found.convictions) {
      this.say(`VIOLATED  ${token}`)
      for (const line of table(findings.map(({ invariant, violations }) => [`  ${invariant}`, violations.map(({ why }) => why)]))) this.say(line)
      this.say(`  again: ${again(token, subject)}`)
      this.say()
      this.emit({ violated: token, findings, again: again(token, subject) })
    }
    for (const token of found.voids.slice(0, 20)) {
      this.say(`void: ${token}`)
      this.emit({ void: token })
    }
    const n = (count: number) => count.toLocaleString('en')
    const all = found.left === 0 ? 'all of them' : `${n(found.left)} more were found and not run`
    this.answer(`explored ${n(found.schedules)} schedules of up to ${depth} fault${depth === 1 ? '' : 's'} (${all}): ${n(found.violations)} violations, ${n(found.traces)} distinct traces, ${n(found.voids.length)} void`)
    const { convictions: _, voids, ...counts } = found
    this.emit({ ...counts, voids: voids.length })
    if (found.violations > 0) return 1
    return found.voids.length > 0 || this.interrupted.aborted ? 3 : 0
  }

  async #one(token: string, subject: Subject): Promise<ExitCode> {
    const { replaySchedule } = await import('../../lab/explore.ts')
    const { EXIT } = await import('../../lab/run.ts')
    const { reporters } = await import('../../catalog.ts')
    const reporter = this.flags.json ? await reporters.ndjson() : await reporters.plain()
    const reading = this.flags.quiet ? undefined : reporter.open({ write: (text) => void process.stdout.write(text), columns: process.stdout.isTTY ? process.stdout.columns : undefined })
    const tried = await replaySchedule(token, subject, { sinks: reading ? [(event) => reading.event(event)] : [], signal: this.interrupted })
    await reading?.end?.()
    if (this.flags.quiet) this.answer(tried.verdict)
    if (tried.void) this.say('void: not every fault of the schedule struck')
    return EXIT[tried.void && tried.verdict === 'held' ? 'undecided' : tried.verdict]
  }
}
