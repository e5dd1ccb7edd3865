/** One mock on a port of its own, for somebody else's tests: what it answers, what it lies about, and its ledger at GET /ledger. */
import { SystemClock } from '../clock.ts'
import { durationOrMs } from '../duration.ts'
import { ResilError } from '../errors.ts'
import * as catalog from '../catalog.ts'
import { serveHttp } from '../http-server.ts'
import { Random } from '../random.ts'
import type { Lie, LieTable, Mock, MockSetup } from '../proxy/mock.ts'
import type { Voice } from './standing.ts'
import { openLog, untilTold } from './standing.ts'

/** How long an answer may take that is under way when the mock is told to go, ms: beyond the slowest typical one. */
const DRAIN_MS = 2000

export type MockName = keyof typeof catalog.mocks

export interface MockWishes {
  port: number
  /** What differs from the mock's typical latency, ms. */
  p50?: number
  p99?: number
  /** See `readLie`. */
  lie?: readonly string[]
  seed?: number
  /** The bank's; see docs/bank.md. */
  dialect?: string
}

/** Stands until the signal aborts. Throws BAD_LIE, UNKNOWN_LIE, INVALID_LIE, TOO_MANY_LIES, INVALID_LATENCY, UNKNOWN_DIALECT, PORT_BUSY. */
export async function standMock(name: MockName, wishes: MockWishes, voice: Voice, signal: AbortSignal): Promise<0> {
  const clock = new SystemClock()
  const random = wishes.seed === undefined ? Random.system() : Random.seeded(wishes.seed)
  const log = openLog(clock, voice)
  const { lies, typicalLatency, ...unit } = await catalog.mocks[name]()
  const create = (unit as unknown as Record<MockName, (setup: MockSetup, options: { dialect?: string }) => Mock>)[name]
  const mock = create({ clock, random: random.fork(name), log: log.from('mock'), latency: { p50: wishes.p50 ?? typicalLatency.p50, p99: wishes.p99 ?? typicalLatency.p99 } }, { dialect: wishes.dialect })
  for (const lie of wishes.lie ?? []) mock.lie(readLie(lie, lies))
  const server = await serveHttp(mock.handle, { clock, port: wishes.port, log: log.from('mock') })
  voice.emit({ type: 'ready', mock: name, url: server.url })
  voice.answer(`mock ${name} on ${server.url}, its ledger at ${server.url}/ledger`)
  await untilTold(signal)
  mock.close?.()
  await server.close(DRAIN_MS)
  voice.emit({ type: 'stopped', ok: true })
  return 0
}

/**
 * Reads `KIND[=DURATION][,times=N][,after=N]`: a lie for every request that it fits, or for the next N behind the first `after` ones.
 * Throws BAD_LIE; whether there is such a lie is the mock's to say.
 */
export function readLie(text: string, table: LieTable): Lie {
  const match = /^([a-z0-9_]+)(?:=(\d[0-9.]*[a-z]*))?((?:,(?:times|after)=\d{1,9})*)$/.exec(text)
  const ms = match?.[2] === undefined ? undefined : durationOrMs(match[2])
  if (!match || (match[2] !== undefined && ms === undefined)) throw new ResilError('BAD_LIE', `"${text}" is no lie`, 'write KIND=DURATION,times=N,after=N, for example late_answer=3s,times=1; resil list mocks shows the kinds')
  const [, kind, , rest] = match as unknown as [string, string, string | undefined, string]
  const spec = Object.hasOwn(table, kind) ? table[kind] : undefined
  if (ms !== undefined && spec !== undefined && spec.ms === undefined) throw new ResilError('BAD_LIE', `"${text}": ${kind} takes no time`, `write ${kind} alone`)
  const numbers = Object.fromEntries(rest.split(',').slice(1).map((pair) => pair.split('=') as [string, string]))
  return {
    kind,
    times: numbers['times'] === undefined ? Number.POSITIVE_INFINITY : Number(numbers['times']),
    after: Number(numbers['after'] ?? 0),
    ms: ms ?? spec?.ms ?? 0,
  }
}
