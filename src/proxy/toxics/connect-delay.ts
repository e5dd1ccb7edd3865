/** The way to the service takes long: the client is accepted, and what it sends waits until the connection to the service is made. */
import type { Toxic } from '../toxic.ts'

export const toxic: Toxic<{ delay: number; jitter: number }> = {
  name: 'connect_delay',
  summary: 'delays the connection to the service',
  stream: 'upstream',
  attributes: {
    delay: { type: 'integer', unit: 'ms', default: 0, min: 0, summary: 'before the service is connected to' },
    jitter: { type: 'integer', unit: 'ms', default: 0, min: 0, summary: 'uniformly more or less by up to this; never below 0' },
  },
  onConnect({ delay, jitter }, draw) {
    const ms = delay + (jitter > 0 ? jitter * (2 * draw() - 1) : 0)
    return ms > 0 ? { do: 'delay', ms } : undefined
  },
}
