/** The way to wherever schedules send their requests: a pool for each origin, made when it is first needed. */
import type { Clock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import { HttpNetwork } from '../http-client.ts'
import type { CallOptions, HttpRequest, HttpResponse, Network, Outcome } from '../network.ts'

/** Origins that are kept open; schedules that need more are refused, loudly. */
const ORIGINS_MAX = 1000

export class JobNetwork implements Network {
  readonly #clock: Clock
  readonly #origins = new Map<string, HttpNetwork>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** `origin` is one, as https://jobs.example:8443. */
  call(origin: string, request: HttpRequest, options: CallOptions): Promise<Outcome<HttpResponse>> {
    let network = this.#origins.get(origin)
    if (!network) {
      if (this.#origins.size >= ORIGINS_MAX) return Promise.resolve({ kind: 'failed', error: new ResilError('TOO_MANY_ORIGINS', `requests go to more than ${ORIGINS_MAX} origins`, 'put a gateway before them') })
      network = new HttpNetwork({ clock: this.#clock, services: { job: origin } })
      this.#origins.set(origin, network)
    }
    return network.call('job', request, options)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#origins.values()].map((network) => network.close()))
  }
}
