/**
 * The service is down for a while, once or again and again: nobody listens (the client is refused), and open connections are reset.
 * For some clients or some connections only, those are accepted and reset.
 */
import type { Toxic } from '../toxic.ts'

export const toxic: Toxic<{ down: number; delay: number; period: number }> = {
  name: 'outage',
  summary: 'takes the service away for a while',
  stream: 'upstream',
  attributes: {
    down: { type: 'integer', unit: 'ms', default: 0, min: 0, summary: 'how long it is down; 0: until the toxic is removed' },
    delay: { type: 'integer', unit: 'ms', default: 0, min: 0, summary: 'from when the toxic is added to the first outage' },
    period: { type: 'integer', unit: 'ms', default: 0, min: 0, summary: 'from the beginning of one outage to that of the next; 0: only once' },
  },
  check: ({ down, period }) => (period > 0 && (down === 0 || down >= period) ? 'with a period, down is less than it and more than 0' : undefined),
  onListen({ down, delay, period }, ageMs) {
    const since = ageMs - delay
    if (since < 0) return { open: true, cut: false, forMs: -since }
    if (down === 0) return { open: false, cut: true, forMs: Number.POSITIVE_INFINITY }
    const place = period > 0 ? since % period : since
    if (place < down) return { open: false, cut: true, forMs: down - place }
    return { open: true, cut: false, forMs: period > 0 ? period - place : Number.POSITIVE_INFINITY }
  },
}
