/** Toxiproxy's timeout: a black hole that closes after a silence. Taking it away closes the connections that it swallowed bytes of. */
import type { Toxic } from '../toxic.ts'

export const toxic: Toxic<{ timeout: number }> = {
  name: 'timeout',
  summary: 'swallows all bytes, then closes the connection',
  stream: 'downstream',
  attributes: {
    timeout: { type: 'integer', unit: 'ms', default: 0, min: 0, summary: 'from the last swallowed byte to the close; 0 never closes' },
  },
  onChunk({ timeout }) {
    return { do: 'swallow', closeAfterMs: timeout === 0 ? null : timeout }
  },
}
