/**
 * Toxiproxy's packet_loss: chunks go missing. What is lost of a TCP stream is not sent again here, so this corrupts: the reader finds a hole.
 * After a loss the next one is likelier by `correlation`.
 */
import type { Toxic } from '../toxic.ts'

export const toxic: Toxic<{ loss_rate: number; correlation: number }> = {
  name: 'packet_loss',
  summary: 'loses some of the chunks',
  stream: 'downstream',
  attributes: {
    loss_rate: { type: 'number', unit: '', default: 0, min: 0, max: 1, summary: 'chance of each chunk to be lost' },
    correlation: { type: 'number', unit: '', default: 0, min: 0, max: 1, summary: 'added to that chance right after a loss' },
  },
  onChunk({ loss_rate, correlation }, draw, { memory }) {
    const lost = draw() < loss_rate + (memory['lost'] ? correlation : 0)
    memory['lost'] = lost ? 1 : 0
    return lost ? { do: 'drop' } : undefined
  },
}
