/**
 * Everything together, until somebody says stop: mocks, a link before each, the engine in a process of its own, and a link before it.
 *
 *   you ──▶ link payments ──▶ engine (process) ──▶ link bank ──▶ mock bank
 *                                              ──▶ link fraud ──▶ mock fraud
 *                                              ──▶ link notification ──▶ mock notification
 *                          scheduler (process) ──▶ link resource ──▶ mock resource
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
import { empty, fold, story } from '../engines/payment/view.ts'
import { asLabJob } from '../engines/cron/lab-job.ts'
import { openSqlite } from '../engines/store/sqlite.ts'
import { resource, typicalLatency } from '../proxy/mocks/resource.ts'
import type { HostileLink } from '../proxy/rules.ts'
import { hasTable } from './audit.ts'
import { openCron } from './cron-alone.ts'
import { readToxic } from './plan.ts'
import { loadToxics } from './units.ts'
import type { WireBody } from './wire-body.ts'
import { openWireBody } from './wire-body.ts'
import { openMocks } from './world.ts'

export interface UpPlan {
  log: EventLog
  clock: Clock
  seed: number
  /** Port of the engine's link; fraud, bank, notification, the scheduler and the resource take the next five. 0 takes any free ones. */
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
  /** The given ones first, then those that are worth trying, up to nine: one for each key. */
  switches: readonly Switch[]
  /** The bank does its next charge and the answer is dropped. */
  inject(): void
  /** Stops the engine's process, or lets it go on. */
  pause(): void
  readonly paused: boolean
  /** Rejects when the engine cannot go on. */
  failed: Promise<never>
  /** Lets the engine answer what is in flight, and leaves nothing behind. */
  close(): Promise<void>
}

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
]

/** Keys that switch a fault: 1 to 9. */
const KEYS = 9

/** Lives that begin after deaths from outside: an engine that the system kills over and over is not raised for ever. */
const MOST_RISINGS = 1000

/** Throws PORT_BUSY, BAD_TOXIC, UNKNOWN_LINK, and what the store refuses. */
export async function openUp({ log, clock, seed, port, db, cronDb, toxics }: UpPlan): Promise<Up> {
  const known = await loadToxics()
  const specOf = (text: string) => readToxic(text, (type) => Object.keys(known[type]?.attributes ?? {})[0])
  const given = toxics.map((text) => ({ text, spec: specOf(text) }))
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
    if (why !== undefined || ++risings > MOST_RISINGS) fail(why ?? new ResilError('ENGINE_KILLED', `the engine was killed ${MOST_RISINGS} times`, 'look at what kills it: memory, perhaps'))
    else of()?.start(node).catch(fail)
  }
  const { body, urls: paymentUrls } = await openWireBody({
    clock,
    log,
    random,
    seed,
    toxics: known,
    mocks: openMocks(clock, random, log.from('mock')),
    subject: { kind: 'reference' },
    engine: 'payment',
    settings: {},
    nodes: [NODE],
    db,
    ports: { fraud: next(1), bank: next(2), notification: next(3) },
    port,
    livesBefore: db === undefined ? 0 : await livesIn(db),
    onLost: raise(() => body),
  })
  let scheduler: WireBody | undefined
  const close = async () => {
    await scheduler?.close()
    await body.close()
  }
  try {
    log.emit('lab', 'run.started', { scenario: 'up', summary: 'everything together, until you say stop', mode: 'wire', seed, subject: 'reference', toxics: given.map(({ spec }) => spec), invariants: [], options: {} })
    await body.start(NODE)
    const opened = await openWireBody({
      clock,
      log,
      random,
      seed,
      toxics: known,
      mocks: { resource: resource({ clock, random: random.fork('resource'), log: log.from('mock'), latency: typicalLatency }) },
      subject: { kind: 'reference' },
      engine: 'cron',
      settings: {},
      nodes: [CRON_NODE],
      db: cronDb,
      ports: { resource: next(5) },
      port: next(4),
      onLost: raise(() => scheduler),
    })
    scheduler = opened.body
    if (cronDb === undefined) await putSchedules(scheduler.db, clock)
    await scheduler.start(CRON_NODE)
    const url = body.url(NODE)
    const urls = { payments: url, ...paymentUrls, cron: scheduler.url(CRON_NODE), ...opened.urls }
    const linkOf = (name: string) => scheduler!.links.find((link) => link.name === name) ?? body.link(name)
    log.emit('lab', 'world.opened', { urls })
    const asked = given.map(({ text, spec }, n) => ({ spec: { ...spec, name: `${spec.type}_${n + 1}` }, name: text, on: true }))
    const more = proposed(specOf, toxics).slice(0, Math.max(0, KEYS - asked.length))
    const press = (key: string, does: string) => void log.emit('lab', 'key.pressed', { key, does })
    const switches = switchesOf(linkOf, press, [...asked, ...more])
    let paused = false
    return {
      url,
      urls,
      cronDb: scheduler.db,
      switches,
      inject: () => {
        press('f', "drop the bank's next answer")
        dropNext(body)
      },
      get paused() {
        return paused
      },
      pause: () => {
        paused = !paused
        press('p', paused ? 'stop the engine' : 'let the engine go on')
        if (paused) body.pause(NODE)
        else body.resume(NODE)
      },
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

/** The live screen of it, until the reader leaves or `ended` resolves; then what it came to, in a sentence. What was said before, from `early`, is on it too. */
export async function watch(up: Up, { log, clock, early, ended, terminal }: { log: EventLog; clock: Clock; early: readonly Event[]; ended: Promise<void>; terminal: Terminal }): Promise<{ left: 'left' | 'interrupted'; story: string }> {
  const { showScreen } = await import('./reporters/screens/screen.tsx')
  const switches = up.switches.slice(0, KEYS).map((fault, n) => [String(n + 1), { label: fault.name, fault: fault.fault, press: () => fault.flip(), on: () => fault.on }] as const)
  let view = early.reduce(fold, empty())
  const heard = log.subscribe((event) => {
    view = fold(view, event)
  })
  const gone = new AbortController()
  void ended.then(() => gone.abort())
  const left = await showScreen({
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
      p: { label: 'stop the engine for a while', press: () => up.pause(), on: () => up.paused },
      f: { label: "drop the bank's next answer", press: () => up.inject() },
    },
    save: (kind, content) => {
      const file = `resil-up-${log.run}.${kind}`
      writeFileSync(file, content)
      return file
    },
  })
  heard()
  return { left, story: story(view) }
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
