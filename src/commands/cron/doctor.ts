import { BaseCommand } from '../base.ts'
import { cronFlags, localTime, utc, withCron } from '../cron-flags.ts'
import type { ExitCode } from '../failure.ts'
import { span } from '../../lab/sentence.ts'

/** A node that beats every second and was not seen for so long is in trouble, or gone. */
const SILENT_MS = 10_000
/** A tick that waits longer than this has no worker. */
const WAITS_MS = 60_000
/** Rows of the ledger that are looked at. */
const LOOKED_AT = 1000

export default class CronDoctor extends BaseCommand<typeof CronDoctor> {
  static override summary = 'what is wrong with the scheduler, in words, with the numbers'
  static override description = 'Who leads and since when, which nodes are silent, what waits and why, which schedules fail. Exit code 1 when something is wrong.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --db /var/lib/cron.db --json']
  static override flags = cronFlags

  protected async work(): Promise<ExitCode> {
    return withCron(this.flags, async ({ registry, clock }): Promise<ExitCode> => {
      const now = clock.now()
      const [lease, nodes, schedules, ticks] = [await registry.lease(), await registry.nodes(), await registry.list(), await registry.history(LOOKED_AT)]
      const fine: string[] = []
      const wrong: string[] = []
      const live = nodes.filter(({ ended }) => ended === 0)
      const leader = lease?.holder === '' ? undefined : lease?.holder.split(' ')[0]
      if (live.length === 0) wrong.push(`no node runs${schedules.length > 0 ? `: ${schedules.length} ${schedules.length === 1 ? 'schedule is' : 'schedules are'} not served; resil cron run starts one` : ''}`)
      else if (leader === undefined || !live.some(({ name }) => name === leader)) wrong.push('nobody leads (unless the nodes run with --mode none): slots wait for the next leader')
      else fine.push(`${leader} leads, epoch ${lease!.epoch}, since ${utc(lease!.acquired_at)}`)
      for (const { name, seen_at, slots, build, draining } of live) {
        const silentMs = now - seen_at
        if (silentMs > SILENT_MS) wrong.push(`node ${name} was last seen ${span(silentMs)} ago: it hangs, or was killed and nobody is left to notice`)
        else fine.push(`node ${name}: build ${build}, ${slots} slots${draining === 1 ? ', draining' : ''}`)
      }
      const newest = Math.max(0, ...live.map(({ build }) => build))
      for (const { name, min_build, parsed, paused, next_at, queued } of schedules) {
        const mine = ticks.filter((tick) => tick.schedule === name)
        if (paused === 1) fine.push(`${name} is paused`)
        if (next_at !== null && paused === 0 && now - next_at > WAITS_MS) wrong.push(`${name} was due ${localTime(next_at, parsed.zone)} and is not in the ledger: no leader has looked for ${span(now - next_at)}`)
        if (live.length > 0 && min_build > newest) wrong.push(`${name} asks for build ${min_build}, the newest node is of build ${newest}: its ticks wait`)
        const oldest = mine.filter(({ state }) => state === 'queued').at(-1)
        if (oldest && now - oldest.run_at > WAITS_MS) wrong.push(`${name}: ${queued} ${queued === 1 ? 'tick waits' : 'ticks wait'}, the oldest for ${span(now - oldest.run_at)}: more slots, or shorter jobs`)
        const ended = mine.filter(({ ended_at, started_at }) => ended_at !== null && started_at !== null)
        let failed = 0
        while (failed < ended.length && ['failed', 'dead'].includes(ended[failed]!.state)) failed++
        if (failed > 0) wrong.push(`${name}: the last ${failed === 1 ? 'run' : `${failed} runs`} failed: ${ended[0]!.reason}`)
        const skipped = mine.filter(({ state }) => state === 'skipped_overlap').length
        if (skipped > 0 && skipped * 2 > mine.length) wrong.push(`${name}: ${skipped} of its last ${mine.length} slots were skipped because a run was under way: it takes longer than its period`)
      }
      for (const said of fine) this.say(`ok     ${said}`)
      for (const said of wrong) this.answer(`WRONG  ${said}`)
      this.emit({ ok: wrong.length === 0, wrong, fine })
      return wrong.length === 0 ? 0 : 1
    })
  }
}
