import { Flags } from '@oclif/core'
import { ResilError } from '../../errors.ts'
import type { Plan } from '../../lab/plan.ts'
import type { ExitCode } from '../failure.ts'
import { duration, integer } from '../flags.ts'
import { runFlags, RunCommand, shellWord } from '../run-command.ts'

export default class ProveCron extends RunCommand<typeof ProveCron> {
  static override summary = 'whether a scheduler of your own takes effect once for each slot, while its copies are killed and stopped'
  static override description =
    'Starts COMMAND so many times. Each copy finds the resource that its job shall act on at $RESIL_RESOURCE_URL: one POST is one effect; with an Idempotency-Key a repeat is told apart. What the resource saw is compared with the slots of the expression: missed, doubled, or at no slot at all. Exit code: 0 each slot once, 1 not, 2 usage, 3 undecided, 130 interrupted.'
  static override examples = ["<%= config.bin %> <%= command.id %> --expr '*/2 * * * * *' -- node scheduler.js", "<%= config.bin %> <%= command.id %> --scenario C-82 --copies 3 -- node scheduler.js"]
  static override strict = false
  static override flags = {
    expr: Flags.string({ summary: 'when your scheduler fires', default: '*/2 * * * * *', helpValue: 'EXPR' }),
    tz: Flags.string({ summary: 'the time zone of the expression', default: 'UTC', helpValue: 'ZONE' }),
    copies: integer({ summary: 'how often it is started', min: 1, max: 9, default: 3 }),
    tolerance: duration({ summary: 'how late an effect may be; the time between two slots when not given' }),
    scenario: Flags.string({ summary: 'C-80 to C-83 (resil list scenarios), or a file that exports `scenario`', default: 'C-80', helpValue: 'NAME' }),
    port: integer({ summary: 'where the resource listens; any free one when not given', min: 1, max: 65_535 }),
    ...runFlags,
  }

  protected async work(): Promise<ExitCode> {
    return this.play(await this.#plan(), this.flags.report ?? [])
  }

  async #plan(): Promise<Plan> {
    const { flags } = this
    const { loadScenario } = await import('../../lab/units.ts')
    const { anySeed } = await import('../../lab/run.ts')
    const { parseCrontab } = await import('../../engines/cron/crontab.ts')
    const { SystemClock } = await import('../../clock.ts')
    const argv = this.rest
    if (argv.length === 0) throw new ResilError('NO_COMMAND', 'there is no scheduler to prove', 'put its command behind --, for example: resil prove cron -- node scheduler.js')
    const scenario = await loadScenario(flags.scenario, 'cron')
    if (!('needsSubject' in scenario && scenario.needsSubject)) throw new ResilError('NOT_A_PROOF', `${flags.scenario} plays with our own scheduler`, `run it as: resil cron elect --scenario ${flags.scenario}`)
    const crontab = parseCrontab(flags.expr, { zone: flags.tz })
    const periodMs = shortestPeriod((after) => crontab.next(after), new SystemClock().now())
    if (!(periodMs <= LONGEST_PERIOD_MS)) throw new ResilError('TOO_RARE', `"${flags.expr}" fires less than once in ${LONGEST_PERIOD_MS / 1000} s`, 'prove your scheduler with an expression that fires every few seconds')
    const seed = flags.seed ?? anySeed()
    const words = ['resil prove cron', `--expr ${shellWord(flags.expr)}`, ...(flags.tz === 'UTC' ? [] : [`--tz ${flags.tz}`]), `--copies ${flags.copies}`, `--scenario ${shellWord(flags.scenario)}`, `--seed ${seed}`, ...(flags.tolerance === undefined ? [] : [`--tolerance ${flags.tolerance}ms`]), '--', ...argv.map(shellWord)]
    return {
      scenario: flags.scenario,
      mode: 'wire',
      seed,
      subject: { kind: 'command', argv, expr: flags.expr, zone: flags.tz, toleranceMs: flags.tolerance ?? periodMs, periodMs },
      toxics: [],
      invariants: [],
      nodes: flags.copies,
      ports: flags.port === undefined ? undefined : { resource: flags.port },
      again: words.join(' '),
    }
  }
}

/** A proof takes about ten slots: they must come soon. */
const LONGEST_PERIOD_MS = 15_000
/** Slots that are looked at for the shortest time between two. */
const LOOKED_AT = 20

function shortestPeriod(next: (afterMs: number) => number | null, now: number): number {
  let shortest = Number.POSITIVE_INFINITY
  let before = next(now)
  for (let n = 0; n < LOOKED_AT && before !== null; n++) {
    const slot = next(before)
    if (slot === null) break
    shortest = Math.min(shortest, slot - before)
    before = slot
  }
  return shortest
}
