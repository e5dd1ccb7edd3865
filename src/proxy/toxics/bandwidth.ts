/** Toxiproxy's bandwidth: so many KB/s (of 1000 bytes) per connection and direction. */
import type { Toxic } from '../toxic.ts'

export const toxic: Toxic<{ rate: number }> = {
  name: 'bandwidth',
  summary: 'limits the bytes per second',
  stream: 'downstream',
  attributes: {
    rate: { type: 'integer', unit: 'KB/s', default: 0, min: 0, summary: 'what passes; 0 lets nothing pass' },
  },
  onChunk({ rate }) {
    return { do: 'pace', bytesPerMs: rate } // 1 KB/s is 1 byte per ms
  },
}
