/**
 * The contract of an invariant: a fold over boundary events that either convicts with witnesses, or says what it looked at.
 * It reads nothing else: no store, no clock, no engine event. That is why it judges a stranger's service as well as ours.
 */
import type { Event } from './events.ts'

export type Verdict = 'held' | 'violated' | 'undecided'

export interface Violation {
  /** One sentence, with the numbers. */
  why: string
  /** `seq` of the events that show it, in order. */
  witness: number[]
}

export interface Finding {
  verdict: Verdict
  /** What was looked at ("2 answers", "1 charge, 1 order"), or why it could not be judged. */
  looked: string
  violations: Violation[]
}

export interface Checker {
  /** One boundary event (src client, proxy, mock or audit) or lab event. A violation is told at the event that completes it. */
  on(event: Event): Violation | undefined
  /** After the world came to rest: violations that only the end can show, and what was looked at; `undecided` when there was nothing to judge. */
  end(): { violations: Violation[]; looked: string; undecided?: string }
}

export interface Invariant {
  name: string
  /** A fragment, lower case: what always holds. */
  summary: string
  start(): Checker
}

/** Most violations that are kept for one invariant: the first ones; the rest are counted. */
export const VIOLATIONS_KEPT = 20

/** The worst of several verdicts; violated over undecided over held. */
export function worst(verdicts: Iterable<Verdict>): Verdict {
  let result: Verdict = 'held'
  for (const verdict of verdicts) {
    if (verdict === 'violated') return 'violated'
    if (verdict === 'undecided') result = 'undecided'
  }
  return result
}

/** What a judgement at the end finds: sentences, each with the events that show it, and what was looked at. */
export interface Judgement {
  violations: Violation[]
  looked: string
  undecided?: string
}

/** An invariant that gathers evidence as it comes and judges when all is in; `lacks` says why it cannot, if so. */
export function judgedAtTheEnd<E extends { on(event: Event): void }>(name: string, summary: string, { gather, lacks, judge }: { gather: () => E; lacks: (evidence: E) => string | undefined; judge: (evidence: E) => Judgement }): Invariant {
  return {
    name,
    summary,
    start() {
      const evidence = gather()
      return {
        on(event) {
          evidence.on(event)
          return undefined
        },
        end() {
          const undecided = lacks(evidence)
          return undecided === undefined ? judge(evidence) : { violations: [], looked: '', undecided }
        },
      }
    },
  }
}

/** `1 event`, `2 events`. */
export function plural(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`
}
