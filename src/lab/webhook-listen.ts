/** A receiver on this machine: verifies what comes, says it on a line, and answers. For whoever writes the code that will receive it. */
import { SystemClock } from '../clock.ts'
import { serveHttp } from '../http-server.ts'
import type { HttpRequest, HttpResponse } from '../network.ts'
import { header, verifier } from '../engines/webhook/signature.ts'
import { visible } from '../visible.ts'
import type { Voice } from './standing.ts'
import { stampOf, untilTold } from './standing.ts'

export interface ListenWishes {
  host: string
  port: number
  /** `whsec_` secrets and `whpk_` keys; without one nothing is checked. */
  secrets: readonly string[]
  /** Answered to what is genuine. */
  status: number
  /** Prints bodies as well. */
  bodies: boolean
}

/** Endpoints whose numbers are followed. */
const ENDPOINTS_MOST = 1000
/** Characters of a body on a line. */
const BODY_SHOWN = 2000

/** Listens until the signal aborts. Throws INVALID_SECRET, PORT_BUSY. */
export async function listen({ host, port, secrets, status, bodies }: ListenWishes, voice: Voice, signal: AbortSignal): Promise<0> {
  const clock = new SystemClock()
  const judge = secrets.length === 0 ? undefined : verifier(secrets)
  /** The highest number that came, by endpoint: whoever begins to listen in the middle misses nothing. */
  const top = new Map<string, number>()
  let count = 0
  const handle = (request: HttpRequest): Promise<HttpResponse> => {
    count++
    const now = clock.now()
    const verdict = judge?.verify(request.headers, request.body, now)
    const said = (name: string) => header(request.headers, name) ?? null
    const [id, endpoint, attempt] = [said('webhook-id'), said('webhook-endpoint'), said('webhook-attempt')]
    const sequence = /^[1-9]\d{0,14}$/.test(said('webhook-sequence') ?? '') ? Number(said('webhook-sequence')) : null
    const before = top.get(endpoint ?? '')
    if (sequence !== null && top.size < ENDPOINTS_MOST) top.set(endpoint ?? '', Math.max(before ?? 0, sequence))
    const gap = before !== undefined && sequence !== null && sequence > before + 1 ? { from: before + 1, to: sequence - 1 } : null
    const genuine = verdict === undefined || verdict.ok
    const answer = genuine ? status : 401
    const signature = verdict === undefined ? 'not checked' : verdict.ok ? 'good' : verdict.reason
    voice.emit({ type: 'webhook.received', at: now, method: request.method, path: request.path, id, endpoint, sequence, attempt, signature, status: answer, gap, body: request.body })
    voice.say(visible(`${stampOf(now)}  ${answer}  signature ${signature}  ${id ?? 'no id'}${attempt === null ? '' : ` #${attempt}`}${sequence === null ? '' : `  number ${sequence}`}${gap === null ? '' : `, behind a GAP: ${gap.from === gap.to ? gap.from : `${gap.from} to ${gap.to}`}`}`))
    if (bodies) voice.say(visible(request.body.slice(0, BODY_SHOWN)))
    return Promise.resolve({ status: answer, headers: {}, body: '' })
  }
  const server = await serveHttp(handle, { clock, host, port })
  voice.emit({ type: 'ready', url: server.url })
  voice.answer(`listening on ${server.url}${judge ? '' : '; no --secret, so no signature is checked'}`)
  await untilTold(signal)
  await server.close(1000)
  voice.emit({ type: 'stopped', ok: true, received: count })
  voice.say(`${count} received`)
  return 0
}
