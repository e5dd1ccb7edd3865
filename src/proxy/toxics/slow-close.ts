/** Toxiproxy's slow_close: the data passes, and the end of the stream (FIN) is held back. An RST is not. */
import type { Toxic } from '../toxic.ts'

export const toxic: Toxic<{ delay: number }> = {
  name: 'slow_close',
  summary: 'holds back the end of the connection',
  stream: 'downstream',
  attributes: {
    delay: { type: 'integer', unit: 'ms', default: 0, min: 0, summary: 'from the end on one side to the end on the other' },
  },
  onEnd({ delay }) {
    return delay > 0 ? { do: 'delayEnd', ms: delay } : undefined
  },
}
