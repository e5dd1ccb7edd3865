/** The latest of what was done to the traffic and to the rules, for whoever asks later. The oldest lines give way. */
import type { Event, EventLog } from '../events.ts'

/** Lines that are kept. */
const MAX_LINES = 10_000

const KEPT = /^(?:toxic|proxy|schedule)\./

export interface Journal {
  /** Lines after the one with that `seq`, the oldest first, at most `limit`; of one proxy when it is named. `next`: where to go on. */
  read(options: { after?: number; limit?: number; proxy?: string }): { lines: Event[]; next: number }
  /** Hits by toxic type, of all that was ever heard. */
  readonly hitsByType: ReadonlyMap<string, number>
  close(): void
}

export function openJournal(log: EventLog): Journal {
  const lines: Event[] = []
  const hitsByType = new Map<string, number>()
  const close = log.subscribe((event) => {
    if (event.type === 'toxic.hit') hitsByType.set(event['toxicType'], (hitsByType.get(event['toxicType']) ?? 0) + 1)
    lines.push(event)
    if (lines.length >= 2 * MAX_LINES) lines.splice(0, lines.length - MAX_LINES)
  }, (type) => KEPT.test(type))
  return {
    read({ after = 0, limit = MAX_LINES, proxy }) {
      const found = lines.slice(-MAX_LINES).filter((line) => line.seq > after && (proxy === undefined || line['link'] === proxy)).slice(0, limit)
      return { lines: found, next: found.at(-1)?.seq ?? after }
    },
    hitsByType,
    close,
  }
}
