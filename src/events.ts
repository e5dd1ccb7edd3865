/**
 * The one event stream. Everything that crosses a boundary becomes an event; recordings, checkers, screens and reports read nothing else.
 * The types and their fields are listed in docs/events.md and held by a contract test.
 */
import type { Clock } from './clock.ts'

/**
 * Who saw it. `client`, `proxy` and `mock` stand at the boundary; `audit` is the laboratory's own look into a reference engine's store;
 * `engine` is what an engine says of itself (advisory: late, or lost at a SIGKILL); `lab` is the run itself.
 */
export type Source = 'client' | 'proxy' | 'mock' | 'audit' | 'engine' | 'lab'

export type Fields = Record<string, any>

export interface Event extends Fields {
  /** The run's id. */
  run: string
  /** Total order within the run, from 1. */
  seq: number
  /** ms since the run's start, monotonic, of the log that numbered it. */
  t: number
  /** Wall time of the emitter, ms since 1970. */
  at: number
  src: Source
  /** The engine node, or null. */
  node: string | null
  /** noun.past_participle */
  type: string
}

/** What an engine, a mock or a link is given: it can say things, and knows neither the run nor the readers. */
export interface Log {
  emit(type: string, fields?: Fields): void
}

export type Sink = (event: Event) => void

/** Whether a reader takes events of that type; always the same answer for the same type. */
export type Wants = (type: string) => boolean

const everything: Wants = () => true

/** Gives every event its place in the total order and hands it to the sinks, at once and in order. A sink never blocks and never throws. */
export class EventLog {
  readonly run: string
  readonly #clock: Clock
  readonly #start: number
  readonly #readers = new Set<{ sink: Sink; wants: Wants }>()
  /** Whether anybody wants events of a type; asked for each event, so remembered. */
  readonly #wanted = new Map<string, boolean>()
  readonly #pending: Event[] = []
  #seq = 0

  constructor(run: string, clock: Clock) {
    this.run = run
    this.#clock = clock
    this.#start = clock.monotonic()
  }

  emit(src: Source, type: string, fields: Fields = {}, node: string | null = null, at = this.#clock.now()): Event {
    const t = Math.round((this.#clock.monotonic() - this.#start) * 1000) / 1000
    const event: Event = { run: this.run, seq: ++this.#seq, t, at, src, node, type, ...fields }
    this.#pending.push(event)
    if (this.#pending.length > 1) return event // said by a sink: it waits until every sink has seen what made it speak
    try {
      for (const next of this.#pending) {
        for (const { sink, wants } of this.#readers) if (wants(next.type)) sink(next)
      }
    } finally {
      this.#pending.length = 0
    }
    return event
  }

  /** A log bound to its speaker. */
  from(src: Source, node: string | null = null): Log {
    return {
      emit: (type, fields) => {
        if (this.#isWanted(type)) this.emit(src, type, fields, node)
      },
    }
  }

  subscribe(sink: Sink, wants: Wants = everything): () => void {
    const reader = { sink, wants }
    this.#readers.add(reader)
    this.#wanted.clear()
    return () => {
      this.#readers.delete(reader)
      this.#wanted.clear()
    }
  }

  /** What nobody wants is not made: it takes no number and no time. */
  #isWanted(type: string): boolean {
    const known = this.#wanted.get(type)
    if (known !== undefined) return known
    const wanted = [...this.#readers].some(({ wants }) => wants(type))
    this.#wanted.set(type, wanted)
    return wanted
  }

  /** The next event for which `wanted` says yes (or whose type it is). */
  until(wanted: string | ((event: Event) => boolean)): Promise<Event> {
    const matches = typeof wanted === 'string' ? (event: Event) => event.type === wanted : wanted
    return new Promise((resolve) => {
      const stop = this.subscribe((event) => {
        if (!matches(event)) return
        stop()
        resolve(event)
      })
    })
  }
}

/** For code that may run without a reader. */
export const silentLog: Log = { emit() {} }
