/** The request gets lost on its way: the service did nothing, and the client cannot know. */
import type { Cut, Toxic } from '../toxic.ts'

export const toxic: Toxic<{ then: string }> = {
  name: 'lost_request',
  summary: 'drops the request before the service',
  stream: 'upstream',
  attributes: {
    then: { type: 'string', unit: '', default: 'rst', choices: ['fin', 'rst', 'hang'], summary: 'how the connection ends' },
  },
  onRequest({ then }) {
    return { do: 'lose', how: then as Cut }
  },
}
