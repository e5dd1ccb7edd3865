/**
 * Everything together, until somebody says stop: mocks, a link before each, the engine in a process of its own, and a link before it.
 *
 *   you ──▶ link payments ──▶ engine (process) ──▶ link bank ──▶ mock bank
 *                                              ──▶ link fraud ──▶ mock fraud
 *                                              ──▶ link notification ──▶ mock notification
 *                          scheduler (process) ──▶ link resource ──▶ mock resource
 *   mock notification ──▶ link webhooks ──▶ webhook engine (process) ──▶ links customer-1 … ──▶ mock customers
 *
 * An engine that is killed from outside begins a new life on the same database: `kill -9` is part of the play.
 */
import { existsSync, writeFileSync } from 'node:fs'
import type { Clock } from '../clock.ts'
import { SystemClock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { Event, EventLog } from '../events.ts'
import { Random } from '../random.ts'
import type { ToxicSpec } from '../scenario.ts'
import { ourFace } from '../engines/payment/adapter.ts'
import { GOOD_CARD, Shop } from '../engines/payment/shop.ts'
import { asLabJob } from '../engines/cron/lab-job.ts'
import { openSqlite } from '../engines/store/sqlite.ts'
import { resource, typicalLatency } from '../proxy/mocks/resource.ts'
import type { HostileLink } from '../proxy/rules.ts'
import { hasTable } from './audit.ts'
import { openCron } from './cron-alone.ts'
import { readToxic } from './plan.ts'
import { isForPeople } from './standing.ts'
import { loadToxics } from './units.ts'
import { empty, fold, story } from './up-view.ts'
import type { UpWebhooks } from './up-webhooks.ts'
import { CUSTOMERS, openUpWebhooks, WEBHOOK_NODE } from './up-webhooks.ts'
import type { OpenedWire, WireBody } from './wire-body.ts'
import { openWireBody } from './wire-body.ts'
import { openMocks } from './world.ts'

export interface UpPlan {
  log: EventLog
  clock: Clock
  seed: number
  /** Port of the engine's link; fraud, bank, notification, the scheduler, the resource, the webhook engine and the customers take the next nine. 0 takes any free ones. */
  port: number
  /** The engine's database; a temporary one when absent. */
  db: string | undefined
  /** The scheduler's; a temporary one with three schedules when absent. */
  cronDb: string | undefined
  /** Faults that are on from the start; see `readToxic`. */
  toxics: readonly string[]
}

/** A fault that a key switches on and off. */
export interface Switch {
  name: string
  /** The rule that it puts on a link, by their names. */
  fault: { link: string; toxic: string }
  readonly on: boolean
  flip(): void
}

export interface Up {
  /** The link before the engine. */
  url: string
  /** What listens where, by name. */
  urls: Record<string, string>
  /** The scheduler's database file: `resil cron` works on it. */
  cronDb: string
  /** The webhook engine's: `resil webhook` works on it. */
  webhookDb: string
  /** The given ones first, then those that are worth trying, up to nine: one for each key. */
  switches: readonly Switch[]
  /** Somebody pays, over the engine's link. */
  buy(): void
  /** The bank does its next charge and the answer is dropped. */
  inject(): void
  /** Stops the engine's process, or lets it go on. */
  pause(): void
  readonly paused: boolean
  /** Takes a customer down and up; see there. */
  customers: Pick<UpWebhooks, 'select' | 'flip' | 'isDown'>
  /** What became of the money and of the webhooks so far. */
  story(): string
  /** Rejects when an engine cannot go on. */
  failed: Promise<never>
  /** Lets the engine answer what is in flight, and leaves nothing behind. */
  close(): Promise<void>
}

/** In the order of their ports. */
const LINKS: readonly string[] = ['payments', 'fraud', 'bank', 'notification', 'cron', 'resource', 'webhooks', ...CUSTOMERS]

const NODE = 'n1'
/** The scheduler's. */
const CRON_NODE = 'c1'

/** Faults worth trying, off at first. */
const PROPOSED = [
  'bank:lost_response,method=POST,path=/v1/charges',
  'bank:latency=3s',
  'bank:http_error=500',
  'bank:timeout',
  'fraud:latency=1s',
  'notification:reset_peer',
  'payments:lost_response,method=POST',
  'resource:lost_response,method=POST',
  'customer-2:latency=2s',
]

/** Keys that switch a fault: 1 to 9. */
const KEYS = 9

/** What one pays who presses a key, minor units. */
const PRICE_MINOR = 9900
/** Payments of the key under way. */
const BUYING_MOST = 50

/** Lives that begin after deaths from outside: an engine that the system kills over and over is not raised for ever. */
const MOST_RISINGS = 1000

/** Throws PORT_BUSY, BAD_TOXIC, UNKNOWN_LINK, and what the store refuses. */
export async function openUp({ log, clock, seed, port, db, cronDb, toxics }: UpPlan): Promise<Up> {
  const known = await loadToxics()
  const specOf = (text: string) => readToxic(text, (type) => Object.keys(known[type]?.attributes ?? {})[0])
  const given = toxics.map((text) => ({ text, spec: specOf(text) }))
  const stray = given.find(({ spec }) => !LINKS.includes(spec.link))
  if (stray) throw new ResilError('UNKNOWN_LINK', `there is no link "${stray.spec.link}"`, `there are ${LINKS.join(', ')}`)
  const random = Random.seeded(seed)
  const next = (n: number) => (port === 0 ? 0 : port + n)
  let fail: (error: unknown) => void = () => {}
  const failed = new Promise<never>((_, reject) => {
    fail = reject
  })
  failed.catch(() => {}) // whoever waits for it is told; nobody has to
  let risings = 0
  let closing: Promise<void> | undefined
  /** An engine that somebody kills begins a new life. */
  const raise = (of: () => WireBody | undefined) => (node: string, why: unknown) => {
    if (closing) return
    if (why !== undefined || ++risings > MOST_RISINGS) fail(why ?? new ResilError('ENGINE_KILLED', `engines were killed ${MOST_RISINGS} times`, 'look at what kills it: memory, perhaps'))
    else of()?.start(node).catch(fail)
  }
  const toldSoFar = storyOf(log)
  /** What has been opened; the last one goes first, so that nobody is asked who is gone. */
  const opened: { close(): Promise<void> }[] = []
  const close = async () => {
    for (const world of opened.toReversed()) await world.close()
  }
  const common = { clock, log, random, seed, toxics: known, subject: { kind: 'reference' }, settings: {} } as const
  try {
    const webhooks = await openUpWebhooks({ log, clock, random, seed, toxics: known, port: next(6), ports: Object.fromEntries(CUSTOMERS.map((name, n) => [name, next(7 + n)])), onLost: raise(() => webhooks.body) })
    opened.push(webhooks)
    const mocks = openMocks(clock, random, log.from('mock'))
    const payments: OpenedWire = await openWireBody({
      ...common,
      mocks: { ...mocks, notification: webhooks.passingOn(mocks.notification) },
      engine: 'payment',
      nodes: [NODE],
      db,
      ports: { fraud: next(1), bank: next(2), notification: next(3) },
      port,
      livesBefore: db === undefined ? 0 : await livesIn(db),
      onLost: raise(() => payments.body),
    })
    const { body } = payments
    opened.push(body)
    const schedules: OpenedWire = await openWireBody({
      ...common,
      mocks: { resource: resource({ clock, random: random.fork('resource'), log: log.from('mock'), latency: typicalLatency }) },
      engine: 'cron',
      nodes: [CRON_NODE],
      db: cronDb,
      ports: { resource: next(5) },
      port: next(4),
      onLost: raise(() => schedules.body),
    })
    opened.push(schedules.body)
    log.emit('lab', 'run.started', { scenario: 'up', summary: 'everything together, until you say stop', mode: 'wire', seed, subject: 'reference', toxics: given.map(({ spec }) => spec), invariants: [], options: {} })
    if (cronDb === undefined) await putSchedules(schedules.body.db, clock)
    await together([body.start(NODE), schedules.body.start(CRON_NODE), webhooks.begin()])
    const url = body.url(NODE)
    const urls = { payments: url, ...payments.urls, cron: schedules.body.url(CRON_NODE), ...schedules.urls, webhooks: webhooks.body.url(WEBHOOK_NODE), ...webhooks.urls }
    const links = [...body.links, ...schedules.body.links, ...webhooks.body.links]
    const linkOf = (name: string) => links.find((link) => link.name === name)!
    log.emit('lab', 'world.opened', { urls })
    const asked = given.map(({ text, spec }, n) => ({ spec: { ...spec, name: `${spec.type}_${n + 1}` }, name: text, on: true }))
    const more = proposed(specOf, toxics).slice(0, Math.max(0, KEYS - asked.length))
    const press = (key: string, does: string) => void log.emit('lab', 'key.pressed', { key, does })
    const switches = switchesOf(linkOf, press, [...asked, ...more])
    const shop = new Shop({ adapter: ourFace, clock, log: log.from('client'), random: random.fork('shop'), options: { clicks: 1, amountMinor: PRICE_MINOR, currency: 'USD' }, send: (request, options) => body.clients.call('payments', request, options) })
    let buying = 0
    let paused = false
    return {
      url,
      urls,
      cronDb: schedules.body.db,
      webhookDb: webhooks.body.db,
      switches,
      buy: () => {
        if (buying >= BUYING_MOST) return
        buying++
        press('b', 'buy')
        const order = { ...shop.order(GOOD_CARD, { amount: PRICE_MINOR }), order: `basket-${shop.orders.length}` }
        void shop.pay(order, 'you').finally(() => buying--)
      },
      inject: () => {
        press('f', "drop the bank's next answer")
        dropNext(body)
      },
      get paused() {
        return paused
      },
      pause: () => {
        paused = !paused
        press('p', paused ? 'stop the payment engine' : 'let the payment engine go on')
        if (paused) body.pause(NODE)
        else body.resume(NODE)
      },
      customers: webhooks,
      story: toldSoFar,
      failed,
      close: () => (closing ??= close()),
    }
  } catch (error) {
    closing = close()
    await closing
    throw error
  }
}

export interface Terminal {
  out: NodeJS.WriteStream
  input: NodeJS.ReadStream
  colour: boolean
}

/** The live screen of it, until the reader leaves or `ended` resolves. What was said before, from `early`, is on it too. */
export async function watch(up: Up, { log, clock, early, ended, terminal }: { log: EventLog; clock: Clock; early: readonly Event[]; ended: Promise<void>; terminal: Terminal }): Promise<'left' | 'interrupted'> {
  const { showScreen } = await import('./reporters/screens/screen.tsx')
  const switches = up.switches.slice(0, KEYS).map((fault, n) => [String(n + 1), { label: fault.name, fault: fault.fault, press: () => fault.flip(), on: () => fault.on }] as const)
  const gone = new AbortController()
  void ended.then(() => gone.abort())
  return showScreen({
    ...terminal,
    signal: gone.signal,
    clock,
    layout: 'world',
    title: 'resil up',
    lingerMs: 0,
    ended,
    subscribe: (sink) => {
      for (const event of early) sink(event)
      return log.subscribe(sink)
    },
    keys: {
      ...Object.fromEntries(switches),
      'b': { label: 'buy for $99.00', press: () => up.buy() },
      'k': { label: 'take the customer down or up', press: () => up.customers.flip(), on: () => up.customers.isDown },
      'p': { label: 'stop the payment engine for a while', press: () => up.pause(), on: () => up.paused },
      'f': { label: "drop the bank's next answer", press: () => up.inject() },
      '←': { label: 'select the customer above', press: () => up.customers.select(-1) },
      '→': { label: 'select the customer below', press: () => up.customers.select(1) },
    },
    save: (kind, content) => {
      const file = `resil-up-${log.run}.${kind}`
      writeFileSync(file, content)
      return file
    },
  })
}

/** Listens from now on, and tells what has come of it so far. */
function storyOf(log: EventLog): () => string {
  const view = empty()
  log.subscribe((event) => void fold(view, event), isForPeople)
  return () => story(view)
}

/** Each is a process that takes its time to begin: all of them have begun, or what one of them failed with is thrown once none is on its way any more. */
async function together(beginnings: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(beginnings)).find((ended) => ended.status === 'rejected')
  if (failed) throw failed.reason
}

function proposed(specOf: (text: string) => ToxicSpec, given: readonly string[]): { spec: ToxicSpec; name: string; on: boolean }[] {
  return PROPOSED.filter((text) => !given.includes(text)).map((text, n) => ({ spec: { ...specOf(text), name: `proposed_${n + 1}` }, name: text, on: false }))
}

function switchesOf(linkOf: (name: string) => HostileLink, press: (key: string, does: string) => void, wanted: readonly { spec: ToxicSpec; name: string; on: boolean }[]): Switch[] {
  return wanted.map(({ spec, name, on }, n) => {
    const { rules } = linkOf(spec.link)
    if (on) rules.add(spec)
    return {
      name,
      fault: { link: spec.link, toxic: spec.name! },
      get on() {
        return rules.get(spec.name!) !== undefined
      },
      flip: () => {
        press(String(n + 1), `switch ${name} ${rules.get(spec.name!) ? 'off' : 'on'}`)
        if (!rules.remove(spec.name!)) rules.add(spec)
      },
    }
  })
}

/** Three jobs that one can watch: the source of most schedulers' work, on a day that passes faster. */
async function putSchedules(db: string, clock: Clock): Promise<void> {
  const { registry, close } = await openCron(db, clock)
  try {
    await registry.put('digest', { expr: '0 * * * * *', job: asLabJob('ms=800,steps=5') })
    await registry.put('reports', { expr: '*/30 * * * * *', job: asLabJob('ms=300') })
    await registry.put('cleanup', { expr: '*/15 * * * * *', job: asLabJob('ms=50') })
  } finally {
    await close()
  }
}

const DROP = 'next_answer_dropped'

function dropNext(body: WireBody): void {
  const { rules } = body.link('bank')
  rules.remove(DROP)
  rules.add({ link: 'bank', type: 'lost_response', name: DROP, attributes: { method: 'POST', path: '/v1/charges', first: 1 } })
}

/** How many lives of the node have left something in the database: a later one draws other ids. */
async function livesIn(db: string): Promise<number> {
  if (!existsSync(db)) return 0
  const store = await openSqlite(db, { clock: new SystemClock(), random: Random.system(), readOnly: true })
  try {
    if (!(await hasTable(store, 'payments'))) return 0
    const [row] = await store.transaction('lives', (tx) => tx.query<{ lives: number | null }>('SELECT max(owner_life) AS lives FROM payments WHERE owner_node = :node', { node: NODE }))
    return row?.lives ?? 0
  } finally {
    await store.close()
  }
}
