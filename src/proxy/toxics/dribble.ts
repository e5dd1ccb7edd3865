/** The body of the answer comes in drops: whole in the end, but slowly. */
import type { Toxic } from '../toxic.ts'

export const toxic: Toxic<{ over: number; pieces: number }> = {
  name: 'dribble',
  summary: 'spreads the body of the answer over time',
  stream: 'downstream',
  attributes: {
    over: { type: 'integer', unit: 'ms', default: 1000, min: 0, summary: 'from the body to its last piece' },
    pieces: { type: 'integer', unit: '', default: 5, min: 1, max: 1000, summary: 'equal parts of the body' },
  },
  onResponse({ over, pieces }) {
    return { do: 'dribble', pieces, overMs: over }
  },
}
