/** Some bytes arrive as others: each drawn byte differs from what it was. Lengths stay. In memory the whole message is unreadable. */
import type { Toxic } from '../toxic.ts'

export const toxic: Toxic<{ bytes: number }> = {
  name: 'corrupt',
  summary: 'changes some of the bytes',
  stream: 'downstream',
  attributes: {
    bytes: { type: 'integer', unit: 'bytes', default: 1, min: 1, max: 65_536, summary: 'how many of each chunk; their places are drawn' },
  },
  onChunk({ bytes }, draw, { bytes: size }) {
    const places = new Map<number, number>()
    for (let i = 0; i < Math.min(bytes, size); i++) places.set(Math.floor(draw() * size), 1 + Math.floor(draw() * 255))
    return { do: 'flip', places: [...places].map(([at, xor]) => ({ at, xor })) }
  },
}
