/** Toxiproxy's noop: a place in the chain, and nothing else. */
import type { Toxic } from '../toxic.ts'

export const toxic: Toxic<Record<never, never>> = {
  name: 'noop',
  summary: 'does nothing',
  stream: 'downstream',
  attributes: {},
  onChunk() {
    return undefined
  },
}
