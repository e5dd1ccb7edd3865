/** Feeds boundary events to the invariants of a run, and sums up what they found. */
import type { Event, EventLog } from '../events.ts'
import type { Checker, Finding, Invariant, Violation } from '../invariant.ts'
import { VIOLATIONS_KEPT } from '../invariant.ts'

interface Trial {
  name: string
  checker: Checker
  violations: Violation[]
  more: number
}

/** What an engine says of itself is no evidence; what the laboratory did to it is. */
export const EVIDENCE: ReadonlySet<string> = new Set(['client', 'proxy', 'mock', 'audit', 'lab'])

export class Judge {
  readonly #log: EventLog
  readonly #trials: Trial[]

  /** Listens from now on. Subscribe it last: other readers see an event before the violation that it completes. */
  constructor(log: EventLog, invariants: readonly Invariant[]) {
    this.#log = log
    this.#trials = invariants.map((invariant) => ({ name: invariant.name, checker: invariant.start(), violations: [], more: 0 }))
    log.subscribe((event) => this.#on(event))
  }

  /** After the world came to rest. */
  findings(): (Finding & { invariant: string })[] {
    return this.#trials.map((trial) => {
      const end = trial.checker.end()
      for (const violation of end.violations) this.#convict(trial, violation)
      const verdict = trial.violations.length > 0 ? 'violated' : end.undecided !== undefined ? 'undecided' : 'held'
      const looked = verdict === 'undecided' ? end.undecided! : trial.more > 0 ? `${end.looked}; ${trial.more} more violations` : end.looked
      return { invariant: trial.name, verdict, looked, violations: trial.violations }
    })
  }

  #on(event: Event): void {
    if (!EVIDENCE.has(event.src)) return
    for (const trial of this.#trials) {
      const violation = trial.checker.on(event)
      if (violation) this.#convict(trial, violation)
    }
  }

  #convict(trial: Trial, violation: Violation): void {
    if (trial.violations.length >= VIOLATIONS_KEPT) {
      trial.more++
      return
    }
    trial.violations.push(violation)
    this.#log.emit('lab', 'invariant.violated', { invariant: trial.name, ...violation })
  }
}
