/** What to run, checked once. Everything that a run depends on is in its plan; the same plan with the same seed is the same run. */
import { durationMs } from '../duration.ts'
import { ResilError } from '../errors.ts'
import type { ToxicSpec } from '../scenario.ts'
import type { Face } from './subject.ts'

export type Mode = 'sim' | 'wire'

export type Subject =
  | { kind: 'reference' }
  /** A module that exports `createEngine`. */
  | { kind: 'module'; file: string }
  /** A service that runs already. */
  | { kind: 'url'; url: string }
  /** A scheduler of the user's, started so many times. `periodMs` is the shortest time between two slots. */
  | { kind: 'command'; argv: readonly string[]; expr: string; zone: string; toleranceMs: number; periodMs: number }

export interface Plan {
  /** A scenario's name or acceptance id, or a file. */
  scenario: string
  mode: Mode
  seed: number
  subject: Subject
  /** Faults on top of the scenario's own. */
  toxics: readonly ToxicSpec[]
  /** Invariants on top of the scenario's own. */
  invariants: readonly string[]
  /** What is paid, where payments are made. */
  options?: { clicks: number; amountMinor: number; currency: string }
  /** Nodes of a scheduler, when not as many as the scenario says. */
  nodes?: number
  /** Every node of a scheduler fires: there is no election. */
  leaderless?: boolean
  /** How a service known by URL wants to be spoken to; our own face when absent. */
  face?: Face
  /** Where the mock bank listens for a service known by URL, by mock name; 0 takes a free port. */
  ports?: Record<string, number>
  /** The database file of the engine in wire mode; a temporary one when absent. */
  db?: string
  /** The command line that runs this again. */
  again: string
}

/** Longest run: virtual ms in `sim`, more than the five days after which an endpoint is given up; real ms in `wire`. */
export const RUN_LIMIT_MS: Record<Mode, number> = { sim: 8 * 86_400_000, wire: 180_000 }


/**
 * Reads `LINK:TYPE[=VALUE][,ATTRIBUTE=VALUE ...][@upstream|@downstream]`, e.g. `bank:latency=200ms,jitter=50ms,times=1`.
 * VALUE sets the toxic's first attribute. Whether the words mean anything is checked where the rule is added. Throws BAD_TOXIC.
 */
export function readToxic(text: string, firstAttributeOf: (type: string) => string | undefined): ToxicSpec {
  const match = /^([a-z][a-z0-9-]*):([a-z_]+)(?:=([^,@]*))?((?:,[a-z_]+=[^,@]*)*)(?:@(upstream|downstream))?$/.exec(text)
  if (!match) throw new ResilError('BAD_TOXIC', `"${text}" is no fault`, 'write LINK:TYPE=VALUE,ATTRIBUTE=VALUE, for example bank:latency=200ms,jitter=50ms')
  const [, link, type, value, rest, stream] = match
  const attributes: Record<string, number | string> = {}
  if (value !== undefined) {
    const first = firstAttributeOf(type!)
    if (first === undefined) throw new ResilError('BAD_TOXIC', `"${text}": the toxic ${type} takes no value, or does not exist`, 'resil list toxics')
    attributes[first] = scalar(value)
  }
  for (const pair of rest!.split(',').slice(1)) {
    const [name, given] = pair.split('=') as [string, string]
    attributes[name] = scalar(given)
  }
  return { link: link!, type: type!, ...(stream ? { stream: stream as 'upstream' | 'downstream' } : {}), attributes }
}

function scalar(text: string): number | string {
  return durationMs(text) ?? (text !== '' && Number.isFinite(Number(text)) ? Number(text) : text)
}

/** What a program of the user's is started with. */
export const processEnvironment = (): NodeJS.ProcessEnv => process.env
