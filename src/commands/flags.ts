/**
 * The kinds of values that flags take, each with one clear refusal (BAD_FLAG, exit code 2).
 * A flag that is not `multiple` may be given once; twice is refused, so that nobody wonders which one counted.
 */
import { Flags } from '@oclif/core'
import { SystemClock } from '../clock.ts'
import { durationMs } from '../duration.ts'
import { ResilError } from '../errors.ts'
import { visible } from '../visible.ts'

/** A year: no wait, budget or lease here is longer, and every number of ms up to it is exact. */
const LONGEST_DURATION_MS = 365 * 86_400_000

/** '99.00' in minor units goes up to this: a hundred million, far below 2^53 in any sum of them. */
const LARGEST_AMOUNT_MINOR = 10_000_000_000

function refuse(text: string, wanted: string, hint: string): never {
  throw new ResilError('BAD_FLAG', `${JSON.stringify(visible(text)).replaceAll('\\\\', '\\')} is not ${wanted}`, hint)
}

/** '250ms', '1.5s', '2m', '1h', '3d' in whole ms. A bare number is refused: 5 of what? */
export function parseDuration(text: string): number {
  const ms = durationMs(text)
  if (ms === undefined || !Number.isInteger(ms) || ms > LONGEST_DURATION_MS) refuse(text, 'a duration', 'give a number with its unit, as in 250ms, 2s, 5m or 1h; a year at most')
  return ms
}

/** Decimal digits only: no sign but a leading minus, no exponent, no 0x. Both bounds included. */
export function parseInteger(text: string, min: number, max: number): number {
  const value = /^-?\d{1,16}$/.test(text) ? Number(text) : NaN
  if (!(value >= min && value <= max)) refuse(text, `a whole number from ${min} to ${max}`, 'write it in digits alone')
  return value
}

/** '99.00' or '99' in minor units (9900), for currencies of two decimals; more than nothing. */
export function parseAmount(text: string): number {
  const match = /^(\d{1,12})(?:\.(\d{2}))?$/.exec(text)
  const minor = match ? Number(match[1]) * 100 + Number(match[2] ?? 0) : NaN
  if (!(minor > 0 && minor <= LARGEST_AMOUNT_MINOR)) refuse(text, 'an amount of money', 'give units and two decimals, as in 99.00, more than 0')
  return minor
}

/** '7d' (so long before `now`), or a date or time of ISO 8601, in ms since 1970. A time names its zone: of which city would it be else? A date is midnight UTC. */
export function parseMoment(text: string, now: number): number {
  const at = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2}))?$/.test(text) ? Date.parse(text) : /^\d/.test(text) && /[a-z]$/.test(text) ? now - parseDuration(text) : NaN
  if (!(at >= 0)) refuse(text, 'a moment', 'say how long ago, as in 7d or 90m, or when, as in 2030-01-31 or 2030-01-31T12:00:00Z')
  return at
}

/** Longest name of an operator, and longest reason that is kept. */
const LONGEST_NAME = 100
const LONGEST_REASON = 500

const words = (most: number) => async (text: string) => {
  if (text.trim() === '' || text.length > most || !text.isWellFormed()) refuse(text.slice(0, 50), `1 to ${most} characters`, 'it is kept with what was done')
  return text.trim()
}

/** Who does it and why: what every deed of an operator is written down with. */
export const deedFlags = {
  by: Flags.string({ summary: 'who does it: kept with the deed', required: true, helpValue: 'NAME', parse: words(LONGEST_NAME) }),
  why: Flags.string({ summary: 'why: kept with the deed', required: true, helpValue: 'TEXT', parse: words(LONGEST_REASON) }),
}

/** A point in ms since 1970; written 7d (ago), 2030-01-31, 2030-01-31T12:00:00Z. */
export const moment = Flags.custom<number>({ parse: async (text) => parseMoment(text, new SystemClock().now()), helpValue: 'WHEN' })

/** In ms; written 250ms, 2s, 1h. */
export const duration = Flags.custom<number>({ parse: async (text) => parseDuration(text), helpValue: 'DURATION' })

/** A whole number between bounds, both included. */
export const integer = Flags.custom<number, { min: number; max: number }>({
  parse: async (text, _, { min, max }) => parseInteger(text, min, max),
  helpValue: 'N',
})

/** 0 takes any free port. */
export const port = Flags.custom<number>({
  parse: async (text) => {
    try {
      return parseInteger(text, 0, 65_535)
    } catch {
      refuse(text, 'a port', 'give a whole number from 0 to 65535; 0 takes any free port')
    }
  },
  helpValue: 'PORT',
})

/** Whole, from 0 to 2^53 - 1. */
export const seed = Flags.custom<number>({
  parse: async (text) => {
    try {
      return parseInteger(text, 0, Number.MAX_SAFE_INTEGER)
    } catch {
      refuse(text, 'a seed', `give a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`)
    }
  },
  helpValue: 'SEED',
})

/** In minor units; written 99.00. */
export const amount = Flags.custom<number>({ parse: async (text) => parseAmount(text), helpValue: '99.00' })

const DEFAULT_MOCK_PORTS = { bank: 4002, fraud: 4001, notification: 4003, resource: 4005, customer: 4006 } as const

/** What each of the mocks takes when it stands alone. */
export const mockFlags = (mock: keyof typeof DEFAULT_MOCK_PORTS) => ({
  port: port({ summary: 'port to listen on, loopback only', default: DEFAULT_MOCK_PORTS[mock] }),
  lie: Flags.string({ summary: 'what it does wrong, e.g. late_answer=3s,times=1; for every request that fits unless times is given (resil list mocks)', multiple: true, helpValue: 'KIND[=DURATION]' }),
  p50: duration({ summary: 'half of the answers take less' }),
  p99: duration({ summary: 'one in a hundred takes longer' }),
  seed: seed({ summary: 'replays latencies and ids' }),
})

/** Where services are looked for when nobody says: where the mocks stand. */
export const serviceUrl = (mock: keyof typeof DEFAULT_MOCK_PORTS) =>
  Flags.string({ summary: `base URL of the ${mock} service`, default: `http://127.0.0.1:${DEFAULT_MOCK_PORTS[mock]}`, helpValue: 'URL' })

/** Where `pay serve` keeps its payments, and the operator's commands look for them. */
export const paymentsDb = Flags.string({ summary: 'database file', default: 'payments.db', helpValue: 'FILE' })
