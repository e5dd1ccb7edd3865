/**
 * One direction of one connection, between two sockets it does not know: the rules on bytes as a chain of stages, each with its own queue.
 *
 *   push ──▶ entry ──▶ stage (rule 1) ──▶ stage (rule 2) ──▶ deliver
 *
 * Order is kept always. Rules come and go at once: a new one is appended, a removed one hands on what it held.
 * What is queued is counted in `queuedBytes`; whoever pushes stops reading when that is too much.
 */
import type { Cancel, Clock } from '../clock.ts'
import type { Exchange } from './http-tap.ts'
import { noHeader } from './rules.ts'
import type { Decision, Rule, Rules, Subject } from './rules.ts'
import type { ChunkAction, Cut, Stream } from './toxic.ts'

export type Item =
  | { is: 'bytes'; bytes: Buffer; exchange: Exchange | null; /** The message ends with them. */ last: boolean }
  /** FIN: waits behind the bytes before it. */
  | { is: 'end' }
  /** The connection ends here, behind the bytes before it; on both sides when a rule on bytes says so. */
  | { is: 'cut'; how: Cut; by: 'toxic' | 'client' | 'service'; both?: true }

export interface PipeSetup {
  clock: Clock
  rules: Rules
  stream: Stream
  /** The connection's number, and its client's address. */
  connection: number
  client: string
  /** What a rule is asked about an exchange. */
  subjectOf(exchange: Exchange): Subject
  deliver(item: Item): void
  /** A rule on bytes ends the whole connection. */
  cut(how: Cut): void
}

interface Target {
  push(item: Item): void
}

/** A queue's head is released this early, ms: sums of fractions may miss their point in time by a hair. */
const EARLY_MS = 0.01

/** Longest stretch of time, ms, that a paced chunk passes in one piece. */
const PACE_SLICE_MS = 100

export class Pipe {
  readonly #setup: PipeSetup
  readonly #entry: Queue
  readonly #exit: Target
  #stages: Stage[] = []
  #discarding = false
  /** The last bytes pushed: those that follow them in the same message and the same read go with them. */
  #unsettled: (Item & { is: 'bytes' }) | undefined
  /** Bytes held by all stages together. */
  readonly #held = { bytes: 0 }

  constructor(setup: PipeSetup) {
    this.#setup = setup
    this.#exit = { push: (item) => setup.deliver(item) }
    this.#entry = new Queue(setup.clock, this.#held)
    for (const rule of setup.rules.chain(setup.stream)) this.#stages.push(new Stage(setup, this.#held, rule))
    this.#connect()
  }

  get queuedBytes(): number {
    return this.#held.bytes
  }

  /** True while something is held that no time will release. */
  get isStuck(): boolean {
    return this.#stages.some((stage) => stage.queue.isStuck)
  }

  /** Takes the next item, or takes it in `afterMs` and behind those before it. Bytes go on their way at the latest with `settle`. */
  push(item: Item, afterMs = 0): void {
    if (this.#discarding) return
    const before = this.#unsettled
    if (before && item.is === 'bytes' && afterMs === 0 && follows(before, item)) {
      const bytes = Buffer.from(before.bytes.buffer, before.bytes.byteOffset, before.bytes.length + item.bytes.length)
      this.#unsettled = { ...item, bytes }
      return
    }
    this.settle()
    if (afterMs > 0) this.#entry.hold(item, afterMs)
    else if (item.is === 'bytes') this.#unsettled = item
    else this.#entry.push(item)
  }

  /** No more bytes of the same read follow. */
  settle(): void {
    const item = this.#unsettled
    this.#unsettled = undefined
    if (item) this.#entry.push(item)
  }

  /** Lets go of all that was pushed for later. */
  hurry(): void {
    this.#entry.flush()
  }

  add(rule: Rule): void {
    this.#stages.push(new Stage(this.#setup, this.#held, rule))
    this.#connect()
  }

  remove(rule: Rule): void {
    const stage = this.#stages.find((each) => each.rule === rule)
    if (!stage) return
    stage.leave()
    this.#stages = this.#stages.filter((each) => each !== stage)
    this.#connect()
  }

  /** The rule does something else now: it decides anew, and what it held passes. */
  update(rule: Rule): void {
    this.#stages.find((each) => each.rule === rule)?.renew()
  }

  /** Drops what is held and whatever comes: nobody will read it. Ends all timers. */
  discard(): void {
    this.#discarding = true
    this.#unsettled = undefined
    this.#entry.drop()
    for (const stage of this.#stages) stage.drop()
  }

  #connect(): void {
    const targets: Target[] = [...this.#stages, this.#exit]
    this.#entry.next = targets[0]!
    this.#stages.forEach((stage, i) => {
      stage.queue.next = targets[i + 1]!
    })
  }
}

/** Items that each wait for their point in time, in order. */
class Queue implements Target {
  next: Target = { push() {} }
  readonly #clock: Clock
  readonly #held: { bytes: number }
  #items: { item: Item; due: number }[] = []
  #first = 0
  #lastDue = Number.NEGATIVE_INFINITY
  #cancel: Cancel | undefined

  constructor(clock: Clock, held: { bytes: number }) {
    this.#clock = clock
    this.#held = held
  }

  get isEmpty(): boolean {
    return this.#first === this.#items.length
  }

  get isStuck(): boolean {
    return !this.isEmpty && this.#items[this.#first]!.due === Number.POSITIVE_INFINITY
  }

  /** Passes it on at once, unless others wait. */
  push(item: Item): void {
    if (this.isEmpty) this.next.push(item)
    else this.#append(item, this.#lastDue)
  }

  /** Passes it on `ms` from now, or right behind the one before it when that is later. */
  hold(item: Item, ms: number): void {
    this.#append(item, this.#clock.monotonic() + ms)
  }

  /** Passes it on `ms` after the one before it, at the earliest `ms` from now. */
  holdBehind(item: Item, ms: number): void {
    this.#append(item, Math.max(this.#clock.monotonic(), this.isEmpty ? 0 : this.#lastDue) + ms)
  }

  /** Passes it on at once, or `ms` after the one before it when that is later. */
  space(item: Item, ms: number): void {
    this.#append(item, Math.max(this.#clock.monotonic(), this.#lastDue + ms))
  }

  flush(): void {
    this.#release(Number.POSITIVE_INFINITY)
  }

  drop(): void {
    this.#cancel?.()
    for (let i = this.#first; i < this.#items.length; i++) this.#held.bytes -= size(this.#items[i]!.item)
    this.#items = []
    this.#first = 0
  }

  #append(item: Item, due: number): void {
    this.#items.push({ item, due })
    this.#held.bytes += size(item)
    this.#lastDue = due
    if (this.#items.length - this.#first === 1) this.#arm()
  }

  #arm(): void {
    this.#cancel?.()
    const head = this.#items[this.#first]
    if (!head || head.due === Number.POSITIVE_INFINITY) return
    this.#cancel = this.#clock.after(head.due - this.#clock.monotonic(), () => this.#release(this.#clock.monotonic() + EARLY_MS))
  }

  #release(until: number): void {
    while (!this.isEmpty && this.#items[this.#first]!.due <= until) {
      const { item } = this.#items[this.#first++]!
      this.#held.bytes -= size(item)
      this.next.push(item)
    }
    if (this.isEmpty || this.#first > 1000) {
      this.#items.splice(0, this.#first)
      this.#first = 0
    }
    this.#arm()
  }
}

/** One rule on the bytes of this connection. */
class Stage implements Target {
  readonly rule: Rule
  readonly queue: Queue
  readonly #setup: PipeSetup
  #decidedFor: Exchange | 'connection' | undefined
  #decision: Decision | undefined
  /** Bytes of the connection, or of the exchange, that the rule was asked about. */
  #seen = 0
  /** How the connection ends because bytes are missing; it must not go on without this rule. */
  #owes: Cut | undefined
  #cutting = false
  #cancel: Cancel | undefined

  constructor(setup: PipeSetup, held: { bytes: number }, rule: Rule) {
    this.#setup = setup
    this.rule = rule
    this.queue = new Queue(setup.clock, held)
  }

  push(item: Item): void {
    if (this.#cutting) return
    if (item.is === 'end') return this.#end(item)
    if (item.is === 'cut' || item.bytes.length === 0) return this.queue.push(item)
    const decision = this.#decide(item.exchange)
    if (!decision) return this.queue.push(item)
    const action = decision.chunk(item.bytes.length, this.#seen, item.exchange?.number ?? null)
    this.#seen += item.bytes.length
    if (action) this.#carryOut(action, item)
    else this.queue.push(item)
  }

  /** The rule is gone. */
  leave(): void {
    this.#cancel?.()
    this.queue.flush()
    if (this.#owes) this.#setup.cut(this.#owes)
  }

  renew(): void {
    this.#decidedFor = undefined
    this.queue.flush()
  }

  drop(): void {
    this.#cancel?.()
    this.queue.drop()
  }

  #carryOut(action: ChunkAction, item: Item & { is: 'bytes' }): void {
    switch (action.do) {
      case 'delay':
        return this.queue.hold(item, action.ms)
      case 'pace':
        return this.#pace(item, action.bytesPerMs)
      case 'slice':
        return this.#slice(item, action.sizes, action.everyMs)
      case 'flip': {
        const bytes = Buffer.from(item.bytes)
        for (const { at, xor } of action.places) bytes[at]! ^= xor
        return this.queue.push({ ...item, bytes })
      }
      case 'drop':
        return
      case 'swallow':
        this.#owes = 'fin'
        if (action.closeAfterMs !== null) this.#cutAfter(action.closeAfterMs, 'fin')
        return
      case 'limit':
        this.#cutting = true
        this.queue.push({ ...item, bytes: item.bytes.subarray(0, action.bytes), last: false })
        return this.queue.push({ is: 'cut', how: action.how, by: 'toxic', both: true })
      case 'cut':
        return this.#cut(action.afterMs, action.how)
    }
  }

  #end(item: Item): void {
    const action = this.rule.toxic.onEnd && !this.rule.targeted ? this.#decide(null)?.end() : undefined
    if (action?.do === 'delayEnd') this.queue.hold(item, action.ms)
    else if (action?.do === 'cut') this.#cut(action.afterMs, action.how)
    else this.queue.push(item)
  }

  #cut(afterMs: number, how: Cut): void {
    this.#cutting = true
    this.#owes = how
    this.queue.drop()
    this.#cutAfter(afterMs, how)
  }

  #decide(exchange: Exchange | null): Decision | undefined {
    const about = this.rule.targeted ? exchange : 'connection'
    if (about === null) return undefined
    if (about !== this.#decidedFor) {
      const { rules, connection, client, subjectOf } = this.#setup
      if (about !== 'connection') this.#seen = 0
      this.#decidedFor = about
      this.#decision = rules.decide(this.rule, about === 'connection' ? { connection, client, exchange: null, method: '', path: '', header: noHeader } : subjectOf(about))
    }
    return this.#decision
  }

  /** In pieces of the given sizes; those that are due together leave together. */
  #slice(item: Item & { is: 'bytes' }, sizes: readonly number[], everyMs: number): void {
    let from = 0
    for (const size of sizes) {
      const to = from + size
      this.queue.space({ ...item, bytes: item.bytes.subarray(from, to), last: item.last && to >= item.bytes.length }, everyMs)
      from = to
    }
  }

  #pace(item: Item & { is: 'bytes' }, bytesPerMs: number): void {
    if (bytesPerMs === 0) return this.queue.hold(item, Number.POSITIVE_INFINITY)
    const slice = Math.max(1, Math.floor(bytesPerMs * PACE_SLICE_MS))
    for (let from = 0; from < item.bytes.length; from += slice) {
      const bytes = item.bytes.subarray(from, from + slice)
      this.queue.holdBehind({ ...item, bytes, last: item.last && from + slice >= item.bytes.length }, bytes.length / bytesPerMs)
    }
  }

  #cutAfter(ms: number, how: Cut): void {
    this.#cancel?.()
    if (ms === 0) this.#setup.cut(how)
    else this.#cancel = this.#setup.clock.after(ms, () => this.#setup.cut(how))
  }
}

/** Whether `next` belongs to the same message and lies right behind `before` in memory. */
function follows(before: Item & { is: 'bytes' }, next: Item & { is: 'bytes' }): boolean {
  return !before.last && before.exchange === next.exchange && before.bytes.buffer === next.bytes.buffer && before.bytes.byteOffset + before.bytes.length === next.bytes.byteOffset
}

function size(item: Item): number {
  return item.is === 'bytes' ? item.bytes.length : 0
}
