/** Nobody answers, and nobody closes: the client waits until its own patience ends. */
import type { Toxic } from '../toxic.ts'

export const toxic: Toxic<{ where: string }> = {
  name: 'hang',
  summary: 'leaves the client without an answer',
  stream: 'upstream',
  attributes: {
    where: { type: 'string', unit: '', default: 'request', choices: ['request', 'response'], summary: 'the service never sees the request, or it has done its work and the answer never comes' },
  },
  place: ({ where }) => (where === 'response' ? 'response' : 'request'),
  onRequest: () => ({ do: 'lose', how: 'hang' }),
  onResponse: () => ({ do: 'lose', how: 'hang' }),
}
