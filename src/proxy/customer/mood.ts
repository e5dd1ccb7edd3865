/** How a customer fares until it is told otherwise. */
import { ResilError } from '../../errors.ts'

/** Which messages: any id, key or part of a body that is named, or the `every`-th. */
export interface Matching {
  ids?: readonly string[]
  keys?: readonly string[]
  /** Text that a body contains. */
  bodies?: readonly string[]
  every?: number
}

export type Mood =
  /** Verifies, processes, answers 204. */
  | { kind: 'healthy' }
  /** The same, `ms` after the request came. */
  | { kind: 'slow'; ms: number }
  /** Every connection is reset before anything is read. (Who wants refusals takes the link down.) */
  | { kind: 'down' }
  /** Healthy for `upMs`, then down for `downMs`, and so on, counted from when the mood began. */
  | { kind: 'flapping'; upMs: number; downMs: number }
  /** Answers `status`, 400 to 599, and processes nothing unless `processes` is true. `retryAfter`: seconds, or any text. */
  | { kind: 'error'; status: number; retryAfter?: number | string; processes?: boolean }
  /** Answers `status`, 300 to 308, and processes nothing; without `location` it names no place. */
  | { kind: 'redirect'; status: number; location?: string }
  /** Reads the request, processes it unless `processes` is false, and resets the connection. */
  | { kind: 'reset_after_body'; processes?: boolean }
  /** Answers 200 with a login page, and processes nothing. */
  | { kind: 'lie_200' }
  /** Answers 204, and does not process those that match: of the messages that it would have processed, the `every`-th. */
  | ({ kind: 'forgetful' } & Matching)
  /** Answers 202 with `webhook-ack: deferred`, and processes and acknowledges `ackMs` later, or never. */
  | { kind: 'deferred'; ackMs: number | 'never' }
  /** Healthy, and says so with a signed `webhook-receipt`. */
  | { kind: 'receipt' }
  /** Answers 500 to the messages that match, however often they come; of `every` counts messages, not requests. */
  | ({ kind: 'gone_for' } & Matching)
  /** Answers 500 to every n-th request. */
  | { kind: 'reject_every'; every: number }

/** Ids, keys and bodies that a mood names. */
const NAMED_LIMIT = 10_000
/** A month, ms: what is longer has another word, down or never. */
const LONGEST_MS = 31 * 24 * 3_600_000

/** The mood itself. Throws INVALID_MOOD. */
export function sound(mood: Mood): Mood {
  const whole = (n: unknown, least: number, most: number) => Number.isSafeInteger(n) && (n as number) >= least && (n as number) <= most
  const time = (ms: number, least = 0) => ms >= least && ms <= LONGEST_MS
  const refuse = (why: string): never => {
    throw new ResilError('INVALID_MOOD', `a customer cannot be ${String(mood.kind)} like this`, why)
  }
  switch (mood.kind) {
    case 'healthy':
    case 'down':
    case 'reset_after_body':
    case 'lie_200':
    case 'receipt':
      return mood
    case 'slow':
      return time(mood.ms) ? mood : refuse('ms is from 0 to a month')
    case 'flapping':
      return time(mood.upMs, 1) && time(mood.downMs, 1) ? mood : refuse('upMs and downMs are from 1 ms to a month')
    case 'error':
      if (!whole(mood.status, 400, 599)) refuse('a status is from 400 to 599')
      return fitsHeader(String(mood.retryAfter ?? '')) ? mood : refuse('retryAfter is a line of plain text')
    case 'redirect':
      if (!whole(mood.status, 300, 308)) refuse('a status is from 300 to 308')
      return fitsHeader(mood.location ?? '') ? mood : refuse('a location is a line of plain text')
    case 'deferred':
      return mood.ackMs === 'never' || time(mood.ackMs) ? mood : refuse('ackMs is from 0 to a month, or never')
    case 'forgetful':
    case 'gone_for': {
      const named = [mood.ids, mood.keys, mood.bodies].reduce((sum, names) => sum + (names?.length ?? 0), 0)
      if (named > NAMED_LIMIT) refuse(`it names ${NAMED_LIMIT} messages at most`)
      if (named === 0 && mood.every === undefined) refuse('say which messages: ids, keys, bodies or every')
      return mood.every === undefined || whole(mood.every, 1, Number.MAX_SAFE_INTEGER) ? mood : refuse('every is a whole number from 1')
    }
    case 'reject_every':
      return whole(mood.every, 1, Number.MAX_SAFE_INTEGER) ? mood : refuse('every is a whole number from 1')
    default:
      return refuse('there is no such mood')
  }
}

/** What may stand in a header's value. */
function fitsHeader(text: string): boolean {
  return /^[\t\u0020-\u007e]{0,2048}$/.test(text)
}

/** Its kind and its numbers, for people: `error, status 429, retryAfter 120`. Lists are told by their length. */
export function described({ kind, ...rest }: { kind: string }): string {
  const parts = Object.entries(rest).filter(([, value]) => value !== undefined).map(([name, value]) => `${name} ${Array.isArray(value) ? value.length : String(value)}`)
  return [kind, ...parts].join(', ')
}
