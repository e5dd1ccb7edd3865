/**
 * The bank's webhooks: what happened, told to whoever listens, signed, again and again until it answers 2xx, and not always as one would wish.
 *
 *   effect ── tell ── DELAY_MS ── attempt 1 ── 1 s ── attempt 2 ── 2 s ── attempt 3 ── 4 s ── ... attempt ATTEMPTS, then never again
 *
 * The signature is `t=SECONDS,v1=HEX`, HEX being HMAC-SHA256 of `SECONDS.BODY` under the secret, as Stripe's is; each attempt is signed anew.
 */
import { createHmac } from 'node:crypto'
import type { Clock } from '../../clock.ts'
import type { Log } from '../../events.ts'
import type { HttpResponse } from '../../network.ts'
import type { Random } from '../../random.ts'
import type { LieSchedule, Send } from '../mock.ts'

/** Where events are posted. */
export const WEBHOOK_PATH = '/v1/bank-events'

/** What they are signed with when nobody says: a mock has nothing to hide. */
export const WEBHOOK_SECRET = 'whsec_resil_mock_bank'

/** After the effect, ms: behind the answer, where nothing else delays that. */
const DELAY_MS = 50

/** Attempts of one delivery: 127 s of backoff, longer than any node takes to come back. */
const ATTEMPTS = 8

const BACKOFF_MS = 1000

/** Deliveries under way at once; what comes beyond is dropped, as a listener must survive it. */
const PENDING_LIMIT = 10_000

export interface Message {
  /** The id and the type of the event in it. */
  id: string
  about: string
  reference: string
  body: string
  /** The header that carries the signature. */
  signedIn: 'bank-signature' | 'stripe-signature'
}

export interface WebhooksSetup {
  clock: Clock
  ids: Random
  log: Log
  schedule: LieSchedule
  secret: string
}

export class Webhooks {
  readonly #setup: WebhooksSetup
  #send: Send | undefined
  #stop = new AbortController()
  #pending = 0
  /** Deliveries that let the next one go first. */
  #heldBack: (() => void)[] = []
  /** What the answer being made waits for; undefined while none is being made. */
  #first: Promise<void>[] | undefined

  constructor(setup: WebhooksSetup) {
    this.#setup = setup
  }

  /** From now on events are sent. The answer ends that, and every delivery under way. */
  bind(send: Send): () => void {
    this.#send = send
    this.#stop = new AbortController()
    return () => {
      this.#send = undefined
      this.#heldBack = []
      this.#stop.abort()
    }
  }

  /** `write` is given the event's id. Without a listener nothing is written. */
  tell(write: (id: string) => Message): void {
    if (!this.#send) return
    const { clock, ids, log, schedule } = this.#setup
    const message = write(ids.id('evt'))
    if (this.#pending >= PENDING_LIMIT) {
      log.emit('bank.webhook_dropped', { webhook: message.id, about: message.about, reference: message.reference })
      return
    }
    const { signal } = this.#stop
    const lie = schedule.take('webhook')
    if (lie?.kind === 'webhook_reordered') {
      const release = () => {
        cancel()
        this.#heldBack = this.#heldBack.filter((held) => held !== release)
        void this.#deliver(message, 0, signal)
      }
      const cancel = clock.after(lie.ms, release)
      signal.addEventListener('abort', cancel, { once: true })
      this.#heldBack.push(release)
      return
    }
    const early = lie?.kind === 'webhook_first'
    const first = this.#deliver(message, early ? 0 : lie?.kind === 'webhook_late' ? lie.ms : DELAY_MS, signal)
    if (early) this.#first?.push(Promise.race([first, clock.sleep(lie.ms, signal)]))
    if (lie?.kind === 'webhook_twice') void this.#deliver(message, DELAY_MS, signal)
    const held = this.#heldBack.splice(0)
    if (held.length > 0) void first.then(() => held.forEach((release) => release()))
  }

  /** Makes an answer; it is held back when something it tells of must be heard first. */
  during(finish: () => HttpResponse | Promise<HttpResponse>): HttpResponse | Promise<HttpResponse> {
    if (!this.#send) return finish()
    const first: Promise<void>[] = []
    this.#first = first
    try {
      const response = finish()
      return first.length === 0 ? response : Promise.all(first).then(() => response)
    } finally {
      this.#first = undefined
    }
  }

  /** Resolves when the first attempt has ended. */
  #deliver(message: Message, delayMs: number, signal: AbortSignal): Promise<void> {
    this.#pending++
    return new Promise((tried) => {
      void this.#attempts(message, delayMs, signal, tried).finally(() => {
        this.#pending--
        tried()
      })
    })
  }

  async #attempts({ id, about, reference, body, signedIn }: Message, delayMs: number, signal: AbortSignal, tried: () => void): Promise<void> {
    const { clock, log, secret } = this.#setup
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const waitMs = attempt === 1 ? delayMs : BACKOFF_MS * 2 ** (attempt - 2)
      if (waitMs > 0) await clock.sleep(waitMs, signal)
      if (signal.aborted || !this.#send) return
      const headers = { 'content-type': 'application/json', [signedIn]: signature(secret, Math.floor(clock.now() / 1000), body) }
      const outcome = await this.#send({ method: 'POST', path: WEBHOOK_PATH, headers, body })
      const status = outcome.kind === 'ok' ? outcome.value.status : 0
      log.emit('bank.webhook_attempted', { webhook: id, about, reference, attempt, status })
      tried()
      if (status >= 200 && status < 300) return
    }
  }
}

/** `seconds` since 1970. */
export function signature(secret: string, seconds: number, body: string): string {
  return `t=${seconds},v1=${createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex')}`
}
