/**
 * A customer's mood as it is written on a command line: NAME[:ARGUMENT...][,for=DURATION].
 *
 *   healthy  slow:10s  down  flapping:30s:30s  error:500  error:429:retry-after=120  redirect:302:http://x  reset-after-body  lie-200  receipt
 *   forgetful:every=10  gone-for:ids=a+b  reject-every:3  deferred:5s  deferred:never
 *
 * and those that only bytes can show, which are the evil receiver's:
 *
 *   refuse  flood-1xx:10ms  slowloris-head:1s  slowloris-body:1s  endless  partial  partial-head  idle-close:20ms  huge-headers:1000000  gzip-bomb  garbage
 *   ansi  tls-expired  tls-self-signed  tls-wrong-host  tls-1-0  tls-hang
 */
import { durationMs } from '../duration.ts'
import { ResilError } from '../errors.ts'
import { nearest } from '../nearest.ts'
import type { Matching, Mood } from '../proxy/customer/mood.ts'
import type { EvilMood } from '../proxy/evil-receiver.ts'
import { visible } from '../visible.ts'

/** Arguments behind the name; undefined when they are not as they should be. */
type Reads<T> = (args: readonly string[]) => T | undefined

const none = <T>(mood: T): Reads<T> => (args) => (args.length === 0 ? mood : undefined)

const timed = (kind: 'slow' | 'flood_1xx' | 'slowloris_head' | 'slowloris_body' | 'idle_close', usualMs: number): Reads<EvilMood & { ms: number }> => ([text, ...rest]) => {
  const ms = text === undefined ? usualMs : durationOf(text)
  return ms !== undefined && ms > 0 && rest.length === 0 ? { kind, ms } : undefined
}

const matching = (kind: 'forgetful' | 'gone_for'): Reads<Mood> => (args) => {
  const found: Matching = {}
  for (const arg of args) {
    const [, name, value] = /^(every|ids|keys|bodies)=(.+)$/.exec(arg) ?? []
    if (name === 'every') found.every = Number(value)
    else if (name) found[name as 'ids' | 'keys' | 'bodies'] = value!.split('+')
    else return undefined
  }
  return args.length > 0 ? { kind, ...found } : undefined
}

/** Only the mock customer has these. */
const CUSTOMERS: Readonly<Record<string, Reads<Mood>>> = {
  down: none({ kind: 'down' }),
  'lie-200': none({ kind: 'lie_200' }),
  receipt: none({ kind: 'receipt' }),
  forgetful: matching('forgetful'),
  'gone-for': matching('gone_for'),
  flapping([up, down, ...rest]) {
    const [upMs, downMs] = [durationOf(up), durationOf(down)]
    return upMs && downMs && rest.length === 0 ? { kind: 'flapping', upMs, downMs } : undefined
  },
  error([status, hint, ...rest]) {
    const [, retryAfter] = /^retry-after=(.*)$/s.exec([hint ?? '', ...rest].join(':')) ?? []
    return isStatus(status) && (hint === undefined || retryAfter !== undefined) ? { kind: 'error', status: Number(status), ...(retryAfter === undefined ? {} : { retryAfter }) } : undefined
  },
  redirect([status, ...rest]) {
    return isStatus(status) ? { kind: 'redirect', status: Number(status), ...(rest.length === 0 ? {} : { location: rest.join(':') }) } : undefined
  },
  deferred([text, ...rest]) {
    const ackMs = text === 'never' ? 'never' : durationOf(text)
    return ackMs !== undefined && rest.length === 0 ? { kind: 'deferred', ackMs } : undefined
  },
  'reject-every'([text, ...rest]) {
    return /^\d{1,9}$/.test(text ?? '') && rest.length === 0 ? { kind: 'reject_every', every: Number(text) } : undefined
  },
}

const BOTHS: Readonly<Record<string, Reads<Mood & EvilMood>>> = {
  healthy: none({ kind: 'healthy' }),
  slow: timed('slow', 10_000) as Reads<Mood & EvilMood>,
  'reset-after-body'([text, ...rest]) {
    if (rest.length > 0 || !['yes', 'no', undefined].includes(text?.replace(/^processes=/, ''))) return undefined
    return { kind: 'reset_after_body', processes: text !== 'processes=no' }
  },
}

const EVILS: Readonly<Record<string, Reads<EvilMood>>> = {
  refuse: none({ kind: 'refuse' }),
  'flood-1xx': timed('flood_1xx', 10),
  'slowloris-head': timed('slowloris_head', 1000),
  'slowloris-body': timed('slowloris_body', 1000),
  endless: none({ kind: 'endless_body' }),
  partial: none({ kind: 'partial_body' }),
  'partial-head': none({ kind: 'partial_head' }),
  'idle-close': timed('idle_close', 20),
  'gzip-bomb': none({ kind: 'gzip_bomb' }),
  garbage: none({ kind: 'garbage' }),
  ansi: none({ kind: 'ansi' }),
  'tls-expired': none({ kind: 'tls_expired' }),
  'tls-self-signed': none({ kind: 'tls_self_signed' }),
  'tls-wrong-host': none({ kind: 'tls_wrong_host' }),
  'tls-1-0': none({ kind: 'tls_1_0' }),
  'tls-hang': none({ kind: 'tls_hang' }),
  'huge-headers'([text = '1000000', ...rest]) {
    return /^[1-9]\d{0,7}$/.test(text) && rest.length === 0 ? { kind: 'huge_headers', bytes: Number(text) } : undefined
  },
}

const TABLES = { both: BOTHS, customer: CUSTOMERS, evil: EVILS } as const

export const moodNames: readonly string[] = Object.values(TABLES).flatMap((table) => Object.keys(table))

/** How a time of the customer's goes: moods that follow one another, all of one kind of receiver. */
export type Moods = { evil: false; stages: Stage<Mood>[] } | { evil: true; stages: Stage<EvilMood>[] }

export interface Stage<M> {
  mood: M
  /** Infinity for one that holds until the end. */
  forMs: number
}

/** In the order in which they are written: each but the last says for how long. Throws BAD_MOOD. Whether numbers make sense is the receiver's to say. */
export function readMoods(texts: readonly string[]): Moods {
  const stages = texts.map((text) => ({ text, ...readMood(text) }))
  const endless = stages.slice(0, -1).find(({ forMs }) => forMs === Number.POSITIVE_INFINITY)
  if (endless) throw bad(endless.text, 'holds for ever, and another should follow', `write how long, as in ${endless.text},for=30s`)
  const evil = stages.find(({ whose }) => whose === 'evil')
  const customers = stages.find(({ whose }) => whose === 'customer')
  if (evil && customers) throw bad(customers.text, `cannot be had by the receiver that has ${evil.text}`, 'stand two of them, each with its port')
  return { evil: evil !== undefined, stages: stages.map(({ mood, forMs }) => ({ mood, forMs })) } as Moods
}

function readMood(text: string): Stage<Mood | EvilMood> & { whose: keyof typeof TABLES } {
  const [, spec, length] = /^(.*?)(?:,for=([^,]*))?$/s.exec(text) ?? []
  const [name = '', ...args] = (spec ?? '').split(':')
  const whose = (Object.keys(TABLES) as (keyof typeof TABLES)[]).find((owner) => Object.hasOwn(TABLES[owner], name))
  if (!whose) {
    const meant = nearest(name, moodNames)
    throw bad(text, 'is no mood of a customer', meant ? `did you mean ${meant}?` : `it is one of ${moodNames.join(', ')}`)
  }
  const mood = TABLES[whose][name]!(args)
  const forMs = length === undefined ? Number.POSITIVE_INFINITY : durationOf(length)
  if (!mood || !forMs) throw bad(text, 'is not how this mood is written', 'for example slow:10s, flapping:30s:30s, error:429:retry-after=120, redirect:302:http://x, forgetful:every=10, deferred:5s, slowloris-body:1s; with ,for=30s behind it')
  return { mood, forMs, whose }
}

function bad(text: string, why: string, hint: string): ResilError {
  return new ResilError('BAD_MOOD', `"${visible(text)}" ${why}`, hint)
}

function isStatus(text: string | undefined): boolean {
  return /^\d{3}$/.test(text ?? '')
}

const durationOf = (text: string | undefined): number | undefined => (text === undefined ? undefined : durationMs(text))
