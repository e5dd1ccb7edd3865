/** The service never sees the request: the link answers with an error in its place. */
import { problem } from '../../network.ts'
import type { Toxic } from '../toxic.ts'

export const toxic: Toxic<{ status: number; body: string; retry_after: number }> = {
  name: 'http_error',
  summary: 'answers an error in place of the service',
  stream: 'upstream',
  attributes: {
    status: { type: 'integer', unit: '', default: 503, min: 400, max: 599, summary: 'the status of the answer' },
    body: { type: 'string', unit: '', default: '', summary: 'its body, as text; a problem document when empty' },
    retry_after: { type: 'integer', unit: 's', default: 0, min: 0, summary: 'its Retry-After; none when 0' },
  },
  onRequest({ status, body, retry_after }) {
    const headers: Record<string, string> = retry_after > 0 ? { 'retry-after': String(retry_after) } : {}
    const response = body === '' ? problem(status, 'injected', 'Injected by a toxic', {}, headers) : { status, headers: { 'content-type': 'text/plain; charset=utf-8', ...headers }, body }
    return { do: 'answer', response }
  },
}
