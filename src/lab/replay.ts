/**
 * Runs a recorded plan again and compares. In `sim` the events must be the same to the byte; in `wire` only the verdict can be.
 * Keys that were pressed are pressed again: in `sim` behind the same event at the same virtual time, in `wire` at the same time of the run.
 */
import type { Clock } from '../clock.ts'
import { SystemClock } from '../clock.ts'
import type { Event, Sink } from '../events.ts'
import type { Verdict } from '../invariant.ts'
import type { Recording } from './recording.ts'
import type { Hold, Result, RunOptions } from './run.ts'
import { run } from './run.ts'

export interface Replayed {
  result: Result
  /** Undefined when the recorded run was cut short. */
  before: Verdict | undefined
  /** Recorded events. */
  events: number
  /** The first event that is not as recorded: its `seq`, or undefined when all are the same. Not judged in `wire`. */
  firstDifference: number | undefined
}

export async function replay({ plan, events }: Recording, options: { sinks?: readonly Sink[]; signal?: AbortSignal }): Promise<Replayed> {
  let seen = 0
  let firstDifference: number | undefined
  const compare = (event: Event) => {
    const recorded = events[seen++]
    if (firstDifference === undefined && JSON.stringify(event) !== JSON.stringify(recorded)) firstDifference = event.seq
  }
  const keys = events.filter((event) => event.type === 'key.pressed')
  const pressed = plan.mode === 'sim' ? pressByEvent(keys, () => seen) : pressByTime(keys, new SystemClock())
  const result = await run(plan, { ...options, ...pressed, sinks: [compare, ...(options.sinks ?? [])] })
  if (seen < events.length) firstDifference ??= seen + 1
  const end = events.at(-1)
  const before = end?.type === 'run.ended' ? (end['verdict'] as Verdict) : undefined
  return { result, before, events: events.length, firstDifference: plan.mode === 'sim' ? firstDifference : undefined }
}

function press(hold: Hold, key: Event): void {
  if (key['key'] === 'p') hold.pause(key['does'] === 'hold the script')
  else hold.press(String(key['key']))
}

/** A key is pressed between two timers: when time is about to jump away from the moment at which it was pressed, and everything before it has been said. */
function pressByEvent(keys: readonly Event[], seen: () => number): Pick<RunOptions, 'onOpen' | 'pace'> {
  let hold: Hold | undefined
  let now = 0
  let next = 0
  return {
    onOpen: (given) => {
      hold = given
    },
    pace: (at) => {
      for (let key = keys[next]; hold && key && key.seq === seen() + 1 && key.t <= Math.round(now * 1000) / 1000; key = keys[++next]) press(hold, key)
      now = at
      return undefined
    },
  }
}

function pressByTime(keys: readonly Event[], clock: Clock): Pick<RunOptions, 'onOpen'> {
  const start = clock.monotonic()
  return {
    onOpen: (hold) => {
      for (const key of keys) clock.after(key.t - (clock.monotonic() - start), () => press(hold, key))
    },
  }
}
