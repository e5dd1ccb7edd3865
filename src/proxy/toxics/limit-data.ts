/** Toxiproxy's limit_data: so many bytes of the connection pass in this direction, then it is closed. The count goes on when the limit changes. */
import type { Toxic } from '../toxic.ts'

export const toxic: Toxic<{ bytes: number }> = {
  name: 'limit_data',
  summary: 'closes the connection after so many bytes',
  stream: 'downstream',
  attributes: {
    bytes: { type: 'integer', unit: 'bytes', default: 0, min: 0, summary: 'what passes; 0 closes at the first byte' },
  },
  onChunk({ bytes }, _draw, { before, bytes: more }) {
    return before + more >= bytes ? { do: 'limit', bytes: Math.max(0, bytes - before), how: 'fin' } : undefined
  },
}
