/** A webhook engine in virtual time, on a store in memory, with receivers that are functions. */
import { VirtualClock } from '../../../src/clock.ts'
import type { Event } from '../../../src/events.ts'
import { EventLog } from '../../../src/events.ts'
import type { HttpRequest, HttpResponse, Network, Outcome } from '../../../src/network.ts'
import { Random } from '../../../src/random.ts'
import { ResilError } from '../../../src/errors.ts'
import { WebhookEngine } from '../../../src/engines/webhook/engine.ts'
import { migrations } from '../../../src/engines/webhook/migrations.ts'
import type { WebhookSettings } from '../../../src/engines/webhook/settings.ts'
import { openSqlite } from '../../../src/engines/store/sqlite.ts'
import type { SqliteStore } from '../../../src/engines/store/sqlite.ts'
import type { Store } from '../../../src/engines/store/store.ts'

/** Answers a status after some ms, or a code that stands for no answer. */
export type Receiver = (request: HttpRequest, seen: number) => { status: number; headers?: Record<string, string>; body?: string; ms?: number } | { code: string; ms?: number }

export interface Seen {
  at: number
  origin: string
  id: string
  headers: Record<string, string>
  body: string
}

export interface House {
  clock: VirtualClock
  store: SqliteStore
  events: Event[]
  seen: Seen[]
  /** `through` stands between the engine and the store. */
  engine(node?: string, settings?: Partial<WebhookSettings>, through?: (store: Store) => Store): { engine: WebhookEngine; stop(): Promise<void> }
  receivers: Map<string, Receiver>
  live<T>(work: Promise<T>): Promise<T>
  rows<R extends object>(sql: string): Promise<R[]>
  close(): Promise<void>
}

export async function openHouse(settings: Partial<WebhookSettings> = {}, seed = 1): Promise<House> {
  const clock = new VirtualClock()
  const random = Random.seeded(seed)
  const log = new EventLog('house', clock)
  const events: Event[] = []
  log.subscribe((event) => events.push(event))
  const live = <T>(work: Promise<T>) => clock.run(work, { timers: 10_000_000 })
  const store = await live(openSqlite(':memory:', { clock, random: random.fork('store') }))
  await live(store.migrate(migrations))
  const receivers = new Map<string, Receiver>()
  const seen: Seen[] = []
  const network: Network = {
    async call(origin, request, { timeoutMs }): Promise<Outcome<HttpResponse>> {
      seen.push({ at: clock.now(), origin, id: request.headers['webhook-id']!, headers: request.headers, body: request.body })
      const answer = receivers.get(origin)!(request, seen.length)
      const ms = Math.min(answer.ms ?? 5, timeoutMs)
      await clock.sleep(ms)
      if ((answer.ms ?? 5) > timeoutMs) return { kind: 'unknown', error: new ResilError('TIMEOUT', 'no whole answer') }
      if ('code' in answer) return { kind: answer.code === 'REFUSED' ? 'failed' : 'unknown', error: new ResilError(answer.code, answer.code) }
      return { kind: 'ok', value: { status: answer.status, headers: answer.headers ?? {}, body: answer.body ?? '' } }
    },
  }
  let incarnation = 0
  const stops: (() => Promise<void>)[] = []
  return {
    clock,
    store,
    events,
    seen,
    receivers,
    live,
    rows: (sql) => live(store.transaction('look', (tx) => tx.query(sql))) as Promise<never[]>,
    engine(node = 'n1', own = {}, through = (inner) => inner) {
      const engine = new WebhookEngine({ clock, random, network, store: through(store), log: log.from('engine', node), node, incarnation: ++incarnation, masterKeys: [Buffer.alloc(32, 7)], allow: ['127.0.0.1/32'], plainHttp: true, version: '0.0.0' }, { ...settings, ...own })
      const abort = new AbortController()
      const running = engine.start(abort.signal)
      running.catch(() => {}) // told by stop
      const stop = async () => {
        abort.abort()
        await live(running)
      }
      stops.push(stop)
      return { engine, stop }
    },
    async close() {
      for (const stop of stops) await stop()
      await live(store.close())
    },
  }
}
