/**
 * What the chaos proxy is to be, from a file or from the command line.
 *
 *   seed: 7
 *   port: 8474                       # of the control API
 *   proxies:
 *     - name: bank
 *       listen: 127.0.0.1:7001
 *       upstream: 127.0.0.1:5432
 *       toxics:
 *         - latency=200ms,jitter=50ms
 *         - { type: http_error, attributes: { status: 503, path: /v1/**, every: 3 } }
 *   schedule:
 *     stages:
 *       - { at: 10s, for: 5s, proxy: bank, enabled: false }
 *
 * A JSON array is Toxiproxy's own form, and is read as its server reads it: what it does not know is passed over.
 */
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { DURATION, durationMs } from '../duration.ts'
import { ResilError } from '../errors.ts'
import { targeting } from '../proxy/rules.ts'
import type { ProxySpec, ProxyToxic } from '../proxy/proxies.ts'
import type { SchedulePlan } from '../proxy/schedule.ts'
import type { Toxic } from '../proxy/toxic.ts'
import { suggestion } from '../nearest.ts'
import { meant, readConfigFile } from './config-file.ts'
import { readToxic } from './plan.ts'

export interface ProxyConfig {
  seed?: number
  port?: number
  proxies: ProxySpec[]
  schedule?: SchedulePlan
}

const duration = z
  .union([z.number().nonnegative().max(Number.MAX_SAFE_INTEGER), z.string().regex(DURATION, 'a duration is a number of ms, or like 250ms, 10s, 1m')])
  .describe('a number of ms, or like 250ms, 10s, 1m')

const attributes = z.record(z.string(), z.union([z.number(), z.string()]))

const toxic = z.union([
  z.string().describe('TYPE=VALUE,ATTRIBUTE=VALUE@STREAM, as on the command line: latency=200ms,jitter=50ms@upstream'),
  z.strictObject({
    type: z.string(),
    name: z.string().min(1).optional(),
    stream: z.enum(['upstream', 'downstream']).optional(),
    toxicity: z.number().min(0).max(1).optional().describe('chance of each connection'),
    attributes: attributes.optional(),
  }),
])

const stage = z.strictObject({
  at: duration.describe('from the start'),
  for: duration.optional().describe('undone after that long'),
  proxy: z.string(),
  add: z.array(toxic).optional(),
  update: z.array(z.strictObject({ name: z.string(), attributes: attributes.optional(), toxicity: z.number().min(0).max(1).optional() })).optional(),
  remove: z.array(z.string()).optional(),
  enabled: z.boolean().optional(),
})

/** What the file may say; docs/proxy.schema.json is made of it. */
export const configSchema = z.strictObject({
  seed: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional().describe('the same seed and the same requests give the same faults'),
  port: z.number().int().min(0).max(65_535).optional().describe('of the control API; 8474 when absent, 0 takes a free one'),
  proxies: z.array(
    z.strictObject({
      name: z.string().min(1),
      listen: z.string().describe('HOST:PORT; without a host on all addresses, port 0 takes a free one'),
      upstream: z.string().min(1).describe('HOST:PORT, whose bytes pass as they are; or an http:// or https:// URL'),
      routes: z.array(z.strictObject({ path: z.string().optional(), host: z.string().optional(), upstream: z.url({ protocol: /^https?$/ }) })).optional().describe('with a URL as upstream: others before it, by path (/api/**) or host; the first that fits'),
      upstreamTls: z.strictObject({ ca: z.string().optional().describe('a PEM file'), servername: z.string().optional(), insecure: z.boolean().optional() }).optional().describe('for https; with HOST:PORT, TLS is spoken to it'),
      tls: z.strictObject({ cert: z.string().describe('a PEM file'), key: z.string().describe('a PEM file') }).optional().describe('TLS is spoken to clients, so that HTTP toxics see what is said'),
      enabled: z.boolean().optional(),
      toxics: z.array(toxic).optional(),
    }),
  ),
  schedule: z.strictObject({ stages: z.array(stage).min(1), repeat: duration.optional().describe('begins anew after that long'), times: z.number().int().min(1).optional() }).optional(),
})

/** As Toxiproxy's server takes it. */
const theirs = z.array(
  z.object({
    name: z.string().min(1),
    listen: z.string(),
    upstream: z.string().min(1),
    enabled: z.boolean().nullish(),
    toxics: z.array(z.object({ type: z.string(), name: z.string().optional(), stream: z.string().toLowerCase().pipe(z.enum(['upstream', 'downstream'])).optional(), toxicity: z.number().min(0).max(1).optional(), attributes: attributes.optional() })).nullish(),
  }),
)

const HINT = 'docs/proxy.md and docs/proxy.schema.json tell what it may say'

/** Throws BAD_CONFIG, BAD_TOXIC. */
export function readProxyConfig(file: string, toxics: Record<string, Toxic>): ProxyConfig {
  const read = readConfigFile<z.infer<typeof theirs> | z.infer<typeof configSchema>>(file, (value) => (Array.isArray(value) ? theirs : configSchema), HINT)
  if (Array.isArray(read)) return { proxies: read.map((proxy) => ({ ...proxy, enabled: proxy.enabled ?? true, toxics: proxy.toxics ?? [] })) }
  const where = (n: number) => `${file}: proxies[${n}]`
  const proxies = read.proxies.map((proxy, n) => ({
    ...proxy,
    routes: proxy.routes?.map(({ upstream, ...rest }) => ({ ...rest, url: upstream })),
    upstreamTls: proxy.upstreamTls && { ...proxy.upstreamTls, ca: pemOf(proxy.upstreamTls.ca, where(n)) },
    tls: proxy.tls && { cert: pemOf(proxy.tls.cert, where(n))!, key: pemOf(proxy.tls.key, where(n))! },
    toxics: (proxy.toxics ?? []).map((each) => toxicOf(each, toxics, where(n))),
  }))
  const names = proxies.map(({ name }) => name)
  const twice = names.find((name, n) => names.indexOf(name) !== n)
  if (twice !== undefined) throw new ResilError('BAD_CONFIG', `${file}: two proxies are called ${twice}`, 'give each a name of its own')
  return { seed: read.seed, port: read.port, proxies, schedule: read.schedule && scheduleOf(read.schedule, toxics, names, file) }
}

function pemOf(file: string | undefined, where: string): string | undefined {
  if (file === undefined) return undefined
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new ResilError('BAD_CONFIG', `${where}: ${file} cannot be read: ${(error as NodeJS.ErrnoException).code}`, 'give a PEM file')
  }
}

function scheduleOf(schedule: NonNullable<z.infer<typeof configSchema>['schedule']>, toxics: Record<string, Toxic>, names: readonly string[], file: string): SchedulePlan {
  return {
    repeat: schedule.repeat === undefined ? undefined : msOf(schedule.repeat),
    times: schedule.times,
    stages: schedule.stages.map((each, n) => {
      const where = `${file}: schedule.stages[${n}]`
      if (!names.includes(each.proxy)) throw new ResilError('BAD_CONFIG', `${where}: there is no proxy "${each.proxy}"${meant(each.proxy, names)}`, `there are ${names.join(', ')}`)
      return { ...each, at: msOf(each.at), for: each.for === undefined ? undefined : msOf(each.for), add: each.add?.map((one) => toxicOf(one, toxics, where)) }
    }),
  }
}

const msOf = (value: z.infer<typeof duration>): number => (typeof value === 'number' ? value : durationMs(value)!)

function toxicOf(given: z.infer<typeof toxic>, toxics: Record<string, Toxic>, where: string): ProxyToxic {
  const spec = typeof given === 'string' ? readAt(given, toxics, where) : given
  const unit = Object.hasOwn(toxics, spec.type) ? toxics[spec.type] : undefined
  if (!unit) throw new ResilError('BAD_CONFIG', `${where}: there is no toxic "${spec.type}"${meant(spec.type, Object.keys(toxics))}`, 'resil list toxics tells which there are')
  const known = [...Object.keys(unit.attributes), ...Object.keys(targeting)]
  for (const name of Object.keys(spec.attributes ?? {})) if (!known.includes(name)) throw new ResilError('BAD_CONFIG', `${where}: ${spec.type} has no attribute "${name}"${meant(name, known)}`, 'resil list toxics tells what it takes')
  return spec
}

function readAt(text: string, toxics: Record<string, Toxic>, where: string): ProxyToxic {
  try {
    return readShortToxic(text, toxics)
  } catch (error) {
    throw error instanceof ResilError ? new ResilError('BAD_CONFIG', `${where}: ${error.message}`, error.hint) : error
  }
}

/** `latency=200ms,jitter=50ms@upstream`. Throws BAD_TOXIC. */
export function readShortToxic(text: string, toxics: Record<string, Toxic>): ProxyToxic {
  const type = /^[a-z_]*/.exec(text)![0]
  if (type !== '' && !Object.hasOwn(toxics, type)) throw new ResilError('BAD_TOXIC', `"${text}": there is no toxic ${type}`, suggestion(type, Object.keys(toxics)))
  try {
    const { link: _, ...toxic } = readToxic(`proxy:${text}`, () => Object.keys(toxics[type]?.attributes ?? {})[0])
    return toxic
  } catch (error) {
    if (!(error instanceof ResilError) || error.code !== 'BAD_TOXIC') throw error
    throw new ResilError('BAD_TOXIC', `"${text}" is no fault`, 'write TYPE=VALUE,ATTRIBUTE=VALUE@STREAM, for example latency=200ms,jitter=50ms@upstream')
  }
}

/** A proxy from the command line: `7001`, `:7001` or `HOST:PORT`, and where it goes. */
export function adHocProxy(listen: string, upstream: string, toxicTexts: readonly string[], toxics: Record<string, Toxic>): ProxySpec {
  return { name: 'proxy', listen: /^\d+$/.test(listen) ? `127.0.0.1:${listen}` : listen, upstream, toxics: toxicTexts.map((text) => readShortToxic(text, toxics)) }
}
