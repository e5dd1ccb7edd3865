import { Args, Flags } from '@oclif/core'
import { ResilError } from '../../errors.ts'
import { DAYS, GAPS, OVERLAPS } from '../../engines/cron/crontab.ts'
import type { Job, Spec } from '../../engines/cron/spec.ts'
import { completeSpec, crontabOf, DEFAULTS, MISFIRES, OVERLAP_POLICIES } from '../../engines/cron/spec.ts'
import { visible } from '../../visible.ts'
import { BaseCommand } from '../base.ts'
import { cronFlags, jobWords, localTime, utc, withCron } from '../cron-flags.ts'
import type { ExitCode } from '../failure.ts'
import { duration, integer } from '../flags.ts'

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const

export default class CronAdd extends BaseCommand<typeof CronAdd> {
  static override summary = 'a new schedule, or a new generation of one'
  static override description =
    'The job is a command behind --, a request (--http), or a module with a function called run (--module). It gets its tick key, fencing token, attempt and last checkpoint in its environment (RESIL_TICK_KEY, RESIL_FENCING_TOKEN, ...) or as headers. Slots that were due before keep the definition that they were due under.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> digest "0 9 * * *" --tz Europe/Berlin -- ./send-digest.sh',
    '<%= config.bin %> <%= command.id %> reports @hourly --misfire all --http http://127.0.0.1:3000/reports',
    '<%= config.bin %> <%= command.id %> cleanup "*/15 * * * *" --overlap skip -- sh -c "psql -f cleanup.sql"',
  ]
  static override strict = false
  static override args = {
    name: Args.string({ description: 'what to call it', required: true }),
    expr: Args.string({ description: 'when, in quotes; see resil cron next', required: true }),
  }
  static override flags = {
    ...cronFlags,
    tz: Flags.string({ summary: 'time zone, by its IANA name', default: 'UTC', helpValue: 'ZONE' }),
    overlap: Flags.string({ summary: 'while another run is under way', options: [...OVERLAP_POLICIES], default: DEFAULTS.overlap }),
    misfire: Flags.string({ summary: 'slots that were missed', options: [...MISFIRES], default: DEFAULTS.misfire }),
    grace: duration({ summary: 'later than this a slot counts as missed', default: DEFAULTS.graceMs, defaultHelp: async () => '1m' }),
    window: duration({ summary: 'later than this it is never made up for', default: DEFAULTS.windowMs, defaultHelp: async () => '24h' }),
    timeout: duration({ summary: 'one attempt may take this long', default: DEFAULTS.timeoutMs, defaultHelp: async () => '1h' }),
    attempts: integer({ summary: 'attempts in all', min: 1, max: 1000, default: DEFAULTS.attempts }),
    'min-build': integer({ summary: 'only nodes of this build or a newer one run it', min: 0, max: Number.MAX_SAFE_INTEGER, default: 0 }),
    gap: Flags.string({ summary: 'what becomes of times that clocks leave out', options: [...GAPS] }),
    'overlap-time': Flags.string({ summary: 'which of the times that clocks show twice', options: [...OVERLAPS] }),
    days: Flags.string({ summary: 'with a day of month and a day of week: one of them, or both', options: [...DAYS] }),
    http: Flags.string({ summary: 'the job is a request to this URL', helpValue: 'URL' }),
    method: Flags.string({ summary: 'its method (default POST)', options: [...METHODS], dependsOn: ['http'] }),
    body: Flags.string({ summary: 'its body', dependsOn: ['http'] }),
    module: Flags.string({ summary: 'the job is this module', helpValue: 'FILE' }),
  }

  protected async work(): Promise<ExitCode> {
    const { name, expr } = this.args
    const { tz, grace, window, timeout, attempts } = this.flags
    const given: Partial<Spec> & Pick<Spec, 'expr' | 'job'> = {
      expr,
      zone: tz,
      job: this.#job(),
      overlap: this.flags.overlap as Spec['overlap'],
      misfire: this.flags.misfire as Spec['misfire'],
      graceMs: grace,
      windowMs: window,
      timeoutMs: timeout,
      attempts,
      ...(this.flags.gap === undefined ? {} : { gap: this.flags.gap as Spec['gap'] }),
      ...(this.flags['overlap-time'] === undefined ? {} : { overlapTime: this.flags['overlap-time'] as Spec['overlapTime'] }),
      ...(this.flags.days === undefined ? {} : { days: this.flags.days as Spec['days'] }),
    }
    const spec = completeSpec(name, given) // before a file is made of it
    return withCron(this.flags, async ({ registry, clock }): Promise<ExitCode> => {
      const generation = await registry.put(name, given, this.flags['min-build'])
      const now = clock.now()
      const crontab = crontabOf(name, spec, now)
      const next = crontab.next(now)
      const notes = crontab.lint(now)
      this.emit({ ok: true, name, generation, next, notes })
      this.answer(`${name}${generation > 1 ? `, generation ${generation}` : ''}: ${jobWords(spec.job)}, next ${next === null ? 'never' : `${localTime(next, crontab.zone)}${crontab.zone === 'UTC' ? '' : ` (${utc(next)})`}`}`)
      for (const note of notes) this.say(`note: ${note}`)
      return 0
    })
  }

  #job(): Job {
    const { http, module, method = 'POST', body = '' } = this.flags
    const kinds = [http, module, this.rest.length > 0 ? 'command' : undefined].filter((kind) => kind !== undefined)
    if (kinds.length !== 1) throw new ResilError('BAD_JOB', kinds.length === 0 ? 'there is no job' : 'there is more than one job', 'give one of: a command behind --, --http URL, --module FILE')
    if (module !== undefined) return { kind: 'module', file: module }
    if (http === undefined) return { kind: 'command', argv: this.rest }
    const url = URL.canParse(http) ? new URL(http) : undefined
    if (!url || !/^https?:$/.test(url.protocol) || url.username !== '' || url.hash !== '') throw new ResilError('BAD_JOB', `"${visible(http)}" is no URL for a request`, 'give http:// or https://, a host and a path')
    return { kind: 'http', service: url.origin, method, path: `${url.pathname}${url.search}`, headers: body === '' ? {} : { 'content-type': 'application/json' }, body }
  }
}
