/** So many requests in a window of time; those above it are turned away with the time when the next window begins. Windows begin when the toxic does. */
import { problem } from '../../network.ts'
import type { Toxic } from '../toxic.ts'

export const toxic: Toxic<{ limit: number; per: number; status: number }> = {
  name: 'quota',
  summary: 'turns requests away above a limit',
  stream: 'upstream',
  attributes: {
    limit: { type: 'integer', unit: '', default: 10, min: 0, summary: 'requests that pass in each window' },
    per: { type: 'integer', unit: 'ms', default: 1000, min: 1, summary: 'how long a window is' },
    status: { type: 'integer', unit: '', default: 429, min: 400, max: 599, summary: 'the status of the refusal' },
  },
  onRequest({ limit, per, status }, _draw, { ageMs, memory }) {
    const window = Math.floor(ageMs / per)
    if (memory['window'] !== window) Object.assign(memory, { window, used: 0 })
    memory['used'] = (memory['used'] ?? 0) + 1
    if (memory['used'] <= limit) return undefined
    const seconds = Math.max(1, Math.ceil(((window + 1) * per - ageMs) / 1000))
    return { do: 'answer', response: problem(status, 'quota', 'Too many requests', { code: 'QUOTA' }, { 'retry-after': String(seconds) }) }
  },
}
