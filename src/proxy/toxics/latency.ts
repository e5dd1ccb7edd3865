/** Toxiproxy's latency: every chunk arrives late by a fixed time, plus or minus a jitter. Order and throughput are kept. */
import type { Toxic } from '../toxic.ts'

export const toxic: Toxic<{ latency: number; jitter: number }> = {
  name: 'latency',
  summary: 'delays the bytes',
  stream: 'downstream',
  attributes: {
    latency: { type: 'integer', unit: 'ms', default: 0, min: 0, summary: 'how late the bytes are' },
    jitter: { type: 'integer', unit: 'ms', default: 0, min: 0, summary: 'uniformly more or less by up to this; never below 0' },
  },
  onChunk({ latency, jitter }, draw) {
    const ms = jitter === 0 ? latency : latency + jitter * (2 * draw() - 1)
    return ms > 0 ? { do: 'delay', ms } : undefined
  },
}
