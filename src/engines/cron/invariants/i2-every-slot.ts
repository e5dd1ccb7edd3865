import type { Judgement } from '../../../invariant.ts'
import { plural } from '../../../invariant.ts'
import type { Evidence } from '../evidence.ts'
import { atTheEnd, iso } from '../evidence.ts'
import { crontabOf } from '../spec.ts'

/** Slots of one schedule that are enumerated. */
const ENUMERATED_MAX = 2_000_000

export const invariant = atTheEnd('i2-every-slot', 'the ledger holds every slot that its expressions name, and none that they do not', judge)

/** The slots are enumerated anew from the definitions: what the ticker made of them plays no part. */
function judge(evidence: Evidence): Judgement {
  const violations = []
  let looked = 0
  for (const schedule of evidence.schedules) {
    const wanted: number[] = []
    for (const { createdAt, untilAt, spec } of evidence.definitions.filter((each) => each.schedule === schedule.schedule).sort((a, b) => a.generation - b.generation)) {
      const crontab = crontabOf(schedule.schedule, spec, schedule.createdAt)
      const until = Math.min(untilAt ?? Number.POSITIVE_INFINITY, schedule.cursorAt)
      for (let at = crontab.next(createdAt); at !== null && at <= until && wanted.length < ENUMERATED_MAX; at = crontab.next(at)) wanted.push(at)
    }
    looked += wanted.length
    let at = 0
    for (const row of evidence.ticks.filter((tick) => tick.schedule === schedule.schedule && tick.kind === 'cron').sort((a, b) => a.slot - b.slot)) {
      const [first, last] = [wanted[at], wanted[at + row.slots - 1]]
      if (first !== row.slot || last !== row.until) violations.push({ why: `${schedule.schedule} has a row for ${iso(row.slot)} where ${first === undefined ? 'no slot' : iso(first)} was due`, witness: [row.seq] })
      at += row.slots
    }
    if (at < wanted.length) violations.push({ why: `${schedule.schedule} has no row for ${plural(wanted.length - at, 'slot')} from ${iso(wanted[at]!)}`, witness: [schedule.seq] })
  }
  return { violations, looked: plural(looked, 'slot') }
}
