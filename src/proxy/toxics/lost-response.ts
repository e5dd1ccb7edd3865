/** The answer gets lost on its way: the service did its work, and the client cannot know. */
import type { Cut, Toxic } from '../toxic.ts'

export const toxic: Toxic<{ then: string }> = {
  name: 'lost_response',
  summary: 'drops the answer after the service has done its work',
  stream: 'downstream',
  attributes: {
    then: { type: 'string', unit: '', default: 'rst', choices: ['fin', 'rst', 'hang'], summary: 'how the connection ends' },
  },
  onResponse({ then }) {
    return { do: 'lose', how: then as Cut }
  },
}
