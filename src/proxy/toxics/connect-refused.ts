/** Nobody listens: new connections are refused, and those that are open live on. For some clients only, they are accepted and reset. */
import type { Toxic } from '../toxic.ts'

export const toxic: Toxic<Record<never, never>> = {
  name: 'connect_refused',
  summary: 'refuses new connections',
  stream: 'upstream',
  attributes: {},
  onListen: () => ({ open: false, cut: false, forMs: Number.POSITIVE_INFINITY }),
}
