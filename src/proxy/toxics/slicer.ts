/**
 * Toxiproxy's slicer: chunks are cut in pieces of about the asked size, with a pause between them. A chunk is halved until a piece is no
 * longer than `average_size` plus `size_variation`; each cut is moved by up to `size_variation`.
 */
import type { Draw, Toxic } from '../toxic.ts'

/** Most pieces that one chunk is cut in: a chunk of 64 KiB in pieces of one byte. */
const MOST_PIECES = 65_536

export const toxic: Toxic<{ average_size: number; size_variation: number; delay: number }> = {
  name: 'slicer',
  summary: 'cuts the bytes in small pieces',
  stream: 'downstream',
  attributes: {
    average_size: { type: 'integer', unit: 'bytes', default: 0, min: 0, summary: 'how long a piece is on average; 0 leaves the bytes as they are' },
    size_variation: { type: 'integer', unit: 'bytes', default: 0, min: 0, summary: 'longer or shorter by up to this; less than the size' },
    delay: { type: 'integer', unit: 'us', default: 0, min: 0, summary: 'microseconds between two pieces' },
  },
  check: ({ average_size, size_variation }) => (average_size > 0 && size_variation >= average_size ? `size_variation is ${size_variation}, and must be less than average_size, ${average_size}` : undefined),
  onChunk({ average_size, size_variation, delay }, draw, { bytes }) {
    if (average_size === 0) return undefined
    const most = Math.max(average_size, Math.ceil(bytes / MOST_PIECES))
    return { do: 'slice', sizes: sizes(bytes, most, size_variation, draw), everyMs: delay / 1000 }
  },
}

function sizes(bytes: number, average: number, variation: number, draw: Draw): number[] {
  if (bytes <= average + variation || bytes < 2) return [bytes]
  const moved = (bytes >> 1) + (variation > 0 ? Math.floor(draw() * 2 * variation) - variation : 0)
  const cut = Math.min(bytes - 1, Math.max(1, moved))
  return [...sizes(cut, average, variation, draw), ...sizes(bytes - cut, average, variation, draw)]
}
