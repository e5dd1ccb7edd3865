/** A service that degrades: the delay of the bytes grows (or shrinks) evenly over a time, and stays there. */
import type { Toxic } from '../toxic.ts'

export const toxic: Toxic<{ to: number; over: number; from: number }> = {
  name: 'ramp',
  summary: 'delays the bytes more and more',
  stream: 'downstream',
  attributes: {
    to: { type: 'integer', unit: 'ms', default: 1000, min: 0, summary: 'how late the bytes are in the end' },
    over: { type: 'integer', unit: 'ms', default: 60_000, min: 1, summary: 'how long it takes to get there, from when the toxic is added' },
    from: { type: 'integer', unit: 'ms', default: 0, min: 0, summary: 'how late they are at first' },
  },
  onChunk({ to, over, from }, _draw, { ageMs }) {
    const ms = from + (to - from) * Math.min(1, ageMs / over)
    return ms > 0 ? { do: 'delay', ms } : undefined
  },
}
