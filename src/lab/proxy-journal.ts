/**
 * The journal of a proxy in a file, and the same run again from it.
 *
 *   { resil, seed, proxies, schedule }                      what it was started with
 *   { ...event, seen: { connections, exchanges, ... } }     a change of a proxy or a toxic, and what its proxy had seen by then
 *   { ...event }                                            a toxic that struck
 *
 * A decision is a function of the seed and of counts, so a run is made again by making the same changes at the same counts, whatever the clock
 * says: those of the schedule too, which is therefore not started again. What looks at the clock itself (window, outage, ramp, quota) is
 * the same only as far as the requests come at the same times.
 */
import { closeSync, openSync, readFileSync, statSync, writeSync } from 'node:fs'
import { z } from 'zod'
import type { Cancel, Clock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { Event, EventLog } from '../events.ts'
import type { Proxies, Proxy, ProxySpec } from '../proxy/proxies.ts'
import type { SchedulePlan } from '../proxy/schedule.ts'
import { configSchema } from './proxy-config.ts'

export interface JournalHead {
  /** The version that wrote it. */
  resil: string
  seed: number
  proxies: readonly ProxySpec[]
  schedule: SchedulePlan | null
}

/** What a proxy (for one that is made: all of them together) had seen. */
interface Seen {
  connections: number
  exchanges: number
  /** Connections that were over; 0 for a change of the proxy itself, which ends those that are open. */
  closed: number
  /** Exchanges that were over; for a change of the proxy itself, which cuts those that are open, only the answered ones. */
  ended: number
  hits: number
}

export interface Journal extends JournalHead {
  changes: readonly (Event & { seen: Seen })[]
  hits: readonly Event[]
}

/** Bytes gathered before they are written, and how long they wait at most, ms. */
const BUFFER_BYTES = 64 * 1024
const FLUSH_MS = 200
/** Largest journal, bytes: one that grows beyond it is not written on. */
const LARGEST_BYTES = 256 * 1024 * 1024

const CHANGES: ReadonlySet<string> = new Set(['toxic.added', 'toxic.updated', 'toxic.removed', 'proxy.created', 'proxy.updated', 'proxy.deleted'])

/** Counts what each proxy has seen, those that are gone too. */
class Sight {
  readonly #proxies = new Map<string, Proxy>()
  readonly #hits = new Map<string, number>()
  readonly #all: Proxies

  constructor(all: Proxies) {
    this.#all = all
    this.refresh()
  }

  /** After a proxy was made. */
  refresh(): void {
    for (const proxy of this.#all.list()) this.#proxies.set(proxy.name, proxy)
  }

  knows(name: string): boolean {
    return this.#proxies.has(name)
  }

  hit(name: string): void {
    this.#hits.set(name, (this.#hits.get(name) ?? 0) + 1)
  }

  of({ type, link }: { type: string; link?: string }): Seen {
    const proxies = type === 'proxy.created' ? [...this.#proxies.values()].filter(({ name }) => name !== link) : [this.#proxies.get(link!)!]
    const seen: Seen = { connections: 0, exchanges: 0, closed: 0, ended: 0, hits: 0 }
    for (const { name, link: { traffic } } of proxies) {
      seen.connections += traffic.connectionsTotal
      seen.exchanges += traffic.requestsTotal
      const itself = type.startsWith('proxy.')
      seen.closed += itself ? 0 : traffic.connectionsTotal - traffic.connectionsOpen
      seen.ended += itself ? Object.values(traffic.answers).reduce((sum, count) => sum + count, 0) : traffic.requestsTotal - traffic.requestsInFlight
      seen.hits += this.#hits.get(name) ?? 0
    }
    return seen
  }
}

export interface JournalFile {
  /** Why the journal is not whole; undefined when it is. */
  readonly trouble: string | undefined
  close(): void
}

/** Writes all that happens from now on; the proxies of `head` stand already. Throws CANNOT_JOURNAL. */
export function writeJournal(file: string, head: JournalHead, { proxies, log, clock }: { proxies: Proxies; log: EventLog; clock: Clock }): JournalFile {
  let fd: number
  try {
    fd = openSync(file, 'w', 0o600)
  } catch (error) {
    throw new ResilError('CANNOT_JOURNAL', `${file} cannot be written: ${error instanceof Error ? error.message : String(error)}`, 'name a file in a folder that exists', { cause: error })
  }
  const sight = new Sight(proxies)
  /** Of each proxy as it was last told, so that a change says only what it changed: a free port is another one in another run. */
  const told = new Map<string, Record<string, unknown>>(proxies.list().map(({ name, listen, upstream, enabled }) => [name, { listen, upstream, enabled }]))
  let buffer = ''
  let bytes = 0
  let trouble: string | undefined
  let planned: Cancel | undefined

  const flush = () => {
    planned?.()
    planned = undefined
    if (trouble !== undefined || buffer === '') return
    try {
      bytes += writeSync(fd, buffer)
    } catch (error) {
      trouble = error instanceof Error ? error.message : String(error)
    }
    if (bytes > LARGEST_BYTES) trouble = `it is larger than ${LARGEST_BYTES} bytes`
    buffer = ''
  }
  const write = (line: object) => {
    buffer += `${JSON.stringify(line)}\n`
    if (buffer.length > BUFFER_BYTES) flush()
    else planned ??= clock.after(FLUSH_MS, flush)
  }
  const onChange = (event: Event) => {
    const { type, link, listen, upstream, enabled } = event
    // Toxics that a proxy is made with are told before it is: they stand in its own line.
    if (type !== 'proxy.created' && !sight.knows(link)) return
    const seen = sight.of(event)
    if (type === 'proxy.created') sight.refresh()
    if (!type.startsWith('proxy.')) return write({ ...event, seen })
    const before = told.get(link) ?? {}
    told.set(link, { listen, upstream, enabled })
    const changed = Object.fromEntries(Object.entries({ listen, upstream, enabled }).filter(([key, value]) => type !== 'proxy.updated' || before[key] !== value))
    const toxics = type === 'proxy.created' ? { toxics: proxies.get(link).rules.list().map(({ name, toxic, stream, toxicity, attributes }) => ({ type: toxic.name, name, stream, toxicity, attributes })) } : {}
    write({ ...event, listen: undefined, upstream: undefined, enabled: undefined, ...changed, ...toxics, seen })
  }
  write(head)
  const stop = log.subscribe((event) => {
    if (event.type === 'toxic.hit') {
      sight.hit(event['link'])
      write(event)
    } else if (CHANGES.has(event.type)) onChange(event)
  })
  return {
    get trouble() {
      return trouble
    },
    close: () => {
      stop()
      flush()
      closeSync(fd)
    },
  }
}

const count = z.number().int().nonnegative()
const headSchema = z.looseObject({ resil: z.string(), seed: count, proxies: configSchema.shape.proxies })
const lineSchema = z.looseObject({ type: z.string(), link: z.string(), seen: z.looseObject({ connections: count, exchanges: count, closed: count, ended: count, hits: count }).optional() })

/** A last line that was cut short, as by the end of its process, is passed over. Throws BAD_JOURNAL. */
export function readJournal(file: string): Journal {
  const bad = (why: string) => new ResilError('BAD_JOURNAL', `${file} is no journal: ${why}`, 'give a file that --journal wrote')
  let text: string
  try {
    const facts = statSync(file)
    if (!facts.isFile()) throw bad('it is not a file')
    if (facts.size > LARGEST_BYTES + BUFFER_BYTES * 2) throw bad(`it is larger than ${LARGEST_BYTES} bytes`)
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw error instanceof ResilError ? error : bad((error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : String(error))
  }
  const lines = text.split('\n').slice(0, -1)
  const parsed = <T>(schema: z.ZodType<T>, line: string, n: number): T => {
    try {
      return schema.parse(JSON.parse(line))
    } catch {
      throw bad(n === 0 ? 'its first line is no beginning of one' : `line ${n + 1} is none of its lines`)
    }
  }
  const head = parsed(headSchema, lines[0] ?? '', 0)
  const events = lines.slice(1).map((line, n) => parsed(lineSchema, line, n + 1) as unknown as Event & { seen: Seen })
  return {
    ...(head as unknown as JournalHead),
    changes: events.filter(({ type, seen }) => CHANGES.has(type) && seen !== undefined),
    hits: events.filter(({ type }) => type === 'toxic.hit'),
  }
}

export interface Replayed {
  same: boolean
  /** Hits of the journal, and how many of them came again. */
  hits: number
  again: number
  missing: readonly string[]
  /** Hits that the journal does not have. */
  extra: readonly string[]
  changes: number
  /** Changes that could not be made, or whose counts were not reached. */
  unmade: readonly string[]
}

/** Hits that came in addition and are told one by one. */
const MAX_EXTRA = 1000

/** `bank  http_error_upstream  exchange 7: answered instead of the service`. Which connection carried an exchange is the client's choice. */
function hitInWords({ link, toxic, exchange, connection, action }: Event): string {
  return `${link}  ${toxic}  ${exchange === null ? `connection ${connection}` : `exchange ${exchange}`}: ${action}`
}

/** Makes the changes of a journal again, each when its proxy has seen as much as then, and compares the hits. */
export class Replay {
  readonly #journal: Journal
  readonly #proxies: Proxies
  readonly #clock: Clock
  readonly #sight: Sight
  /** Changes that are to come, by proxy. */
  readonly #queues = new Map<string, (Event & { seen: Seen })[]>()
  /** Proxies in the middle of a change. */
  readonly #busy = new Set<string>()
  readonly #wanted = new Map<string, number>()
  readonly #unmade: string[] = []
  readonly #extra: string[] = []
  #extraHits = 0
  readonly #stop: () => void
  #planned: Cancel | undefined

  /** The proxies of the journal's first line stand already. */
  constructor(journal: Journal, { proxies, log, clock }: { proxies: Proxies; log: EventLog; clock: Clock }) {
    this.#journal = journal
    this.#proxies = proxies
    this.#clock = clock
    this.#sight = new Sight(proxies)
    for (const change of journal.changes) this.#queues.set(change['link'], [...(this.#queues.get(change['link']) ?? []), change])
    for (const hit of journal.hits) this.#wanted.set(hitInWords(hit), (this.#wanted.get(hitInWords(hit)) ?? 0) + 1)
    this.#stop = log.subscribe((event) => {
      if (event.type === 'toxic.hit') this.#onHit(event)
      if (this.#queues.size > 0) this.#look()
    })
    this.#look()
  }

  /** What came again so far. */
  get result(): Replayed {
    const missing = [...this.#wanted].flatMap(([hit, times]) => (times > 1 ? [`${hit} (${times} times)`] : times === 1 ? [hit] : []))
    const missed = [...this.#wanted.values()].reduce((sum, times) => sum + times, 0)
    const unmade = [...this.#unmade, ...[...this.#queues.values()].flat().map((change) => `${changeInWords(change)}: its time did not come`)]
    const { hits, changes } = this.#journal
    return { same: missed === 0 && this.#extraHits === 0 && unmade.length === 0, hits: hits.length, again: hits.length - missed, missing, extra: this.#extra, changes: changes.length - unmade.length, unmade }
  }

  close(): void {
    this.#stop()
    this.#planned?.()
  }

  #onHit(event: Event): void {
    this.#sight.hit(event['link'])
    const words = hitInWords(event)
    const left = this.#wanted.get(words) ?? 0
    if (left > 0) this.#wanted.set(words, left - 1)
    else if (++this.#extraHits <= MAX_EXTRA) this.#extra.push(words)
  }

  /**
   * A change that came before the exchange which is just beginning is made at once, before anything is decided about that exchange. One
   * that came after it waits for the end of the turn, when that has been decided.
   */
  #look(): void {
    for (const name of this.#queues.keys()) this.#work(name, (change, seen) => seen.connections > change.connections || seen.exchanges > change.exchanges)
    if (this.#queues.size > 0) {
      this.#planned ??= this.#clock.after(0, () => {
        this.#planned = undefined
        for (const name of this.#queues.keys()) this.#work(name, (change, seen) => seen.closed >= change.closed && seen.ended >= change.ended && seen.hits >= change.hits)
      })
    }
  }

  #work(name: string, isDue: (change: Seen, seen: Seen) => boolean): void {
    const queue = this.#queues.get(name)!
    for (;;) {
      const [change] = queue
      if (!change) return void this.#queues.delete(name)
      if (this.#busy.has(name) || (change.type !== 'proxy.created' && !this.#sight.knows(name))) return
      const seen = this.#sight.of({ type: change.type, link: name })
      if (seen.connections < change.seen.connections || seen.exchanges < change.seen.exchanges || !isDue(change.seen, seen)) return
      queue.shift()
      this.#make(change)
    }
  }

  #make(change: Event): void {
    const { type, link, toxic, toxicType, stream, toxicity, attributes, listen, upstream, enabled, toxics } = change
    const failed = (error: unknown) => void this.#unmade.push(`${changeInWords(change)}: ${error instanceof Error ? error.message : String(error)}`)
    try {
      if (type.startsWith('proxy.')) {
        this.#busy.add(link)
        const made = type === 'proxy.created' ? this.#proxies.create({ name: link, listen, upstream, enabled, toxics }) : type === 'proxy.updated' ? this.#proxies.update(link, { listen, upstream, enabled }) : this.#proxies.delete(link)
        void made.catch(failed).then(() => {
          this.#busy.delete(link)
          this.#sight.refresh()
          this.#look()
        })
        return
      }
      const { rules } = this.#proxies.get(link)
      if (type === 'toxic.added') rules.add({ link, type: toxicType, name: toxic, stream, toxicity, attributes })
      else if (type === 'toxic.updated') rules.update(toxic, { attributes, toxicity })
      else if (!rules.remove(toxic)) failed('it is not there')
    } catch (error) {
      this.#busy.delete(link)
      failed(error)
    }
  }
}

const changeInWords = ({ type, link, toxic }: Event) => `${link}  ${toxic === undefined ? '' : `${toxic}  `}${type.split('.')[1]}`
