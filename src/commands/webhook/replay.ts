import { Flags } from '@oclif/core'
import { ResilError } from '../../errors.ts'
import type { Replay, ReplayFilter } from '../../engines/webhook/replay.ts'
import { followReplay, isOver } from '../../lab/webhook-replay.ts'
import { openWebhooks } from '../../lab/webhook-alone.ts'
import { visible } from '../../visible.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { moment } from '../flags.ts'
import { given, localFlags, placeOf, requireDatabase } from '../webhook-flags.ts'

export default class WebhookReplay extends BaseCommand<typeof WebhookReplay> {
  static override summary = 'send again what is dead, or has arrived before: a job in the database'
  static override description =
    'The same id and body, a new signature, at the pace that you give, beside live traffic. The job counts what it asked for, survives a crash, and is not asked twice under one --job. Where no engine runs on the database it is carried out here. Exit code: 0 all arrived (or the job was left to an engine, without --wait), 1 some failed again, 3 nothing matched.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --dlq --dry-run',
    '<%= config.bin %> <%= command.id %> --dlq --endpoint ep_8kq2m1x9 --since 2d --rate 50/s --wait',
    '<%= config.bin %> <%= command.id %> --id evt_01k9 --id evt_01ka --wait --json',
  ]
  static override flags = {
    ...localFlags,
    'dlq': Flags.boolean({ summary: 'only what is dead; without it also what has arrived' }),
    'endpoint': Flags.string({ summary: 'only for this endpoint', helpValue: 'ID' }),
    'tenant': Flags.string({ summary: 'only of this tenant', helpValue: 'NAME' }),
    'type': Flags.string({ summary: 'only of this type: order.created, order.*', helpValue: 'TYPE' }),
    'since': moment({ summary: 'only events from then on: 2d (ago), 2030-01-31' }),
    'until': moment({ summary: 'only events up to then' }),
    'reason': Flags.string({ summary: 'only what died of this: begins so', helpValue: 'TEXT' }),
    'id': Flags.string({ summary: 'only this event; may be given several times', multiple: true, helpValue: 'EVENT' }),
    'rate': Flags.string({ summary: 'so many a second: 50/s; as fast as lanes take them when left out', helpValue: 'N/s' }),
    'order': Flags.string({ summary: 'which go first', options: ['oldest', 'newest'], default: 'oldest' }),
    'job': Flags.string({ summary: 'name of the job: the same one again is the same job', helpValue: 'NAME' }),
    'dry-run': Flags.boolean({ summary: 'only count' }),
    'wait': Flags.boolean({ summary: 'stay until all have arrived or failed again' }),
    'by': Flags.string({ summary: 'who asks: kept with the job', default: 'operator', helpValue: 'NAME' }),
  }

  protected async work(): Promise<ExitCode> {
    const filter = this.#filter()
    const { db, job, order, wait, by } = this.flags
    const perSecond = rateOf(this.flags.rate)
    const place = placeOf(this.flags, this.config.version)
    requireDatabase(db)
    const { engine, store, clock, close } = await openWebhooks(db, place)
    try {
      if (this.flags['dry-run']) {
        const matched = await engine.replays.count(filter)
        this.answer(`${matched} would be sent again`)
        this.emit({ ok: matched > 0, matched, dryRun: true })
        return matched > 0 ? 0 : 3
      }
      const asked = await engine.replays.ask({ filter, perSecond, newestFirst: order === 'newest', who: by, ...given({ id: job }) })
      if (asked.matched === 0) {
        this.answer('nothing matched')
        this.emit({ ok: false, ...facts(asked) })
        return 3
      }
      this.say(`${asked.id}: ${asked.matched} matched${perSecond > 0 ? `, ${perSecond} a second` : ''}`)
      if (!wait) {
        this.answer(`${asked.id}  ${asked.matched} to be sent again by the engine that runs on ${visible(db)}; --wait carries it out where none does`)
        this.emit({ ok: true, ...facts(asked) })
        return 0
      }
      const start = clock.monotonic()
      const after = await followReplay({
        replays: engine.replays, store, clock, id: asked.id, db, place,
        signal: this.interrupted,
        onProgress: (replay, here) => {
          this.emit({ type: 'replay.progress', ...facts(replay), here })
          this.say(progress(replay, (clock.monotonic() - start) / 1000))
        },
      })
      if (!isOver(after)) {
        this.answer(`${after.id} goes on where an engine runs: ${after.delivered} arrived so far`)
        this.emit({ ok: false, ...facts(after) })
        return 3
      }
      const took = (clock.monotonic() - start) / 1000
      this.answer(`${after.delivered} of ${after.queued} arrived${after.failed > 0 ? `, ${after.failed} failed again` : ''}${after.state === 'done' ? '' : `; ${after.state}`}, in ${took.toFixed(1)} s`)
      this.emit({ ok: after.failed === 0, ...facts(after) })
      return after.failed === 0 ? 0 : 1
    } finally {
      await close()
    }
  }

  #filter(): ReplayFilter {
    const { dlq, endpoint, tenant, type, since, until, reason, id } = this.flags
    if (!dlq && endpoint === undefined && type === undefined && since === undefined && until === undefined && id === undefined) {
      throw new ResilError('BAD_FLAG', 'this would send everything again that ever arrived', 'say --dlq for what is dead, or which: --endpoint, --type, --since, --id')
    }
    return { dlq, ...given({ tenant, endpoint, type, since, until, reason, ids: id }) }
  }
}

function rateOf(text: string | undefined): number {
  if (text === undefined) return 0
  const [, number] = /^(\d{1,5}(?:\.\d{1,3})?)(?:\/s)?$/.exec(text) ?? []
  if (number === undefined || Number(number) < 0.01) throw new ResilError('BAD_FLAG', `--rate ${visible(text)} is no rate`, 'write 50/s')
  return Number(number)
}

function facts({ id, state, matched, queued, delivered, failed, per_second }: Replay): object {
  return { job: id, state, matched, queued, delivered, failedAgain: failed, ratePerSecond: per_second }
}

function progress({ matched, queued, delivered, failed, per_second }: Replay, seconds: number): string {
  const rate = seconds > 0 ? (delivered + failed) / seconds : 0
  const left = per_second > 0 ? Math.ceil((matched - queued) / per_second) : undefined
  return `matched ${matched}  queued ${queued}  delivered ${delivered}  failed again ${failed}  ${rate.toFixed(1)}/s${per_second > 0 ? ` of ${per_second}/s asked` : ''}${left === undefined ? '' : `  ${left} s left`}`
}
