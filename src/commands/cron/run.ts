import { Flags } from '@oclif/core'
import { SystemClock } from '../../clock.ts'
import { ResilError } from '../../errors.ts'
import { DEFAULTS } from '../../engines/cron/engine.ts'
import { runCronNode } from '../../lab/cron-alone.ts'
import { openLog, untilTold } from '../../lab/standing.ts'
import { visible } from '../../visible.ts'
import { BaseCommand } from '../base.ts'
import { cronFlags } from '../cron-flags.ts'
import type { ExitCode } from '../failure.ts'
import { duration, integer, port } from '../flags.ts'

const SHORTEST_TTL_MS = 500
const LONGEST_TTL_MS = 300_000
const NODE = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/

export default class CronRun extends BaseCommand<typeof CronRun> {
  static override summary = 'one node of the scheduler, in the foreground'
  static override description =
    'As many as you like may run on one database file: one leads, all work. Runs until SIGTERM (exit code 0) or Ctrl-C (130): it gives up the lead at once and lets what runs come to its end. /healthz says whether it leads.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --db /var/lib/cron.db --node web-1 --slots 8 --build 42 --json']
  static override flags = {
    ...cronFlags,
    node: Flags.string({ summary: 'name of this node, unique among those that run on the database (default pid-NUMBER)', helpValue: 'NAME' }),
    host: Flags.string({ summary: 'address to listen on', default: '127.0.0.1', helpValue: 'ADDRESS' }),
    port: port({ summary: 'port of /healthz, and of checkpoints over HTTP', default: 0 }),
    slots: integer({ summary: 'jobs at once', min: 1, max: 1000, default: DEFAULTS.slots }),
    ttl: duration({ summary: 'lease of the leader', default: DEFAULTS.ttlMs, defaultHelp: async () => '3s' }),
    mode: Flags.string({ summary: 'one leader fires, or every node does', options: ['leader', 'none'], default: DEFAULTS.mode }),
    build: integer({ summary: 'number of the build that runs here; schedules may ask for a newer one', min: 0, max: Number.MAX_SAFE_INTEGER, default: DEFAULTS.build }),
    drain: duration({ summary: 'how long jobs may go on once it is told to end', default: DEFAULTS.drainMs, defaultHelp: async () => '30s' }),
    'clock-jump': Flags.string({ summary: 'when the clock jumps hours ahead: fire nothing until the node is started anew, or believe it', options: ['hold', 'follow'], default: DEFAULTS.clockJump }),
    probe: Flags.boolean({ summary: 'look whether the processes of other nodes live', default: true, allowNo: true }),
  }

  protected async work(): Promise<ExitCode> {
    const { db, host, ttl, slots, build, drain, probe } = this.flags
    if (ttl < SHORTEST_TTL_MS || ttl > LONGEST_TTL_MS) throw new ResilError('BAD_FLAG', `--ttl: ${ttl} ms is not between ${SHORTEST_TTL_MS} and ${LONGEST_TTL_MS} ms`, 'a shorter lease is lost on a busy machine for nothing')
    const name = this.flags.node ?? `pid-${process.pid}`
    if (!NODE.test(name)) throw new ResilError('BAD_NAME', `"${visible(name.slice(0, 64))}" is no name for a node`, 'use letters, digits, dot, dash, colon and underscore, at most 64')
    const clock = new SystemClock()
    const log = openLog(clock, this.voice)
    const node = await runCronNode({
      clock,
      log: log.from('engine', name),
      db,
      node: name,
      host,
      port: this.flags.port,
      env: process.env,
      probe,
      settings: { ttlMs: ttl, slots, build, drainMs: drain, mode: this.flags.mode as 'leader' | 'none', clockJump: this.flags['clock-jump'] as 'hold' | 'follow' },
    })
    for (const warning of node.warnings) process.stderr.write(`resil: warning: ${visible(warning)}\n`)
    this.emit({ type: 'ready', url: node.url, node: name, db: node.db })
    this.answer(visible(`node ${name} on ${node.url}, database ${node.db}`))
    try {
      await Promise.race([untilTold(this.interrupted), node.ended])
      this.say('giving up the lead, letting what runs come to its end')
    } finally {
      await node.close()
    }
    this.emit({ type: 'stopped', ok: true })
    this.say('stopped')
    return 0
  }
}
