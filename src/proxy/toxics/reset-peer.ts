/** Toxiproxy's reset_peer: the first bytes, or the end of the stream, bring the connection down, by RST on both sides. An idle connection lives on. */
import type { Toxic } from '../toxic.ts'

export const toxic: Toxic<{ timeout: number }> = {
  name: 'reset_peer',
  summary: 'resets the connection when bytes come',
  stream: 'downstream',
  attributes: {
    timeout: { type: 'integer', unit: 'ms', default: 0, min: 0, summary: 'from the first byte to the reset' },
  },
  onChunk({ timeout }) {
    return { do: 'cut', how: 'rst', afterMs: timeout }
  },
  onEnd({ timeout }) {
    return { do: 'cut', how: 'rst', afterMs: timeout }
  },
}
