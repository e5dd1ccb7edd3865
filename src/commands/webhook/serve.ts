import { Flags } from '@oclif/core'
import { SystemClock } from '../../clock.ts'
import { ResilError } from '../../errors.ts'
import { DEFAULTS } from '../../engines/webhook/settings.ts'
import { openLog, untilTold } from '../../lab/standing.ts'
import { runWebhookNode } from '../../lab/webhook-alone.ts'
import { visible } from '../../visible.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { duration, integer, port } from '../flags.ts'
import { placeOf, webhookFlags } from '../webhook-flags.ts'

const NODE = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/
const TOKEN_LEAST = 16

export default class WebhookServe extends BaseCommand<typeof WebhookServe> {
  static override summary = 'the webhook engine as an HTTP service on a database file'
  static override description =
    'Takes events (POST /v1/events) and delivers them. As many nodes as you like may run on one file: they share the endpoints. Runs until SIGTERM (exit code 0) or Ctrl-C (130): what is in flight ends first. Public addresses only, unless --allow-net opens others. With RESIL_TOKEN set, whoever asks brings it as a bearer token.'
  static override examples = ['<%= config.bin %> <%= command.id %>', 'RESIL_TOKEN=$(cat token) <%= config.bin %> <%= command.id %> --db /var/lib/webhooks.db --host 0.0.0.0 --allow-remote --json']
  static override flags = {
    ...webhookFlags,
    'host': Flags.string({ summary: 'address to listen on', default: '127.0.0.1', helpValue: 'ADDRESS' }),
    'allow-remote': Flags.boolean({ summary: 'let other machines reach it; needs RESIL_TOKEN' }),
    'port': port({ summary: 'port to listen on', default: 4010 }),
    'node': Flags.string({ summary: 'name of this node, unique among those that run on the database (default ADDRESS:PORT)', helpValue: 'NAME' }),
    'deadline': duration({ summary: 'one attempt, where an endpoint does not say', default: DEFAULTS.deadlineMs, defaultHelp: async () => '15s' }),
    'max-age': duration({ summary: 'a delivery older than this is dead', default: DEFAULTS.maxAgeMs, defaultHelp: async () => '72h' }),
    'keep': duration({ summary: 'delivered ones are kept for so long', default: DEFAULTS.keepMs, defaultHelp: async () => '7d' }),
    'keep-dead': duration({ summary: 'dead ones', default: DEFAULTS.keepDeadMs, defaultHelp: async () => '30d' }),
    'in-flight': integer({ summary: 'attempts at a time on this node', min: 1, max: 100_000, default: DEFAULTS.inFlightMost }),
  }

  protected async work(): Promise<ExitCode> {
    const { db, host, deadline, keep } = this.flags
    const token = process.env.RESIL_TOKEN
    if (token !== undefined && token.length < TOKEN_LEAST) throw new ResilError('BAD_TOKEN', `RESIL_TOKEN has ${token.length} characters`, `give it ${TOKEN_LEAST} or more: openssl rand -hex 32`)
    refuseRemote(host, this.flags['allow-remote'], token)
    const within = (flag: string, ms: number, least: number, most: number) => {
      if (ms < least || ms > most) throw new ResilError('BAD_FLAG', `${flag}: ${ms} ms is not between ${least} and ${most} ms`, 'give a duration in these bounds')
    }
    within('--deadline', deadline, 100, DEFAULTS.deadlineMaxMs)
    const name = this.flags.node ?? `${host}:${this.flags.port === 0 ? `pid-${process.pid}` : this.flags.port}`
    if (!NODE.test(name)) throw new ResilError('BAD_NAME', `"${visible(name.slice(0, 64))}" is no name for a node`, 'use letters, digits, dot, dash, colon and underscore, at most 64')
    const clock = new SystemClock()
    const log = openLog(clock, this.voice)
    const node = await runWebhookNode({
      clock,
      log: log.from('engine', name),
      db,
      node: name,
      host,
      port: this.flags.port,
      place: placeOf(this.flags, this.config.version, token),
      settings: { deadlineMs: deadline, maxAgeMs: this.flags['max-age'], keepMs: keep, keepDeadMs: this.flags['keep-dead'], inFlightMost: this.flags['in-flight'] },
    })
    for (const warning of node.warnings) process.stderr.write(`resil: warning: ${visible(warning)}\n`)
    this.emit({ type: 'ready', url: node.url, node: name, db: node.db })
    this.answer(visible(`webhooks on ${node.url}, database ${node.db}`))
    try {
      await untilTold(this.interrupted, node.failed)
      this.say('letting what is in flight end')
    } finally {
      await node.close(DEFAULTS.drainMs)
    }
    this.emit({ type: 'stopped', ok: true })
    this.say('stopped; what waits goes on at the next start')
    return 0
  }
}

function refuseRemote(host: string, allowed: boolean, token: string | undefined): void {
  if (host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)) return
  if (allowed && token !== undefined) return
  throw new ResilError('REMOTE_HOST', `--host ${host} can be reached from other machines`, 'set RESIL_TOKEN and say --allow-remote, or listen on 127.0.0.1')
}
