/**
 * What stands between a simulated engine and a customer that is evil in bytes: it answers what src/open-network.ts makes of such bytes (see the table in its head),
 * for in a world without bytes nobody else can. Whether it does make that of them is shown on sockets, where evil-sockets.ts stands in its place.
 *
 * | mood                                         | reaches the customer | outcome |
 * |----------------------------------------------|----------------------|---------|
 * | tls_expired, tls_self_signed, tls_wrong_host | no                   | failed with that code |
 * | tls_old                                      | no                   | failed TLS_FAILED |
 * | tls_hang                                     | no                   | failed CONNECT_TIMEOUT when connecting may take no longer |
 * | dns_nxdomain                                 | no                   | failed DNS_NOT_FOUND |
 * | dns_servfail, dns_timeout                    | no                   | failed DNS_FAILED, the latter when connecting may take no longer |
 * | flood_1xx, slowloris_head                    | yes                  | unknown TIMEOUT at the deadline |
 * | partial_head                                 | yes                  | unknown RESET |
 * | big_headers                                  | yes                  | unknown ANSWER_TOO_LARGE |
 * | slowloris_body                               | yes                  | ok 200 at the deadline, `cut` slow |
 * | partial_body                                 | yes                  | ok 200, `cut` broken |
 * | endless, gzip_bomb                           | yes                  | ok 200, `cut` too_large, as much of the body as is kept, as it came |
 * | ansi                                         | no                   | ok 500, with escape sequences in a header and in the body |
 * | keepalive_race                               | yes                  | its own; each fifth request finds its connection closed and is sent once more: half of these had been read before |
 */
import type { Clock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { Log } from '../events.ts'
import type { CallOptions, HttpRequest, HttpResponse, Network, Outcome } from '../network.ts'
import type { OpenAnswer } from '../open-network.ts'
import { BODY_KEPT } from '../open-network.ts'
import type { Evil } from '../engines/webhook/stage.ts'
import type { EvilMachines } from './evil-machines.ts'

/** For the name, the connection and TLS, ms: as long as on sockets. */
const CONNECT_LIMIT_MS = 10_000
/** Until a name or a handshake has said no, ms. */
const HANDSHAKE_MS = 5
/** Of requests on a kept connection, each so manieth meets its end. */
const RACE_EVERY = 5

const UNCONNECTED: Partial<Record<Evil, string>> = {
  tls_expired: 'TLS_EXPIRED',
  tls_self_signed: 'TLS_SELF_SIGNED',
  tls_wrong_host: 'TLS_WRONG_HOST',
  tls_old: 'TLS_FAILED',
  tls_hang: 'CONNECT_TIMEOUT',
  dns_nxdomain: 'DNS_NOT_FOUND',
  dns_servfail: 'DNS_FAILED',
  dns_timeout: 'DNS_FAILED',
}
/** Those that say nothing until the time is over. */
const SILENT: ReadonlySet<Evil> = new Set(['tls_hang', 'dns_timeout', 'flood_1xx', 'slowloris_head', 'slowloris_body'])
const UNANSWERED: Partial<Record<Evil, string>> = { flood_1xx: 'TIMEOUT', slowloris_head: 'TIMEOUT', partial_head: 'RESET', big_headers: 'ANSWER_TOO_LARGE' }
const ANSWERED: Partial<Record<Evil, OpenAnswer>> = {
  slowloris_body: { status: 200, headers: {}, body: 'a', cut: 'slow' },
  partial_body: { status: 200, headers: { 'content-length': '100' }, body: 'a'.repeat(10), cut: 'broken' },
  endless: { status: 200, headers: {}, body: 'a'.repeat(BODY_KEPT), cut: 'too_large' },
  gzip_bomb: { status: 200, headers: { 'content-encoding': 'gzip' }, body: '\u001f\u008b'.padEnd(BODY_KEPT, '\0'), cut: 'too_large' },
  ansi: { status: 500, headers: { 'x-mood': '\u001b[31mred' }, body: '\u001b]0;owned\u0007\u001b[2J' },
}

export class EvilNetwork implements EvilMachines {
  readonly #log: Log
  readonly #moods = new Map<string, Evil>()
  #raced = 0

  /** `log` is bound to src `proxy`. */
  constructor(log: Log) {
    this.#log = log
  }

  /** Null ends it. */
  become(customer: string, mood: Evil | null): Promise<void> {
    if (mood === null) this.#moods.delete(customer)
    else this.#moods.set(customer, mood)
    return Promise.resolve()
  }

  heal(): Promise<void> {
    this.#moods.clear()
    return Promise.resolve()
  }

  /** One life's way to the customers. */
  before(network: Network, clock: Clock): Network {
    return {
      call: (customer, request, options) => {
        const mood = this.#moods.get(customer)
        return mood === undefined ? network.call(customer, request, options) : this.#meet(mood, network, clock, customer, request, options)
      },
    }
  }

  async #meet(mood: Evil, network: Network, clock: Clock, customer: string, request: HttpRequest, options: CallOptions): Promise<Outcome<HttpResponse>> {
    if (mood === 'keepalive_race') return this.#race(network, customer, request, options)
    const start = clock.monotonic()
    const unconnected = UNCONNECTED[mood]
    this.#hit(customer, mood, unconnected ?? 'the answer is not as it should be')
    if (unconnected !== undefined) {
      await clock.sleep(SILENT.has(mood) ? Math.min(CONNECT_LIMIT_MS, options.timeoutMs) : HANDSHAKE_MS)
      return { kind: 'failed', error: new ResilError(unconnected, `no connection with ${customer}`) }
    }
    if (mood === 'ansi') await clock.sleep(HANDSHAKE_MS)
    else {
      const outcome = await network.call(customer, request, options)
      if (outcome.kind !== 'ok') return outcome
    }
    if (SILENT.has(mood)) await clock.sleep(Math.max(0, start + options.timeoutMs - clock.monotonic()))
    const answer = ANSWERED[mood]
    return answer === undefined ? { kind: 'unknown', error: new ResilError(UNANSWERED[mood]!, `no answer from ${customer}`) } : { kind: 'ok', value: answer }
  }

  async #race(network: Network, customer: string, request: HttpRequest, options: CallOptions): Promise<Outcome<HttpResponse>> {
    if (++this.#raced % RACE_EVERY === 0) {
      const wasRead = this.#raced % (2 * RACE_EVERY) === 0
      this.#hit(customer, 'keepalive_race', wasRead ? 'read, then the connection was closed' : 'the connection was closed')
      if (wasRead) await network.call(customer, request, options)
    }
    return network.call(customer, request, options)
  }

  #hit(customer: string, mood: Evil, action: string): void {
    this.#log.emit('toxic.hit', { link: customer, toxic: mood, toxicType: 'evil', connection: 0, exchange: null, action })
  }
}
