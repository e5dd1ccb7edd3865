/** A request is overtaken: it waits until the next one that matches, on another connection, has gone ahead. */
import type { Toxic } from '../toxic.ts'

export const toxic: Toxic<{ wait: number }> = {
  name: 'reorder',
  summary: 'lets a later request go ahead of an earlier one',
  stream: 'upstream',
  attributes: {
    wait: { type: 'integer', unit: 'ms', default: 1000, min: 1, summary: 'how long it waits for one that goes ahead; then it goes alone' },
  },
  onRequest: ({ wait }) => ({ do: 'yield', atMostMs: wait }),
}
