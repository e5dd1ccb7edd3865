/** The service did its work and answered; the client gets the head and the beginning of the body. Sizes are of the body as on the wire. */
import type { Cut, Toxic } from '../toxic.ts'

export const toxic: Toxic<{ bytes: number; fraction: number; then: string }> = {
  name: 'partial_response',
  summary: 'cuts the answer short',
  stream: 'downstream',
  attributes: {
    bytes: { type: 'integer', unit: 'bytes', default: 0, min: 0, summary: 'how much of the body passes; a body that is no longer passes whole' },
    fraction: { type: 'number', unit: '', default: 0, min: 0, max: 1, summary: 'when above 0, this part of the body passes instead, rounded down' },
    then: { type: 'string', unit: '', default: 'fin', choices: ['fin', 'rst', 'hang'], summary: 'how the connection ends' },
  },
  onResponse({ bytes, fraction, then }) {
    const how = then as Cut
    return fraction > 0 ? { do: 'truncate', fraction, how } : { do: 'truncate', bytes, how }
  },
}
