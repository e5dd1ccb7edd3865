/**
 * Webhooks: what happened here is told to whoever asked for it, at least once, signed, however the other side behaves.
 *
 *   event ──(one transaction)──▶ a delivery for each endpoint ──▶ its lane ──▶ attempts ──▶ delivered
 *                                                                   │            └──▶ dead, with a reason: a state, not another queue ──▶ replay
 *                                                                   └ an outage parks the lane, costs no message anything, and ends with the first success
 */
import type { Log } from '../../events.ts'
import type { HttpRequest, HttpResponse } from '../../network.ts'
import type { Engine, Outside } from '../engine.ts'
import { outsideTransactions } from '../store/store.ts'
import { Dispatcher } from './dispatcher.ts'
import { Endpoints } from './endpoints.ts'
import { Events } from './events.ts'
import { Face } from './http.ts'
import { Keeper } from './keeper.ts'
import { Keyring } from './keyring.ts'
import { Metrics } from './metrics.ts'
import { migrations } from './migrations.ts'
import { unlessTrouble } from './ownership.ts'
import { Replays } from './replay.ts'
import type { WebhookSettings } from './settings.ts'
import { DEFAULTS } from './settings.ts'
import { Vault } from './vault.ts'

export interface WebhookOutside extends Outside {
  /** Seal the endpoints' secrets: the first one seals, all open. */
  masterKeys: readonly Uint8Array[]
  /** Networks, in CIDR notation, that endpoints may be in beside public ones. */
  allow: readonly string[]
  plainHttp: boolean
  /** Whoever does not bring it is refused; absent: nobody is. */
  token?: string
  version: string
}

export class WebhookEngine implements Engine {
  readonly events: Events
  readonly endpoints: Endpoints
  readonly replays: Replays
  readonly dispatcher: Dispatcher
  readonly #outside: WebhookOutside
  readonly #settings: WebhookSettings
  readonly #log: Log
  readonly #keeper: Keeper
  readonly #face: Face

  constructor(outside: WebhookOutside, settings: Partial<WebhookSettings> = {}) {
    const all = { ...DEFAULTS, ...settings }
    const { clock, store, node, incarnation, version } = outside
    const metrics = new Metrics(clock)
    const log = metrics.tee(outside.log)
    const random = outside.random.fork(`webhook/${node}/${incarnation}`)
    const vault = new Vault(outside.masterKeys, random.fork('vault'))
    const own = { clock, store, random }
    this.#outside = outside
    this.#log = log
    this.#settings = all
    this.events = new Events(own, all.gatherMs, () => this.dispatcher.along())
    this.endpoints = new Endpoints(own, vault, { allow: outside.allow, plainHttp: outside.plainHttp, deadlineMaxMs: all.deadlineMaxMs, placesMost: all.placesMost })
    this.replays = new Replays(own)
    this.dispatcher = new Dispatcher({ clock, store, log, node, random: random.fork('dispatcher'), network: outsideTransactions(outside.network, store), life: random.id('life'), settings: all, events: this.events, keys: new Keyring(vault), version })
    this.#keeper = new Keeper({ clock, store, log, settings: all, events: this.events, replays: this.replays, isOn: () => this.dispatcher.isFirst })
    this.#face = new Face({
      clock, store, log, vault, metrics, node, version, events: this.events, endpoints: this.endpoints, replays: this.replays, settings: all, token: outside.token,
      wake: () => this.dispatcher.wake(),
      doing: () => ({ inFlight: this.dispatcher.inFlight, lanes: this.dispatcher.lanes.size }),
    })
  }

  /** Runs until the signal aborts, then lets what is in flight end. Throws NODE_REPLACED, VAULT_WRONG_KEY. */
  async start(signal: AbortSignal): Promise<void> {
    const { store, clock } = this.#outside
    const log = this.#log
    for (let ready = false; !ready && !signal.aborted; ) {
      try {
        await store.migrate(migrations)
        ready = true
      } catch (error) {
        unlessTrouble(error)
        log.emit('store.failed', { code: (error as { code: string }).code, what: 'migrate' })
        await clock.sleep(this.#settings.beatMs, signal)
      }
    }
    if (signal.aborted) return
    // When one loop fails the other must not go on alone.
    const stop = new AbortController()
    const ended = () => stop.abort()
    signal.addEventListener('abort', ended, { once: true })
    if (signal.aborted) stop.abort()
    let failure: unknown
    const loop = (work: Promise<void>) =>
      work.catch((error: unknown) => {
        failure ??= error
        stop.abort()
      })
    await Promise.all([loop(this.dispatcher.run(stop.signal)), loop(this.#keeper.run(stop.signal))])
    signal.removeEventListener('abort', ended)
    if (failure !== undefined) throw failure
  }

  handle = (request: HttpRequest): Promise<HttpResponse> => this.#face.handle(request)
}

/** What a module given as subject exports as `createEngine`. */
export type CreateWebhook = (outside: WebhookOutside, settings: Partial<WebhookSettings>) => WebhookEngine

export const createEngine: CreateWebhook = (outside, settings) => new WebhookEngine(outside, settings)
