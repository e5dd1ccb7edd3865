/**
 * The rules of one link: which toxic is on it, whom it hits, and the journal of every hit.
 *
 *   add(spec) ── checked ──▶ rule ──▶ decide(rule, subject) ──▶ Decision ──▶ the link or the simulated network acts, and says hit(action)
 *
 * A decision is chance(seed, rule, ordinal), where the ordinal counts the rule's own matches from 1: never a shared stream, so concurrency
 * cannot change it. What is decided about:
 *  - requests and responses: once per HTTP exchange;
 *  - bytes, when the rule has a targeting attribute: once per HTTP exchange; outside HTTP such a rule matches nothing;
 *  - bytes, without one: once per connection, as in Toxiproxy.
 * The first rule, in order of creation, that acts on a request has it; the later ones do not count that exchange. The same for a response.
 */
import { ResilError } from '../errors.ts'
import type { Log } from '../events.ts'
import { suggestion } from '../nearest.ts'
import { chance } from '../random.ts'
import type { ToxicSpec } from '../scenario.ts'
import type { AttributeSpec, AttributeValues, ChunkAction, Draw, RequestAction, ResponseAction, Stream, Toxic } from './toxic.ts'

/** A link as the laboratory sees it, whether real sockets carry it or memory does. */
export interface HostileLink {
  readonly name: string
  readonly rules: Rules
  /** While off, connections are refused and those that were open are closed. */
  setEnabled(on: boolean): Promise<void>
}

/** What every toxic takes besides its own attributes. With any of them a rule on bytes decides per HTTP exchange. */
export const targeting = {
  method: { type: 'string', unit: '', default: '', summary: 'only requests with this method' },
  path: { type: 'string', unit: '', default: '', summary: 'only paths like this, without the query; * stands for anything but /, ** for anything' },
  exchange: { type: 'integer', unit: '', default: 0, min: 0, summary: 'only the exchange of the link with this number, from 1; 0 for all' },
  after: { type: 'integer', unit: '', default: 0, min: 0, summary: 'lets that many matches pass first' },
  first: { type: 'integer', unit: '', default: 0, min: 0, summary: 'only the first matches (counted behind after); 0 for all' },
  every: { type: 'integer', unit: '', default: 1, min: 1, summary: 'only each n-th match (counted behind after)' },
  times: { type: 'integer', unit: '', default: 0, min: 0, summary: 'at most that many decisions for it; 0 for no limit' },
  probability: { type: 'number', unit: '', default: 1, min: 0, max: 1, summary: 'chance of each match' },
} as const satisfies Record<string, AttributeSpec>

/** Most rules on one link: each costs a step for every chunk. */
export const MAX_RULES = 1000

/** Whom a decision is about. `exchange` is null for a connection as a whole; then method and path are ''. */
export interface Subject {
  connection: number
  exchange: number | null
  method: string
  /** With its query string. */
  path: string
}

export interface Rule {
  readonly name: string
  readonly toxic: Toxic
  readonly stream: Stream
  readonly toxicity: number
  /** All of the toxic's own attributes, and those for targeting that were given. */
  readonly attributes: Readonly<AttributeValues>
  /** True when it has a targeting attribute. */
  readonly targeted: boolean
  /** Times it did something: to an exchange, or (without targeting, on bytes) to a connection. */
  readonly hits: number
  /** Chunks of bytes that it acted on. */
  readonly chunks: number
}

interface MutableRule extends Rule {
  hits: number
  chunks: number
  matches: number
  decided: number
  readonly method: string
  readonly path: RegExp | undefined
  readonly exchange: number
  readonly limits: { after: number; first: number; every: number; times: number; probability: number }
}

/** A rule's yes about one subject. */
export interface Decision {
  readonly rule: Rule
  /** What to do with the next chunk of it; journals the first one that it acts on. `exchange` is the one that the chunk belongs to. */
  chunk(bytes: number, exchange: number | null): ChunkAction | undefined
  /** Journals that the action was carried out. */
  hit(action: ChunkAction | RequestAction | ResponseAction, exchange?: number | null): void
}

export type RulesChange = { added: Rule } | { removed: Rule }

export interface RulesSetup {
  /** The link's name. */
  link: string
  seed: number | string
  /** By name on the wire. */
  toxics: Record<string, Toxic>
  /** Bound to src `proxy`. */
  log: Log
}

export class Rules {
  readonly #setup: RulesSetup
  readonly #rules = new Map<string, MutableRule>()
  readonly #watchers = new Set<(change: RulesChange) => void>()
  #onRequest: MutableRule[] = []
  #onResponse: MutableRule[] = []
  #onChunk: Record<Stream, MutableRule[]> = { upstream: [], downstream: [] }
  #needsExchanges = false

  constructor(setup: RulesSetup) {
    this.#setup = setup
  }

  /** Puts a rule at the end of its chain. Throws BAD_TOXIC for a wrong spec, TOXIC_EXISTS for a name that is taken. */
  add(spec: ToxicSpec): Rule {
    const rule = this.#read(spec)
    this.#rules.set(rule.name, rule)
    this.#sort()
    this.#setup.log.emit('toxic.added', this.#facts(rule))
    for (const watcher of this.#watchers) watcher({ added: rule })
    return rule
  }

  /** Takes a rule away; what it held passes at once. False when there is none of that name. */
  remove(name: string): boolean {
    const rule = this.#rules.get(name)
    if (!rule) return false
    this.#rules.delete(name)
    this.#sort()
    this.#setup.log.emit('toxic.removed', this.#facts(rule))
    for (const watcher of this.#watchers) watcher({ removed: rule })
    return true
  }

  removeAll(): void {
    for (const name of [...this.#rules.keys()]) this.remove(name)
  }

  /** In order of creation. */
  list(): Rule[] {
    return [...this.#rules.values()]
  }

  get(name: string): Rule | undefined {
    return this.#rules.get(name)
  }

  /** Names of the rules now on the link that have hit nothing. */
  unfired(): string[] {
    return this.list().filter((rule) => rule.hits === 0).map((rule) => rule.name)
  }

  /** Tells of every later change, after it was made; the answer ends it. */
  watch(watcher: (change: RulesChange) => void): () => void {
    this.#watchers.add(watcher)
    return () => void this.#watchers.delete(watcher)
  }

  /** False when no rule asks for message boundaries, so that a message's first bytes need not wait for its head. */
  get needsExchanges(): boolean {
    return this.#needsExchanges
  }

  /** What befalls a request, if anything. */
  request(subject: Subject): { action: RequestAction; decision: Decision } | undefined {
    for (const rule of this.#onRequest) {
      const decision = this.#decide(rule, subject)
      const action = decision && rule.toxic.onRequest!(rule.attributes, decision.draw)
      if (action) return { action, decision }
    }
    return undefined
  }

  /** What befalls the response to that request, if anything. */
  response(subject: Subject): { action: ResponseAction; decision: Decision } | undefined {
    for (const rule of this.#onResponse) {
      const decision = this.#decide(rule, subject)
      const action = decision && rule.toxic.onResponse!(rule.attributes, decision.draw)
      if (action) return { action, decision }
    }
    return undefined
  }

  /** The rules that act on the bytes of one direction, in order. */
  chain(stream: Stream): readonly Rule[] {
    return this.#onChunk[stream]
  }

  /** Whether `rule` acts on this subject; asked once for each. */
  decide(rule: Rule, subject: Subject): Decision | undefined {
    return this.#decide(rule as MutableRule, subject)
  }

  #decide(rule: MutableRule, subject: Subject): ActiveDecision | undefined {
    if (rule.method !== '' && rule.method !== subject.method) return undefined
    if (rule.path && !rule.path.test(withoutQuery(subject.path))) return undefined
    if (rule.exchange > 0 && rule.exchange !== subject.exchange) return undefined
    const ordinal = ++rule.matches
    const { after, first, every, times, probability } = rule.limits
    const place = ordinal - after
    if (place < 1 || (first > 0 && place > first) || place % every !== 0) return undefined
    if (times > 0 && rule.decided >= times) return undefined
    const p = probability * rule.toxicity
    if (p < 1 && chance(this.#setup.seed, rule.name, ordinal) >= p) return undefined
    rule.decided++
    return new ActiveDecision(rule, ordinal, subject, this.#setup)
  }

  #read(spec: ToxicSpec): MutableRule {
    const { link, toxics } = this.#setup
    if (spec.link !== link) throw bad(`the toxic is for link ${spec.link}, this is ${link}`, 'name the link that it is added to')
    const toxic = Object.hasOwn(toxics, spec.type) ? toxics[spec.type] : undefined
    if (!toxic) throw bad(`${link}: there is no toxic "${spec.type}"`, suggestion(spec.type, Object.keys(toxics)))
    const stream = spec.stream ?? toxic.stream
    if (stream !== 'upstream' && stream !== 'downstream') throw bad(`${link}: ${toxic.name}: stream is "${String(stream)}"`, 'it can be upstream or downstream')
    const name = spec.name ?? `${toxic.name}_${stream}`
    if (name === '') throw bad(`${link}: ${toxic.name}: its name is empty`, 'leave the name out, or give one')
    const toxicity = number('toxicity', { type: 'number', unit: '', default: 1, min: 0, max: 1, summary: '' }, spec.toxicity ?? 1, `${link}: ${name}`)
    const given = spec.attributes ?? {}
    const known: Record<string, AttributeSpec> = { ...toxic.attributes, ...targeting }
    const attributes: AttributeValues = Object.fromEntries(Object.entries(toxic.attributes).map(([key, attribute]) => [key, attribute.default]))
    for (const [key, value] of Object.entries(given)) {
      if (!Object.hasOwn(known, key)) throw bad(`${link}: ${name}: ${toxic.name} has no attribute "${key}"`, suggestion(key, Object.keys(known)))
      attributes[key] = read(key, known[key]!, value, `${link}: ${name}`)
    }
    if (this.#rules.has(name)) throw new ResilError('TOXIC_EXISTS', `${link}: there is a toxic "${name}" already`, 'give the new one a name of its own')
    if (this.#rules.size >= MAX_RULES) throw bad(`${link}: it has ${MAX_RULES} toxics already`, 'remove some first')
    const target = <K extends keyof typeof targeting>(key: K) => attributes[key] ?? targeting[key].default
    const path = String(target('path'))
    return {
      name,
      toxic,
      stream,
      toxicity,
      attributes,
      targeted: Object.keys(given).some((key) => Object.hasOwn(targeting, key) && attributes[key] !== targeting[key as keyof typeof targeting].default),
      hits: 0,
      chunks: 0,
      matches: 0,
      decided: 0,
      method: String(target('method')).toUpperCase(),
      path: path === '' ? undefined : glob(path),
      exchange: Number(target('exchange')),
      limits: {
        after: Number(target('after')),
        first: Number(target('first')),
        every: Number(target('every')),
        times: Number(target('times')),
        probability: Number(target('probability')),
      },
    }
  }

  #facts(rule: Rule) {
    return { link: this.#setup.link, toxic: rule.name, toxicType: rule.toxic.name, stream: rule.stream, attributes: rule.attributes }
  }

  #sort(): void {
    const rules = [...this.#rules.values()]
    this.#onRequest = rules.filter((rule) => rule.toxic.onRequest)
    this.#onResponse = rules.filter((rule) => rule.toxic.onResponse)
    const bytes = rules.filter((rule) => rule.toxic.onChunk)
    this.#onChunk = { upstream: bytes.filter((rule) => rule.stream === 'upstream'), downstream: bytes.filter((rule) => rule.stream === 'downstream') }
    this.#needsExchanges = this.#onRequest.length > 0 || this.#onResponse.length > 0 || bytes.some((rule) => rule.targeted)
  }
}

class ActiveDecision implements Decision {
  readonly rule: MutableRule
  readonly draw: Draw
  readonly #subject: Subject
  readonly #setup: RulesSetup
  #journalled = false

  constructor(rule: MutableRule, ordinal: number, subject: Subject, setup: RulesSetup) {
    this.rule = rule
    this.#subject = subject
    this.#setup = setup
    let drawn = 0
    this.draw = () => chance(setup.seed, `${rule.name}/${ordinal}`, ++drawn)
  }

  chunk(bytes: number, exchange: number | null): ChunkAction | undefined {
    const action = this.rule.toxic.onChunk!(this.rule.attributes, this.draw, { bytes })
    if (!action) return undefined
    this.rule.chunks++
    if (!this.#journalled) this.hit(action, exchange)
    return action
  }

  hit(action: ChunkAction | RequestAction | ResponseAction, exchange = this.#subject.exchange): void {
    this.#journalled = true
    this.rule.hits++
    const { link, log } = this.#setup
    log.emit('toxic.hit', { link, toxic: this.rule.name, toxicType: this.rule.toxic.name, connection: this.#subject.connection, exchange, ...inWords(action, this.rule) })
  }
}

const ENDING = { fin: 'connection closed', rst: 'connection reset', hang: 'silence' } as const

/** An action as the journal says it: a few words, and its numbers. */
function inWords(action: ChunkAction | RequestAction | ResponseAction, rule: Rule): { action: string; [number: string]: string | number | null } {
  switch (action.do) {
    case 'delay':
      return { action: 'bytes delayed', ms: Math.round(action.ms * 1000) / 1000 }
    case 'pace':
      return { action: action.bytesPerMs > 0 ? 'bytes slowed down' : 'bytes held', bytesPerMs: action.bytesPerMs }
    case 'swallow':
      return { action: 'bytes swallowed', closeAfterMs: action.closeAfterMs }
    case 'cut':
      return { action: ENDING[action.how], afterMs: action.afterMs }
    case 'answer':
      return { action: 'answered instead of the service', status: action.response.status }
    case 'lose':
      return { action: `${rule.toxic.onRequest ? 'request lost' : 'answer dropped'}, ${ENDING[action.how]}` }
    case 'duplicate':
      return { action: 'request sent twice', afterMs: action.afterMs }
    case 'truncate':
      return { action: `answer cut short, ${ENDING[action.how]}`, ...('bytes' in action ? { bytes: action.bytes } : { fraction: action.fraction }) }
    case 'dribble':
      return { action: 'answer dribbled', pieces: action.pieces, overMs: action.overMs }
  }
}

function bad(message: string, hint: string): ResilError {
  return new ResilError('BAD_TOXIC', message, hint)
}

function read(key: string, spec: AttributeSpec, value: unknown, where: string): number | string {
  if (spec.type !== 'string') return number(key, spec, value, where)
  if (typeof value !== 'string') throw bad(`${where}: ${key} is ${String(value)}`, 'it is a text')
  if (spec.choices && !spec.choices.includes(value)) throw bad(`${where}: ${key} is "${value}"`, `it can be ${spec.choices.join(', ')}`)
  return value
}

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/
const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const

function number(key: string, spec: AttributeSpec, value: unknown, where: string): number {
  const duration = typeof value === 'string' && spec.unit === 'ms' ? DURATION.exec(value) : null
  let n = Number.NaN
  if (typeof value === 'number') n = value
  else if (duration) n = Number(duration[1]) * UNIT_MS[duration[2] as keyof typeof UNIT_MS]
  else if (typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value)) n = Number(value)
  const said = typeof value === 'string' ? `"${value}"` : String(value)
  const kind = spec.type === 'integer' ? 'a whole number' : 'a number'
  if (!Number.isFinite(n) || (spec.type === 'integer' && !Number.isSafeInteger(n))) {
    throw bad(`${where}: ${key} is ${said}`, spec.unit === 'ms' ? `it is ${kind} of ms, or a duration like 250ms, 2s, 1h` : `it is ${kind}${spec.unit && ` in ${spec.unit}`}`)
  }
  const min = spec.min ?? 0 // negative numbers mean nothing to any toxic
  const max = spec.max ?? Number.MAX_SAFE_INTEGER
  if (n < min || n > max) throw bad(`${where}: ${key} is ${said}`, spec.max === undefined ? `it is at least ${min}` : `it is between ${min} and ${max}`)
  return n
}

function withoutQuery(path: string): string {
  const query = path.indexOf('?')
  return query === -1 ? path : path.slice(0, query)
}

function glob(pattern: string): RegExp {
  const source = pattern.replace(/\*{2,}|\*|[\\^$.|?+()[\]{}]/g, (part) => (part === '*' ? '[^/]*' : part.startsWith('*') ? '.*' : `\\${part}`))
  return new RegExp(`^${source}$`)
}
