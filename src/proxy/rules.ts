/**
 * The rules of one link: which toxic is on it, whom it hits, and the journal of every hit.
 *
 *   add(spec) ── checked ──▶ rule ──▶ decide(rule, subject) ──▶ Decision ──▶ the link or the simulated network acts, and says hit(action)
 *
 * A decision is chance(seed, rule, ordinal), where the ordinal counts the rule's own matches from 1: never a shared stream, so concurrency
 * cannot change it. What is decided about:
 *  - requests and responses: once per HTTP exchange;
 *  - bytes, when the rule is targeted at exchanges: once per HTTP exchange; outside HTTP such a rule matches nothing;
 *  - bytes, otherwise: once per connection, as in Toxiproxy;
 *  - connections: once, when one comes.
 * `toxicity` is the chance that a connection has to do with the rule at all, drawn from its number, and anew after an update.
 * Actions that let a message go on add up, in order of creation; the first one that does not has the message, and the rules after it do not count it.
 */
import { addressRange } from '../address.ts'
import type { AddressRange } from '../address.ts'
import type { Clock } from '../clock.ts'
import { durationOrMs } from '../duration.ts'
import { ResilError } from '../errors.ts'
import type { Log } from '../events.ts'
import { suggestion } from '../nearest.ts'
import { chance } from '../random.ts'
import type { ToxicSpec } from '../scenario.ts'
import { globOf } from './glob.ts'
import type { Glob } from './glob.ts'
import type { AttributeSpec, AttributeValues, ChunkAction, ConnectAction, Draw, EndAction, Listening, Memory, RequestAction, ResponseAction, Stream, Toxic } from './toxic.ts'

/** A link as the laboratory sees it, whether real sockets carry it or memory does. */
export interface HostileLink {
  readonly name: string
  readonly rules: Rules
  /** While off, connections are refused and those that were open are closed. */
  setEnabled(on: boolean): Promise<void>
}

/** What every toxic takes besides its own attributes. With any of the first group a rule on bytes decides per HTTP exchange. */
export const targeting = {
  method: { type: 'string', unit: '', default: '', summary: 'only requests with this method' },
  path: { type: 'string', unit: '', default: '', summary: 'only paths like this, without the query; * stands for anything but /, ** for anything' },
  header: { type: 'string', unit: '', default: '', summary: 'only requests with this header: its name, or "name: value", where * stands for anything' },
  key: { type: 'string', unit: '', default: '', summary: 'only requests with an Idempotency-Key like this; * stands for anything' },
  exchange: { type: 'integer', unit: '', default: 0, min: 0, summary: 'only the exchange of the link with this number, from 1; 0 for all' },
  after: { type: 'integer', unit: '', default: 0, min: 0, summary: 'lets that many matches pass first' },
  first: { type: 'integer', unit: '', default: 0, min: 0, summary: 'only the first matches (counted behind after); 0 for all' },
  every: { type: 'integer', unit: '', default: 1, min: 1, summary: 'only each n-th match (counted behind after)' },
  times: { type: 'integer', unit: '', default: 0, min: 0, summary: 'at most that many decisions for it; 0 for no limit' },
  probability: { type: 'number', unit: '', default: 1, min: 0, max: 1, summary: 'chance of each match' },
  client: { type: 'string', unit: '', default: '', summary: 'only clients with this address, or in this range (10.0.0.0/8)' },
  window: { type: 'string', unit: '', default: '', summary: 'only in this time since the toxic was added: "10s..20s", "10s..", "..20s"' },
} as const satisfies Record<string, AttributeSpec>

/** Longest text of an attribute, in UTF-16 units. */
const MAX_TEXT = 64 * 1024

/** Most rules on one link: each costs a step for every chunk. */
export const MAX_RULES = 1000

/** Targeting that says nothing about exchanges: a rule on bytes with no other decides per connection. */
const PER_CONNECTION: ReadonlySet<string> = new Set(['client', 'window'])

/** Whom a decision is about. `exchange` is null for a connection as a whole; then method and path are '', and there is no header. */
export interface Subject {
  connection: number
  /** The client's address; '' where there is none. */
  client: string
  exchange: number | null
  method: string
  /** With its query string. */
  path: string
  /** A header of the request; undefined when it has none of that name (in lower case). */
  header(name: string): string | undefined
}

export const noHeader = (): undefined => undefined

export interface Rule {
  readonly name: string
  readonly toxic: Toxic
  readonly stream: Stream
  readonly toxicity: number
  /** All of the toxic's own attributes, and those for targeting that were given. */
  readonly attributes: Readonly<AttributeValues>
  /** True when it is targeted at exchanges. */
  readonly targeted: boolean
  /** What matched its targeting, so far: its ordinal. */
  readonly matches: number
  /** Times it did something: to an exchange, or (without targeting, on bytes) to a connection. */
  readonly hits: number
  /** Chunks of bytes that it acted on. */
  readonly chunks: number
}

interface MutableRule extends Rule {
  toxicity: number
  attributes: Readonly<AttributeValues>
  targeted: boolean
  hits: number
  chunks: number
  matches: number
  decided: number
  /** Grows with every update: toxicity is drawn anew. */
  edition: number
  /** It has thrown, and the journal has that. */
  failed: boolean
  target: Target
  readonly bornAt: number
  readonly memory: Memory
}

/** Whom a rule is for; undefined: everybody. */
interface Target {
  method: string | undefined
  path: Glob | undefined
  header: { name: string; value: Glob | undefined } | undefined
  key: Glob | undefined
  client: AddressRange | undefined
  /** ms since the rule was added. */
  window: { from: number; to: number } | undefined
  exchange: number
  after: number
  first: number
  every: number
  times: number
  probability: number
}

/** A rule's yes about one subject. */
export interface Decision {
  readonly rule: Rule
  /**
   * What to do with the next chunk of it; journals the first one that it acts on. `exchange` is the one that the chunk belongs to, `before`
   * the bytes that the rule saw before it.
   */
  chunk(bytes: number, before: number, exchange: number | null): ChunkAction | undefined
  /** What to do at the end of this direction; journalled. */
  end(): EndAction | undefined
  /** Journals that the action was carried out. */
  hit(action: Action, exchange?: number | null): void
}

export type Action = ChunkAction | EndAction | RequestAction | ResponseAction | ConnectAction | { do: 'refuse' }

export interface Fate<A> {
  action: A
  decision: Decision
}

export type RulesChange = { added: Rule } | { removed: Rule } | { updated: Rule }

export interface RulesSetup {
  /** The link's name. */
  link: string
  seed: number | string
  /** By name on the wire. */
  toxics: Record<string, Toxic>
  clock: Clock
  /** Bound to src `proxy`. */
  log: Log
}

/** The rules that close the listener, or let it stand. */
export interface Standing extends Listening {
  /** While not open: whose doing that is. */
  by: Rule | undefined
}

export class Rules {
  readonly #setup: RulesSetup
  readonly #rules = new Map<string, MutableRule>()
  readonly #watchers = new Set<(change: RulesChange) => void>()
  #onRequest: MutableRule[] = []
  #onResponse: MutableRule[] = []
  #onConnect: MutableRule[] = []
  #onListen: MutableRule[] = []
  #onChunk: Record<Stream, MutableRule[]> = { upstream: [], downstream: [] }
  #needsExchanges = false

  constructor(setup: RulesSetup) {
    this.#setup = setup
  }

  /** Puts a rule at the end of its chain. Throws BAD_TOXIC for a wrong spec, TOXIC_EXISTS for a name that is taken. */
  add(spec: ToxicSpec): Rule {
    const rule = this.#make(spec)
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

  /**
   * Changes what a rule does from now on, on open connections too; the attributes are merged into those that it has. Its ordinals go on,
   * and what it held passes. A refused change changes nothing. Throws TOXIC_NOT_FOUND, BAD_TOXIC.
   */
  update(name: string, { attributes = {}, toxicity }: { attributes?: Record<string, unknown>; toxicity?: number }): Rule {
    const { link } = this.#setup
    const rule = this.#rules.get(name)
    if (!rule) throw new ResilError('TOXIC_NOT_FOUND', `${link}: there is no toxic "${name}"`, suggestion(name, [...this.#rules.keys()]))
    const changed = this.#read(rule.toxic, name, { ...rule.attributes, ...attributes }, toxicity ?? rule.toxicity)
    Object.assign(rule, changed)
    rule.edition++
    this.#sort()
    this.#setup.log.emit('toxic.updated', this.#facts(rule))
    for (const watcher of this.#watchers) watcher({ updated: rule })
    return rule
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

  /** What befalls a request: actions that let it go on, and at most one, the last, that does not. */
  request(subject: Subject): Fate<RequestAction>[] {
    return this.#fates(this.#onRequest, subject, (rule, draw, moment) => rule.toxic.onRequest!(rule.attributes, draw, moment))
  }

  /** What befalls the response to that request, in the same manner. */
  response(subject: Subject): Fate<ResponseAction>[] {
    return this.#fates(this.#onResponse, subject, (rule, draw, moment) => rule.toxic.onResponse!(rule.attributes, draw, moment))
  }

  /** What befalls a new connection: its way to the service is delayed by each of them, or it is refused by the last. */
  connect(subject: Subject): Fate<ConnectAction | { do: 'refuse' }>[] {
    return this.#fates(this.#onConnect, subject, (rule, draw, moment) => {
      if (!rule.toxic.onListen) return rule.toxic.onConnect!(rule.attributes, draw, moment)
      return rule.toxic.onListen(rule.attributes, moment.ageMs).open ? undefined : { do: 'refuse' }
    })
  }

  /** Whether the link takes connections at all. Rules that are for some connections only have no say in it: they refuse those. */
  get listening(): Standing {
    let forMs = Number.POSITIVE_INFINITY
    for (const rule of this.#onListen) {
      const said = attempt(this.#setup, rule, () => rule.toxic.onListen!(rule.attributes, this.#age(rule))) ?? STANDS
      if (!said.open) return { ...said, by: rule }
      forMs = Math.min(forMs, said.forMs)
    }
    return { open: true, cut: false, forMs, by: undefined }
  }

  /** Journals that the link did not take connections for it. */
  refused(rule: Rule): void {
    new ActiveDecision(rule as MutableRule, (rule as MutableRule).matches, { connection: 0, client: '', exchange: null, method: '', path: '', header: noHeader }, this.#setup).hit({ do: 'refuse' })
  }

  /** The rules that act on the bytes of one direction, in order. */
  chain(stream: Stream): readonly Rule[] {
    return this.#onChunk[stream]
  }

  /** Whether `rule` acts on this subject; asked once for each. */
  decide(rule: Rule, subject: Subject): Decision | undefined {
    return this.#decide(rule as MutableRule, subject)
  }

  #fates<A extends Action>(rules: readonly MutableRule[], subject: Subject, ask: (rule: MutableRule, draw: Draw, moment: { ageMs: number; memory: Memory }) => A | undefined): Fate<A>[] {
    if (rules.length === 0) return NO_FATES
    let fates: Fate<A>[] = NO_FATES
    for (const rule of rules) {
      const decision = this.#decide(rule, subject)
      const action = decision && attempt(this.#setup, rule, () => ask(rule, decision.draw, { ageMs: this.#age(rule), memory: rule.memory }))
      if (!action) continue
      if (fates === NO_FATES) fates = []
      fates.push({ action, decision })
      if (!GOES_ON.has(action.do)) break
    }
    return fates
  }

  #age(rule: MutableRule): number {
    return this.#setup.clock.monotonic() - rule.bornAt
  }

  #decide(rule: MutableRule, subject: Subject): ActiveDecision | undefined {
    const { method, path, header, key, client, window, exchange, after, first, every, times, probability } = rule.target
    if (method !== undefined && method !== subject.method) return undefined
    if (path && !path(withoutQuery(subject.path))) return undefined
    if (exchange > 0 && exchange !== subject.exchange) return undefined
    if (header) {
      const value = subject.header(header.name)
      if (value === undefined || (header.value && !header.value(value))) return undefined
    }
    if (key && !key(subject.header('idempotency-key') ?? '')) return undefined
    if (client && !client(subject.client)) return undefined
    if (window) {
      const age = this.#age(rule)
      if (age < window.from || age >= window.to) return undefined
    }
    const { seed } = this.#setup
    if (rule.toxicity < 1 && chance(seed, `${rule.name}/toxicity/${rule.edition}`, subject.connection) >= rule.toxicity) return undefined
    const ordinal = ++rule.matches
    const place = ordinal - after
    if (place < 1 || (first > 0 && place > first) || place % every !== 0) return undefined
    if (times > 0 && rule.decided >= times) return undefined
    if (probability < 1 && chance(seed, rule.name, ordinal) >= probability) return undefined
    rule.decided++
    return new ActiveDecision(rule, ordinal, subject, this.#setup)
  }

  #make(spec: ToxicSpec): MutableRule {
    const { link, toxics, clock } = this.#setup
    if (spec.link !== link) throw bad(`the toxic is for link ${spec.link}, this is ${link}`, 'name the link that it is added to')
    const toxic = Object.hasOwn(toxics, spec.type) ? toxics[spec.type] : undefined
    if (!toxic) throw bad(`${link}: there is no toxic "${spec.type}"`, suggestion(spec.type, Object.keys(toxics)))
    const stream = spec.stream ?? toxic.stream
    if (stream !== 'upstream' && stream !== 'downstream') throw bad(`${link}: ${toxic.name}: stream is "${String(stream)}"`, 'it can be upstream or downstream')
    const name = spec.name ?? `${toxic.name}_${stream}`
    if (name === '') throw bad(`${link}: ${toxic.name}: its name is empty`, 'leave the name out, or give one')
    const read = this.#read(toxic, name, spec.attributes ?? {}, spec.toxicity ?? 1)
    if (this.#rules.has(name)) throw new ResilError('TOXIC_EXISTS', `${link}: there is a toxic "${name}" already`, 'give the new one a name of its own')
    if (this.#rules.size >= MAX_RULES) throw bad(`${link}: it has ${MAX_RULES} toxics already`, 'remove some first')
    return { name, toxic, stream, ...read, hits: 0, chunks: 0, matches: 0, decided: 0, edition: 0, failed: false, bornAt: clock.monotonic(), memory: {} }
  }

  /** All that a rule does, checked. */
  #read(toxic: Toxic, name: string, given: Record<string, unknown>, chanceOf: unknown): Pick<MutableRule, 'toxicity' | 'attributes' | 'targeted' | 'target'> {
    const where = `${this.#setup.link}: ${name}`
    const toxicity = number('toxicity', { type: 'number', unit: '', default: 1, min: 0, max: 1, summary: '' }, chanceOf, where)
    const known: Record<string, AttributeSpec> = { ...toxic.attributes, ...targeting }
    const attributes: AttributeValues = Object.fromEntries(Object.entries(toxic.attributes).map(([key, attribute]) => [key, attribute.default]))
    for (const [key, value] of Object.entries(given)) {
      if (!Object.hasOwn(known, key)) throw bad(`${where}: ${toxic.name} has no attribute "${key}"`, suggestion(key, Object.keys(known)))
      attributes[key] = read(key, known[key]!, value, where)
    }
    const wrong = toxic.check?.(attributes)
    if (wrong !== undefined) throw bad(`${where}: ${wrong}`, `resil list toxics tells what ${toxic.name} takes`)
    const of = <K extends keyof typeof targeting>(key: K) => attributes[key] ?? targeting[key].default
    const text = (key: 'path' | 'header' | 'key' | 'client' | 'window' | 'method') => (of(key) === '' ? undefined : String(of(key)))
    return {
      toxicity,
      attributes,
      targeted: Object.keys(attributes).some((key) => Object.hasOwn(targeting, key) && !PER_CONNECTION.has(key) && attributes[key] !== targeting[key as keyof typeof targeting].default),
      target: {
        method: text('method')?.toUpperCase(),
        path: patternOf(text('path'), 'segment'),
        header: headerOf(text('header'), where),
        key: patternOf(text('key'), 'anything'),
        client: rangeOf(text('client'), where),
        window: windowOf(text('window'), where),
        exchange: Number(of('exchange')),
        after: Number(of('after')),
        first: Number(of('first')),
        every: Number(of('every')),
        times: Number(of('times')),
        probability: Number(of('probability')),
      },
    }
  }

  #facts(rule: Rule) {
    return { link: this.#setup.link, toxic: rule.name, toxicType: rule.toxic.name, stream: rule.stream, toxicity: rule.toxicity, attributes: rule.attributes }
  }

  #sort(): void {
    const rules = [...this.#rules.values()]
    const at = (place: 'request' | 'response') => ({ toxic, attributes }: Rule) => (place === 'request' ? toxic.onRequest : toxic.onResponse) !== undefined && (toxic.place?.(attributes) ?? place) === place
    this.#onRequest = rules.filter(at('request'))
    this.#onResponse = rules.filter(at('response'))
    this.#onListen = rules.filter((rule) => rule.toxic.onListen && isForAll(rule))
    this.#onConnect = rules.filter((rule) => rule.toxic.onConnect || (rule.toxic.onListen && !isForAll(rule)))
    const bytes = rules.filter((rule) => rule.toxic.onChunk || rule.toxic.onEnd)
    this.#onChunk = { upstream: bytes.filter((rule) => rule.stream === 'upstream'), downstream: bytes.filter((rule) => rule.stream === 'downstream') }
    this.#needsExchanges = this.#onRequest.length > 0 || this.#onResponse.length > 0 || bytes.some((rule) => rule.targeted)
  }
}

const NO_FATES: never[] = []

const STANDS: Listening = { open: true, cut: false, forMs: Number.POSITIVE_INFINITY }

/** A toxic with a bug does nothing: the journal says so, once, and the traffic goes on. */
function attempt<A>({ link, log }: RulesSetup, rule: MutableRule, ask: () => A | undefined): A | undefined {
  try {
    return ask()
  } catch (error) {
    if (!rule.failed) log.emit('toxic.failed', { link, toxic: rule.name, toxicType: rule.toxic.name, why: String(error) })
    rule.failed = true
    return undefined
  }
}

/** Actions after which the message goes on to the next rule. */
const GOES_ON: ReadonlySet<Action['do']> = new Set(['hold', 'edit', 'delay'])

/** True when it leaves no connection out at any time. */
function isForAll({ toxicity, targeted, target }: MutableRule): boolean {
  return toxicity === 1 && !targeted && !target.client && !target.window
}

class ActiveDecision implements Decision {
  readonly rule: MutableRule
  readonly draw: Draw
  readonly #subject: Subject
  readonly #setup: RulesSetup
  readonly #memory: Memory = {}
  #journalled = false

  constructor(rule: MutableRule, ordinal: number, subject: Subject, setup: RulesSetup) {
    this.rule = rule
    this.#subject = subject
    this.#setup = setup
    let drawn = 0
    this.draw = () => chance(setup.seed, `${rule.name}/${ordinal}`, ++drawn)
  }

  chunk(bytes: number, before: number, exchange: number | null): ChunkAction | undefined {
    const { toxic, attributes } = this.rule
    const action = attempt(this.#setup, this.rule, () => toxic.onChunk?.(attributes, this.draw, { bytes, before, memory: this.#memory, ageMs: this.#age() }))
    if (!action) return undefined
    this.rule.chunks++
    if (!this.#journalled) this.hit(action, exchange)
    return action
  }

  end(): EndAction | undefined {
    const { toxic, attributes } = this.rule
    const action = attempt(this.#setup, this.rule, () => toxic.onEnd?.(attributes, this.draw, { memory: this.#memory, ageMs: this.#age() }))
    if (action && !this.#journalled) this.hit(action)
    return action
  }

  hit(action: Action, exchange = this.#subject.exchange): void {
    this.#journalled = true
    this.rule.hits++
    const { link, log } = this.#setup
    log.emit('toxic.hit', { link, toxic: this.rule.name, toxicType: this.rule.toxic.name, connection: this.#subject.connection, exchange, ...inWords(action, this.rule) })
  }

  #age(): number {
    return this.#setup.clock.monotonic() - this.rule.bornAt
  }
}

const ENDING = { fin: 'connection closed', rst: 'connection reset', hang: 'silence' } as const

/** An action as the journal says it: a few words, and its numbers. */
function inWords(action: Action, rule: Rule): { action: string; [number: string]: string | number | null } {
  switch (action.do) {
    case 'delay':
      return { action: rule.toxic.onConnect ? 'connecting delayed' : 'bytes delayed', ms: rounded(action.ms) }
    case 'slice':
      return { action: 'bytes cut in pieces', pieces: action.sizes.length, everyMs: action.everyMs }
    case 'flip':
      return { action: 'bytes corrupted', bytes: action.places.length }
    case 'drop':
      return { action: 'bytes dropped' }
    case 'limit':
      return { action: `bytes cut off, ${ENDING[action.how]}`, bytes: action.bytes }
    case 'delayEnd':
      return { action: 'closing delayed', ms: rounded(action.ms) }
    case 'refuse':
      return { action: 'connection refused' }
    case 'hold':
      return { action: 'body' in action ? (action.body ? 'body delayed' : 'answer delayed') : 'request delayed', ms: rounded(action.ms) }
    case 'yield':
      return { action: 'request overtaken' }
    case 'edit':
      return { action: action.edit.value === null ? 'header removed' : 'header changed', header: action.edit.name }
    case 'pace':
      return { action: action.bytesPerMs > 0 ? 'bytes slowed down' : 'bytes held', bytesPerMs: action.bytesPerMs }
    case 'swallow':
      return { action: 'bytes swallowed', closeAfterMs: action.closeAfterMs }
    case 'cut':
      return { action: ENDING[action.how], afterMs: action.afterMs }
    case 'answer':
      return { action: 'answered instead of the service', status: action.response.status }
    case 'lose':
      return { action: `${(rule.toxic.place?.(rule.attributes) ?? (rule.toxic.onRequest ? 'request' : 'response')) === 'request' ? 'request lost' : 'answer dropped'}, ${ENDING[action.how]}` }
    case 'duplicate':
      return { action: 'request sent twice', afterMs: action.afterMs }
    case 'truncate':
      return { action: `answer cut short, ${ENDING[action.how]}`, ...('bytes' in action ? { bytes: action.bytes } : { fraction: action.fraction }) }
    case 'dribble':
      return { action: 'answer dribbled', pieces: action.pieces, overMs: action.overMs }
  }
}

const rounded = (ms: number) => Math.round(ms * 1000) / 1000

function bad(message: string, hint: string): ResilError {
  return new ResilError('BAD_TOXIC', message, hint)
}

function read(key: string, spec: AttributeSpec, value: unknown, where: string): number | string {
  if (spec.type !== 'string') return number(key, spec, value, where)
  if (typeof value !== 'string') throw bad(`${where}: ${key} is ${String(value)}`, 'it is a text')
  if (value.length > MAX_TEXT) throw bad(`${where}: ${key} is too long`, `it has at most ${MAX_TEXT} characters`)
  if (spec.choices && !spec.choices.includes(value)) throw bad(`${where}: ${key} is "${value}"`, `it can be ${spec.choices.join(', ')}`)
  return value
}

const PLAIN = /^-?\d+(\.\d+)?$/

function number(key: string, spec: AttributeSpec, value: unknown, where: string): number {
  let n = Number.NaN
  if (typeof value === 'number') n = value
  else if (typeof value === 'string') n = spec.unit === 'ms' ? (durationOrMs(value) ?? Number.NaN) : PLAIN.test(value) ? Number(value) : Number.NaN
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

const patternOf = (pattern: string | undefined, star: 'segment' | 'anything') => (pattern === undefined ? undefined : globOf(pattern, star))

const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

function headerOf(text: string | undefined, where: string): Target['header'] {
  if (text === undefined) return undefined
  const colon = text.indexOf(':')
  const name = (colon === -1 ? text : text.slice(0, colon)).trim().toLowerCase()
  if (!HEADER_NAME.test(name)) throw bad(`${where}: header is "${text}"`, 'write its name, or "name: value"')
  return { name, value: colon === -1 ? undefined : globOf(text.slice(colon + 1).trim(), 'anything') }
}

function rangeOf(text: string | undefined, where: string): AddressRange | undefined {
  if (text === undefined) return undefined
  const range = addressRange(text)
  if (!range) throw bad(`${where}: client is "${text}"`, 'write an address, or a range like 10.0.0.0/8 or fd00::/8')
  return range
}

function windowOf(text: string | undefined, where: string): Target['window'] {
  if (text === undefined) return undefined
  const [from, to, ...rest] = text.split('..')
  const ms = (side: string | undefined, none: number) => (side === '' ? none : side === undefined ? Number.NaN : (durationOrMs(side) ?? Number.NaN))
  const window = { from: ms(from, 0), to: ms(to, Number.POSITIVE_INFINITY) }
  if (rest.length > 0 || !(window.from < window.to)) throw bad(`${where}: window is "${text}"`, 'write "10s..20s", "10s.." or "..20s"; the first is the smaller one')
  return window
}
