import { Flags } from '@oclif/core'
import { SystemClock } from '../clock.ts'
import type { Event } from '../events.ts'
import { anySeed } from '../lab/run.ts'
import type { Voice } from '../lab/standing.ts'
import { openLog, untilTold } from '../lab/standing.ts'
import { openUp, watch } from '../lab/up.ts'
import { BaseCommand } from './base.ts'
import type { ExitCode } from './failure.ts'
import { port, seed } from './flags.ts'
import { table } from './text.ts'

export default class Up extends BaseCommand<typeof Up> {
  static override summary = 'everything together: mock services, the proxy before each, the payment engine, the scheduler, the webhook engine and its customers'
  static override description =
    'Stands until Ctrl-C, so that you can pay with curl and watch. The engine is reached through a link on port 4000; fraud (4001), bank (4002), notification (4003), the scheduler (4004), the resource that its jobs act on (4005), the webhook engine (4006) and three customers (4007 to 4009) through links too. What the notification service was told goes to the customers as a webhook. An engine that you kill -9 begins a new life on the same database. On a terminal: keys 1 to 9 switch faults, b buys, k takes a customer down and up, f drops the next answer of the bank, p stops the payment engine for a while, q leaves.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --toxic bank:lost_response,method=POST --port 0 --json',
  ]
  static override flags = {
    toxic: Flags.string({ summary: 'a fault that is on from the start, e.g. bank:latency=200ms,jitter=50ms (resil list toxics)', multiple: true, helpValue: 'SPEC' }),
    port: port({ summary: "port of the engine's link; the others take the next nine. 0 takes any free ones", default: 4000 }),
    db: Flags.string({ summary: 'database file of the engine; a temporary one when not given', helpValue: 'FILE' }),
    'cron-db': Flags.string({ summary: 'database file of the scheduler; a temporary one with three schedules when not given', helpValue: 'FILE' }),
    seed: seed({ summary: 'replays latencies and ids' }),
  }

  protected async work(): Promise<ExitCode> {
    const clock = new SystemClock()
    const { screen } = this
    const log = openLog(clock, screen ? SILENT : this.voice)
    const early: Event[] = []
    const heard = log.subscribe((event) => void early.push(event))
    const up = await openUp({ log, clock, seed: this.flags.seed ?? anySeed(), port: this.flags.port, db: this.flags.db, cronDb: this.flags['cron-db'], toxics: this.flags.toxic ?? [] })
    heard()
    try {
      const ended = untilTold(this.interrupted, up.failed)
      if (screen) {
        const quietly = ended.catch(() => {}) // told below
        const left = await watch(up, { log, clock, early, ended: quietly, terminal: { out: process.stdout, input: process.stdin, colour: this.colour } })
        if (left === 'interrupted') this.interrupt()
        await Promise.race([up.failed, Promise.resolve()])
      } else {
        this.emit({ type: 'ready', url: up.url, urls: up.urls, cronDb: up.cronDb, webhookDb: up.webhookDb })
        for (const line of table(Object.entries(up.urls))) this.answer(line)
        this.say(`try: curl -i ${up.url}/v1/payments -H 'Idempotency-Key: key-1' -d '{"amount":9900,"currency":"USD","order":"order-1","card":"tok_visa"}'`)
        this.say(`and: resil cron list --db ${up.cronDb}`)
        this.say(`and: resil webhook endpoint list --db ${up.webhookDb}`)
        await ended
      }
    } finally {
      await up.close()
    }
    this.answer(up.story())
    this.emit({ type: 'stopped', ok: true, story: up.story() })
    return 0
  }
}

/** The screen tells. */
const SILENT: Voice = { json: false, say() {}, answer() {}, emit() {} }
