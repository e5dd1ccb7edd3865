import { Flags } from '@oclif/core'
import { SystemClock } from '../../clock.ts'
import { ResilError } from '../../errors.ts'
import { visible } from '../../visible.ts'
import { Random } from '../../random.ts'
import { DRAIN_MS } from '../../lab/node-channel.ts'
import { serveEngine } from '../../lab/serve.ts'
import { openLog, untilTold } from '../../lab/standing.ts'
import { loadEngine } from '../../lab/units.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { duration, paymentsDb, port, serviceUrl } from '../flags.ts'

/** A shorter deadline leaves the bank no time after fraud and two commits; a longer one would outlast the drain. */
const SHORTEST_DEADLINE_MS = 2000
const LONGEST_DEADLINE_MS = 7000

/** Half of the time in which the same bank key may be sent again: a longer settle time would leave no room for that. */
const LONGEST_SETTLE_MS = 6 * 3_600_000

export default class PayServe extends BaseCommand<typeof PayServe> {
  static override summary = 'the payment engine as an HTTP service on a database file'
  static override description = 'Runs until SIGTERM (exit code 0) or Ctrl-C (130): both answer what is in flight, for 8 s at most. What was begun is taken up again at the next start. docs/operations.md tells the rest.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --db payments.db --bank https://bank.example --fraud https://fraud.example --notification https://mail.example --json',
  ]
  static override flags = {
    'db': paymentsDb,
    'host': Flags.string({ summary: 'address to listen on', default: '127.0.0.1', helpValue: 'ADDRESS' }),
    'allow-remote': Flags.boolean({ summary: 'let other machines reach it: whoever does may pay' }),
    'port': port({ summary: 'port to listen on', default: 4000 }),
    'bank': serviceUrl('bank'),
    'fraud': serviceUrl('fraud'),
    'notification': serviceUrl('notification'),
    'node': Flags.string({ summary: 'name of this node, unique among those that run on the database (default ADDRESS:PORT)', helpValue: 'NAME' }),
    'deadline': duration({ summary: 'a client is answered within this, 2s to 7s', default: 5000, defaultHelp: async () => '5s' }),
    'settle': duration({ summary: 'after a charge request, how long "not found" at the bank proves nothing', default: 12_000, defaultHelp: async () => '12s' }),
  }

  protected async work(): Promise<ExitCode> {
    const { db, host, bank, fraud, notification, deadline, settle } = this.flags
    refuseRemote(host, this.flags['allow-remote'])
    refuseOutside('--deadline', deadline, SHORTEST_DEADLINE_MS, LONGEST_DEADLINE_MS)
    refuseOutside('--settle', settle, 0, LONGEST_SETTLE_MS)
    const clock = new SystemClock()
    // Two services on one file must differ, and one that was killed should know its payments again: the address does both.
    const node = this.flags.node ?? `${host}:${this.flags.port === 0 ? `pid-${process.pid}` : this.flags.port}`
    const log = openLog(clock, this.voice)
    const served = await serveEngine({
      clock,
      random: Random.system(),
      log: log.from('engine', node),
      node,
      incarnation: clock.now(),
      db,
      host,
      port: this.flags.port,
      services: { bank, fraud, notification },
      settings: { deadlineMs: deadline, settleMs: settle },
      createEngine: await loadEngine(undefined),
    })
    for (const warning of served.warnings) process.stderr.write(`resil: warning: ${visible(warning)}\n`)
    this.emit({ type: 'ready', url: served.url, node, db: served.db, services: { bank, fraud, notification } })
    this.answer(visible(`payments on ${served.url}, database ${served.db}, bank ${bank}, fraud ${fraud}, notification ${notification}`))
    try {
      await untilTold(this.interrupted, served.failed)
      this.say('answering what is in flight, then ending')
    } finally {
      await served.close(DRAIN_MS)
    }
    this.emit({ type: 'stopped', ok: true })
    this.say('stopped; what was begun is taken up again at the next start')
    return 0
  }
}

function refuseRemote(host: string, allowed: boolean): void {
  if (allowed || host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)) return
  throw new ResilError('REMOTE_HOST', `--host ${host} can be reached from other machines, and there is no password`, 'put it behind something that asks for one and say --allow-remote, or listen on 127.0.0.1')
}

function refuseOutside(flag: string, ms: number, least: number, most: number): void {
  if (ms >= least && ms <= most) return
  throw new ResilError('BAD_FLAG', `${flag}: ${ms} ms is not between ${least} and ${most} ms`, `give a duration in these bounds`)
}
