/** The connection is reset at a byte: in the middle of a head, a body, a row. */
import type { Toxic } from '../toxic.ts'

export const toxic: Toxic<{ bytes: number }> = {
  name: 'reset_after',
  summary: 'resets the connection after so many bytes',
  stream: 'downstream',
  attributes: {
    bytes: { type: 'integer', unit: 'bytes', default: 0, min: 0, summary: 'what passes before the RST on both sides; 0 resets at the first byte' },
  },
  onChunk({ bytes }, _draw, { before, bytes: more }) {
    return before + more >= bytes ? { do: 'limit', bytes: Math.max(0, bytes - before), how: 'rst' } : undefined
  },
}
