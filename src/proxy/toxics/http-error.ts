/** The service never sees the request: the link answers with an error in its place. */
import { problem } from '../../network.ts'
import type { Toxic } from '../toxic.ts'

const LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t ]*([\t -~\x80-\xff]*)$/
/** Headers that say where the message ends: the link writes those. */
const FRAMING: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding', 'connection'])

export const toxic: Toxic<{ status: number; body: string; headers: string; retry_after: number }> = {
  name: 'http_error',
  summary: 'answers an error in place of the service',
  stream: 'upstream',
  attributes: {
    status: { type: 'integer', unit: '', default: 503, min: 400, max: 599, summary: 'the status of the answer' },
    body: { type: 'string', unit: '', default: '', summary: 'its body, as text; a problem document when empty' },
    headers: { type: 'string', unit: '', default: '', summary: 'more of its headers, one "name: value" a line' },
    retry_after: { type: 'integer', unit: 's', default: 0, min: 0, summary: 'its Retry-After; none when 0' },
  },
  check({ headers }) {
    const wrong = linesOf(headers).find((line) => !LINE.test(line) || FRAMING.has(line.slice(0, line.indexOf(':')).toLowerCase()))
    return wrong === undefined ? undefined : `headers has "${wrong}"; write "name: value" lines, and none of ${[...FRAMING].join(', ')}`
  },
  onRequest({ status, body, headers, retry_after }) {
    const own: Record<string, string> = retry_after > 0 ? { 'retry-after': String(retry_after) } : {}
    for (const line of linesOf(headers)) {
      const [, name = '', value = ''] = LINE.exec(line)!
      own[name.toLowerCase()] = value.trimEnd()
    }
    const response = body === '' ? problem(status, 'injected', 'Injected by a toxic', {}, own) : { status, headers: { 'content-type': 'text/plain; charset=utf-8', ...own }, body }
    return { do: 'answer', response }
  },
}

const linesOf = (headers: string) => headers.split(/\r?\n/).filter((line) => line !== '')
