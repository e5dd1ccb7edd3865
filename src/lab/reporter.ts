/**
 * The contract of a reporter: it is fed every event of a run, in order, and writes what its readers want to see.
 * A file of src/lab/reporters exports one `reporter`; the file's name is its name.
 */
import type { Event } from '../events.ts'
import type { Finding, Verdict } from '../invariant.ts'
import { learn, named } from './sentence.ts'

/** Where a reporter writes. */
export interface Paper {
  write(text: string): void
  /** Width of the paper in characters; absent when there is none, as in a file or a pipe: then nothing is cut. */
  columns?: number
}

/** One report being written. */
export interface Reporting {
  /** Takes one event; never throws, never blocks. `run.ended` comes last, at most once: a report without one says that the run was cut short. */
  event(event: Event): void
  /** After the last event. */
  end?(): void | Promise<void>
}

export interface Reporter {
  /** A fragment, lower case: what it writes and for whom. */
  summary: string
  open(paper: Paper): Reporting
}

/** What `run.ended` says, besides the envelope. */
export interface Ending {
  verdict: Verdict
  exit: number
  /** What happened to the money, the webhook or the job. */
  story: string
  findings: readonly (Finding & { invariant: string })[]
  /** Scheduled faults that never happened. */
  unfired: readonly string[]
  seed: string | number
  /** The command line that makes this run again. */
  again: string
  ms: number
}

/** Most events that are kept so that a witness can be quoted: the last ones, and those that a violation has named. */
const WITNESSES_KEPT = 20_000

/** Remembers events, so that a report can quote the witnesses of a violation, and whose the endpoints are that events name by their id. */
export class Witnesses {
  readonly #events = new Map<number, Event>()
  readonly #named = new Map<number, Event>()
  readonly #names = new Map<string, string>()

  on(event: Event): void {
    learn(this.#names, event)
    this.#events.set(event.seq, event)
    if (this.#events.size > WITNESSES_KEPT) this.#events.delete(this.#events.keys().next().value!)
    if (event.type !== 'invariant.violated' || !Array.isArray(event['witness'])) return
    for (const seq of event['witness']) {
      const witness = this.#events.get(seq)
      if (witness) this.#named.set(seq, witness)
    }
  }

  /** The event, as people call its endpoint, or undefined when it is no longer remembered. */
  get(seq: number): Event | undefined {
    const event = this.#named.get(seq) ?? this.#events.get(seq)
    return event && this.named(event)
  }

  /** The same event, its endpoint called by its customer's name. */
  named(event: Event): Event {
    return named(event, this.#names)
  }
}
