/** The webhooks HTTP face. */
import type { Clock } from '../../clock.ts'
import { ResilError } from '../../errors.ts'
import type { Log } from '../../events.ts'
import type { HttpRequest, HttpResponse } from '../../network.ts'
import { json, parseJson, problem } from '../../network.ts'
import type { Store } from '../store/store.ts'
import { isStoreTrouble } from '../store/store.ts'
import type { Endpoints, NewEndpoint } from './endpoints.ts'
import type { Events, NewEvent } from './events.ts'
import type { Replays } from './replay.ts'
import type { Vault } from './vault.ts'

export interface FaceSetup {
  clock: Clock
  store: Store
  log: Log
  vault: Vault
  events: Events
  endpoints: Endpoints
  replays: Replays
  token: string | undefined
  /** Something was enqueued. */
  wake(): void
}

export class Face {
  readonly #setup: FaceSetup

  constructor(setup: FaceSetup) {
    this.#setup = setup
  }

  async handle(request: HttpRequest): Promise<HttpResponse> {
    const { pathname } = new URL(request.path, 'http://engine')
    try {
      if (pathname === '/healthz') return json(200, { ok: true })
      if (pathname === '/v1/events' && request.method === 'POST') {
        const taken = await this.#setup.events.take(parseJson(request.body) as NewEvent)
        this.#setup.wake()
        return json(202, taken)
      }
      if (pathname === '/v1/endpoints' && request.method === 'POST') {
        const { endpoint, secret } = await this.#setup.endpoints.add(parseJson(request.body) as NewEndpoint)
        return json(201, { ...endpoint, secret })
      }
    } catch (error) {
      if (isStoreTrouble(error)) return problem(503, 'unavailable', 'Try again in a moment with the same idempotency key', { detail: error.message })
      if (error instanceof ResilError) return problem(400, error.code.toLowerCase(), error.message)
      throw error
    }
    return problem(404, 'not-found', 'There is nothing here')
  }
}
