/** The service sees the same bytes twice; the answer to the copy is dropped. */
import type { Toxic } from '../toxic.ts'

export const toxic: Toxic<{ delay: number }> = {
  name: 'duplicate_request',
  summary: 'sends the request to the service twice',
  stream: 'upstream',
  attributes: {
    delay: { type: 'integer', unit: 'ms', default: 0, min: 0, summary: 'how long after the request the copy is sent' },
  },
  onRequest({ delay }) {
    return { do: 'duplicate', afterMs: delay }
  },
}
