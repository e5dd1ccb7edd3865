/** What the webhook engine's commands have in common. */
import { existsSync, readFileSync } from 'node:fs'
import { Flags } from '@oclif/core'
import { ResilError } from '../errors.ts'
import type { Endpoint, Spec } from '../engines/webhook/endpoints.ts'
import { readMasterKeys } from '../engines/webhook/vault.ts'
import { keyFileOf, openKeyFile } from '../lab/key-file.ts'
import type { Voice } from '../lab/standing.ts'
import { openWebhooks } from '../lab/webhook-alone.ts'
import type { OpenedWebhooks, WebhookPlace } from '../lab/webhook-alone.ts'
import { Random } from '../random.ts'
import { visible } from '../visible.ts'
import type { ExitCode } from './failure.ts'

export const webhookFlags = {
  'db': Flags.string({ summary: 'database file; the key of its secrets is RESIL_MASTER_KEY, or in FILE.key', default: 'webhooks.db', helpValue: 'FILE' }),
  'allow-net': Flags.string({ summary: 'network that endpoints may be in beside public addresses, e.g. 127.0.0.1/32; may be given several times', multiple: true, default: [], helpValue: 'CIDR' }),
  'plain-http': Flags.boolean({ summary: 'endpoints may be http:// as well' }),
}

/** Where no engine serves others: what runs on this machine may be spoken to. */
export const localFlags = { ...webhookFlags, 'allow-net': Flags.string({ ...webhookFlags['allow-net'], multiple: true, default: ['127.0.0.1/32', '::1/128'] }) }

type Given = { 'db': string; 'allow-net': string[]; 'plain-http': boolean }

/** Throws what RESIL_MASTER_KEY refuses; a key file refuses when its keys are asked for. */
export function placeOf({ db, 'allow-net': allow, 'plain-http': plainHttp }: Given, version: string, token?: string): WebhookPlace {
  const given = process.env.RESIL_MASTER_KEY
  const keys = given === undefined || given === '' ? undefined : readMasterKeys(given)
  return { keys: () => keys ?? openKeyFile(keyFileOf(db), Random.system()), allow, plainHttp, version, ...(token === undefined ? {} : { token }) }
}

/** For whoever looks or acts at what is there: a mistyped name makes no database. Throws STORE_CANNOT_OPEN. */
export function requireDatabase(db: string): void {
  if (!existsSync(db)) throw new ResilError('STORE_CANNOT_OPEN', `${visible(db)}: does not exist`, 'check the path with --db; resil webhook serve and resil webhook endpoint add make one')
}

/** On the database that is there; `creates` makes one where there is none. */
export async function withWebhooks<T>(flags: Given, version: string, work: (webhooks: OpenedWebhooks) => Promise<T>, { creates = false } = {}): Promise<T> {
  if (!creates) requireDatabase(flags.db)
  const webhooks = await openWebhooks(flags.db, placeOf(flags, version))
  try {
    return await work(webhooks)
  } finally {
    await webhooks.close()
  }
}

/** What --json says of an endpoint. */
export function endpointFacts(endpoint: Endpoint): object {
  const { lane: _lane, patterns, spec, revision: _revision, breaker, owner, fence: _fence, told: _told, ...rest } = endpoint
  return { ...rest, patterns: JSON.parse(patterns) as string[], spec: JSON.parse(spec) as Spec, parked: isParked(endpoint), owned: owner !== null, breaker: breaker === null ? null : (JSON.parse(breaker) as object) }
}

export function isParked({ breaker }: Pick<Endpoint, 'breaker'>): boolean {
  return breaker !== null && (JSON.parse(breaker) as { state: string }).state === 'open'
}

/** One word for how it fares. */
export function stateWord(endpoint: Endpoint): string {
  if (endpoint.state !== 'enabled') return endpoint.state
  return isParked(endpoint) ? 'PARKED' : endpoint.failures > 0 ? 'failing' : endpoint.succeeded_at === null ? 'new' : 'healthy'
}

export const stamp = (at: number | null) => (at === null ? 'never' : new Date(at).toISOString().replace('T', ' ').replace(/\.\d+Z$/, 'Z'))

export function endpointLines(endpoint: Endpoint): string[] {
  const spec = JSON.parse(endpoint.spec) as Spec
  return [
    `${endpoint.id}  ${visible(endpoint.url)}`,
    `  state      ${stateWord(endpoint)}${endpoint.reason === null ? '' : `: ${visible(endpoint.reason)}`}`,
    `  told of    ${(JSON.parse(endpoint.patterns) as string[]).map(visible).join(', ')}${endpoint.tenant === 'default' ? '' : `, tenant ${visible(endpoint.tenant)}`}`,
    `  so far     ${endpoint.seq} numbered, ${endpoint.delivered} delivered, ${endpoint.waiting} waiting, ${endpoint.dead} dead, ${endpoint.cancelled} cancelled`,
    `  health     ${endpoint.failures === 0 ? 'no failure since the last success' : `${endpoint.failures} failures in a row, since ${stamp(endpoint.failing_since)}`}; last success ${stamp(endpoint.succeeded_at)}`,
    `  how        order ${spec.ordering}, ${spec.perSecond === 0 ? 'no rate limit' : `${spec.perSecond} a second`}, concurrency ${endpoint.places || '-'}${spec.places === undefined ? '' : ` of ${spec.places}`}, deadline ${spec.deadlineMs === undefined ? "the engine's" : `${spec.deadlineMs} ms`}${spec.description === '' ? '' : `; ${visible(spec.description)}`}`,
  ]
}

/** A file's text; '-' is standard input. Throws CANNOT_READ. */
export function readText(file: string, hint: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch (error) {
    throw new ResilError('CANNOT_READ', `${visible(file)} cannot be read: ${visible(error instanceof Error ? error.message : String(error))}`, hint)
  }
}

/** Without what was not given. */
export function given<T extends object>(all: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: Exclude<T[K], undefined> }
}

/** What enable, disable and pause do. Throws NO_SUCH_ENDPOINT. */
export function setEndpointState(flags: Given & { by: string; why: string }, version: string, id: string, state: 'enabled' | 'disabled' | 'paused', voice: Voice): Promise<ExitCode> {
  return withWebhooks(flags, version, async ({ engine }): Promise<ExitCode> => {
    const endpoint = await engine.endpoints.setState(id, state, { who: flags.by, why: flags.why })
    voice.answer(`${endpoint.id} is ${state}; ${endpoint.waiting} waiting`)
    voice.emit({ ok: true, ...endpointFacts(endpoint) })
    return 0
  })
}
