/** What many scenarios of the scheduler do. */
import type { Event } from '../../events.ts'
import type { CronSettings } from './engine.ts'
import { asLabJob } from './lab-job.ts'
import { completeSpec, crontabOf } from './spec.ts'
import type { CronStage } from './stage.ts'

export const HOUR = 3_600_000
export const DAY = 24 * HOUR
/** Long enough for a few ticks, ms. */
export const CALM = 3000

/** For worlds that wait for hours: nobody has to look ten times a second. */
export const SLOW: Partial<CronSettings> = { ttlMs: 30_000, watchMs: 5000, pollMs: 30_000, beatMs: 10_000, workerLeaseMs: 60_000 }

export const at = (text: string) => Date.parse(text)

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0
}

/** A tick each second, and a job with steps every five. Answers the leader. */
export async function usual(world: CronStage): Promise<string> {
  await world.put('tick', '* * * * * *', 'ms=50', { overlap: 'queue_all' })
  await world.put('steps', '*/5 * * * * *', 'ms=200,steps=4', { overlap: 'queue_all' })
  return world.elected()
}

/** The states of a schedule's ticks, oldest first, but for those that were skipped when the world came to rest. */
export async function statesOf(world: CronStage, schedule: string): Promise<string> {
  return (await world.ticks(schedule)).filter(({ state }) => state !== 'skipped_paused').map(({ state }) => state).join(' ')
}

/** The slots of a schedule that succeeded, oldest first. */
export async function slotsOf(world: CronStage, schedule: string): Promise<string> {
  return (await world.ticks(schedule)).filter(({ state }) => state === 'succeeded').map(({ slot_at }) => new Date(slot_at).toISOString().replace('.000Z', 'Z')).join(' ')
}

/** So many schedules, all due at the next whole minute, in one go: what takes a second for one takes a day for a hundred thousand. */
export async function fill(world: CronStage, schedules: number): Promise<void> {
  const now = world.clock.now()
  const spec = completeSpec('s', { expr: '* * * * *', job: asLabJob('quiet=1,ms=1000') })
  const next = crontabOf('s', spec, now).next(now)
  const text = JSON.stringify(spec)
  await world.store.transaction('fill', async (tx) => {
    for (let n = 0; n < schedules; n++) {
      const name = `s-${n}`
      await tx.query('INSERT INTO definition (schedule, generation, spec, min_build, created_at) VALUES (:name, 1, :text, 0, :now)', { name, text, now })
      await tx.query('INSERT INTO schedule (name, generation, paused, cursor_at, next_at, created_at, updated_at) VALUES (:name, 1, 0, :now, :next, :now, :now)', { name, now, next })
    }
  })
}

/** How a schedule's next run ended, whether it has already or is waited for. */
export async function ending(world: CronStage, schedule: string): Promise<Event> {
  const wanted = (event: Event) => event.type === 'attempt.ended' && event['schedule'] === schedule
  return world.of('attempt.ended').find(wanted) ?? world.must(wanted)
}
