/**
 * The webhooks of a world that stays open: what the payment engine has told the notification service goes to three customers.
 *
 *   mock notification ──▶ link webhooks ──▶ webhook engine (process) ──▶ link customer-1 ──▶ mock customer
 *                                                                    ──▶ link customer-2 ──▶ ...
 *
 * The notification service answers once the event is on the webhook engine's disk. Until then the payment engine's outbox asks again: what was charged is
 * told, whoever is killed in between.
 */
import { writeFileSync } from 'node:fs'
import type { Clock } from '../clock.ts'
import type { EventLog } from '../events.ts'
import type { HttpRequest } from '../network.ts'
import { json, parseJson } from '../network.ts'
import type { Random } from '../random.ts'
import type { WebhookSettings } from '../engines/webhook/settings.ts'
import { newSecret } from '../engines/webhook/signature.ts'
import type { Mock } from '../proxy/mock.ts'
import { isText, objectOf } from '../proxy/mock.ts'
import type { Customer } from '../proxy/mocks/customer.ts'
import { customer as openCustomer, typicalLatency } from '../proxy/mocks/customer.ts'
import type { Toxic } from '../proxy/toxic.ts'
import { keyFileOf } from './key-file.ts'
import { labKey, openWebhooks } from './webhook-alone.ts'
import type { WireBody } from './wire-body.ts'
import { openWireBody } from './wire-body.ts'

export const CUSTOMERS = ['customer-1', 'customer-2', 'customer-3'] as const
export const WEBHOOK_NODE = 'w1'

/** A new life takes its lanes soon, a screen sees how they stand, and whoever leaves does not wait long for an answer that hangs. */
const SETTINGS: Partial<WebhookSettings> = { leaseMs: 6000, drainMs: 2000, observed: true }

/** How long the notification service waits for the webhook engine, ms: less than the payment engine waits for the notification service. */
const PUBLISH_MS = 800

export interface UpWebhooksPlan {
  log: EventLog
  clock: Clock
  random: Random
  seed: number
  toxics: Record<string, Toxic>
  /** Of the link before the engine; 0 takes any free one. */
  port: number
  /** Of the links before the customers, by name. */
  ports: Record<string, number>
  /** Told when the engine ends though nobody here ended it, or when `why` something cannot go on. */
  onLost(what: string, why: unknown): void
}

export interface UpWebhooks {
  body: WireBody
  /** What listens where, by name; the engine's own is known once it has begun. */
  urls: Record<string, string>
  /** Registers the customers and starts the engine. */
  begin(): Promise<void>
  /** The same service, which passes on what it is told as an event. */
  passingOn(notification: Mock): Mock
  /** The customer that keys act on is the next one, or the one before. */
  select(step: 1 | -1): void
  /** Its connections are refused from now on, or taken again. */
  flip(): void
  readonly isDown: boolean
  close(): Promise<void>
}

/** Throws PORT_BUSY. */
export async function openUpWebhooks({ log, clock, random, seed, toxics, port, ports, onLost }: UpWebhooksPlan): Promise<UpWebhooks> {
  const customers = new Map(CUSTOMERS.map((name): [string, Customer] => [name, openCustomer({ clock, random: random.fork(name), log: log.from('mock'), latency: typicalLatency }, { name })]))
  const { body, urls } = await openWireBody({
    clock,
    log,
    random,
    seed,
    toxics,
    mocks: Object.fromEntries(customers),
    subject: { kind: 'reference' },
    engine: 'webhook',
    settings: { ...SETTINGS },
    nodes: [WEBHOOK_NODE],
    db: undefined,
    ports,
    port,
    onLost,
  })
  const place = { keys: () => [labKey(seed)], allow: ['127.0.0.1/32'], plainHttp: true, version: 'laboratory' }

  async function register(): Promise<void> {
    // For the operator's commands: they look for the key beside the database.
    writeFileSync(keyFileOf(body.db), `${labKey(seed).toString('base64')}\n`, { mode: 0o600 })
    const { engine, close } = await openWebhooks(body.db, place, clock)
    try {
      for (const [name, customer] of customers) {
        const { endpoint, secret } = await engine.endpoints.add({ url: `${urls[name]}/hook`, description: name, secret: newSecret('v1', random.fork(`secret/${name}`)) })
        customer.trust([secret])
        log.emit('lab', 'endpoint.added', { endpoint: endpoint.id, customer: name })
      }
    } finally {
      await close()
    }
  }

  let sent = 0
  /** Whether nothing is left to pass on: the event is on the engine's disk, or the engine will not have it. */
  async function publish({ id, type, payment, order, amount, currency }: Record<string, unknown>): Promise<boolean> {
    const said = { nth: ++sent, what: type, key: null }
    const { t: askedAt } = log.emit('client', 'event.sent', { ...said, idempotencyKey: id })
    const start = clock.monotonic()
    const headers = { 'content-type': 'application/json', 'idempotency-key': String(id) }
    const outcome = await body.clients.call('webhooks', { method: 'POST', path: '/v1/events', headers, body: JSON.stringify({ type, data: { payment, order, amount, currency } }) }, { timeoutMs: PUBLISH_MS })
    const ms = Math.round((clock.monotonic() - start) * 10) / 10
    const status = outcome.kind === 'ok' ? outcome.value.status : 0
    const taken = outcome.kind === 'ok' && status === 202 ? objectOf(parseJson(outcome.value.body)) : undefined
    if (taken) {
      log.emit('client', 'event.accepted', { ...said, event: taken['id'], deliveries: taken['deliveries'], ms, askedAt })
      return true
    }
    const isRefused = status >= 400 && status < 500
    log.emit('client', 'event.refused', { nth: said.nth, told: isRefused ? 'refused' : 'unknown', status, why: outcome.kind === 'ok' ? null : outcome.error.code })
    return isRefused
  }

  /** What need not be passed on again, by id: no more than the notification service takes. */
  const passed = new Set<string>()
  const passOn = async (request: HttpRequest): Promise<boolean> => {
    const word = objectOf(parseJson(request.body))
    if (!isText(word?.['id']) || !isText(word['type']) || passed.has(word['id'])) return true
    const isDone = await publish(word)
    if (isDone) passed.add(word['id'])
    return isDone
  }

  const down = new Set<string>()
  let selected = 0
  const chosen = () => CUSTOMERS[selected]!
  const press = (key: string, does: string) => void log.emit('lab', 'key.pressed', { key, does })
  return {
    body,
    urls,
    async begin() {
      await register()
      await body.start(WEBHOOK_NODE)
    },
    passingOn: (notification) => ({
      ...notification,
      handle: async (request) => {
        const answer = await notification.handle(request)
        return answer.status !== 202 || (await passOn(request)) ? answer : json(503, { error: 'the webhook engine has not taken it' })
      },
    }),
    select: (step) => {
      selected = (selected + step + CUSTOMERS.length) % CUSTOMERS.length
      press(step > 0 ? '→' : '←', `select ${chosen()}`)
      log.emit('lab', 'customer.selected', { customer: chosen() })
    },
    flip: () => {
      const link = chosen()
      const wasDown = down.delete(link)
      if (!wasDown) down.add(link)
      press('k', `take ${link} ${wasDown ? 'up' : 'down'}`)
      body.link(link).setEnabled(wasDown).catch((error: unknown) => onLost(link, error)) // somebody else has its port now
      log.emit('lab', wasDown ? 'link.raised' : 'link.downed', { link })
    },
    get isDown() {
      return down.has(chosen())
    },
    async close() {
      for (const customer of customers.values()) customer.close?.()
      await body.close()
    },
  }
}
