/**
 * The proxies of one process, by name: each a link, its rules, and where they stand. What may be asked of them is what Toxiproxy's control
 * API asks, and a little more; the HTTP around it stands in admin.ts.
 *
 * Changes to one proxy happen one after another, in the order in which they were asked for; those to others do not wait for them.
 */
import type { Clock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { EventLog, Log } from '../events.ts'
import type { ToxicSpec } from '../scenario.ts'
import { openHop } from './http-hop.ts'
import type { Hop, HopRoute, UpstreamTls } from './http-hop.ts'
import { hostOf, Link } from './link.ts'
import type { Listen, Upstream } from './link.ts'
import { Rules } from './rules.ts'
import type { Toxic } from './toxic.ts'

export type ProxyToxic = Omit<ToxicSpec, 'link'>

export interface ProxySpec {
  name: string
  /** HOST:PORT. Without a host, all addresses; port 0, or nothing at all, takes a free one. */
  listen: string
  /** HOST:PORT, whose bytes pass as they are; or an http:// or https:// URL, where HTTP is written anew for it (http-hop.ts). */
  upstream: string
  /** With a URL: others before it, by path or host. */
  routes?: readonly HopRoute[]
  /** For https; with HOST:PORT, TLS is spoken to it. */
  upstreamTls?: UpstreamTls & { servername?: string }
  /** TLS is spoken to clients: certificate and key, PEM. */
  tls?: { cert: string; key: string }
  /** True when absent. */
  enabled?: boolean
  toxics?: readonly ProxyToxic[]
}

/** One proxy. Its name, its link and its rules stay for its life. */
export interface Proxy {
  readonly name: string
  readonly link: Link
  readonly rules: Rules
  /** As bound; as it was asked for while it has not listened yet. */
  readonly listen: string
  /** As it was asked for. */
  readonly upstream: string
  readonly enabled: boolean
}

export interface ProxiesSetup {
  clock: Clock
  log: EventLog
  seed: number | string
  /** By name on the wire. */
  toxics: Record<string, Toxic>
}

/** Longest name of a proxy, in UTF-16 units. */
const MAX_NAME = 200
/** Most proxies of one process. */
export const MAX_PROXIES = 1000

export class Proxies {
  readonly seed: number | string
  readonly #setup: ProxiesSetup
  readonly #log: Log
  readonly #proxies = new Map<string, Entry>()
  /** Names of proxies that are being made. */
  readonly #coming = new Set<string>()

  constructor(setup: ProxiesSetup) {
    this.#setup = setup
    this.seed = setup.seed
    this.#log = setup.log.from('proxy')
  }

  /** By creation. */
  list(): Proxy[] {
    return [...this.#proxies.values()]
  }

  /** Throws PROXY_NOT_FOUND. */
  get(name: string): Proxy {
    return this.#get(name)
  }

  /** With its toxics, or not at all. Throws BAD_PROXY, PROXY_EXISTS, BAD_TOXIC, TOXIC_EXISTS, PORT_BUSY, LISTEN_FAILED. */
  async create(spec: ProxySpec): Promise<Proxy> {
    const { name } = spec
    checkName(name)
    if (this.#proxies.has(name) || this.#coming.has(name)) throw new ResilError('PROXY_EXISTS', `there is a proxy "${name}" already`, 'give the new one a name of its own')
    if (this.#proxies.size + this.#coming.size >= MAX_PROXIES) throw bad(`there are ${MAX_PROXIES} proxies already`, 'delete some first')
    this.#coming.add(name)
    try {
      const way = await this.#wayTo(spec)
      let entry: Entry
      try {
        entry = this.#make(spec, way)
        if (spec.enabled !== false) await entry.link.setEnabled(true)
      } catch (error) {
        await way.hop?.close()
        throw error
      }
      this.#proxies.set(name, entry)
      this.#said('proxy.created', entry)
      return entry
    } finally {
      this.#coming.delete(name)
    }
  }

  /** Moves it, or turns it on or off. When the new address cannot be had, all is as it was. Throws as `create`, and PROXY_NOT_FOUND. */
  update(name: string, change: { listen?: string; upstream?: string; enabled?: boolean }): Promise<Proxy> {
    const entry = this.#get(name)
    const listen = change.listen === undefined ? undefined : addressOf(change.listen, 'listen')
    return entry.next(async () => {
      const on = entry.link.enabled
      const turned = change.upstream !== undefined && !isFor(entry, change.upstream)
      const moved = turned || (listen && !isAt(entry.link, listen))
      const way = turned ? await this.#wayTo({ upstream: change.upstream!, upstreamTls: entry.upstreamTls }) : undefined
      try {
        await entry.link.update({ listen, upstream: way?.upstream })
      } catch (error) {
        await way?.hop?.close()
        throw error
      }
      if (way) {
        await entry.hop?.close()
        entry.hop = way.hop
        entry.upstream = change.upstream!
      }
      if (change.enabled !== undefined) await entry.link.setEnabled(change.enabled)
      if (moved || on !== entry.link.enabled) this.#said('proxy.updated', entry)
      return entry
    })
  }

  /** Its connections are closed. Throws PROXY_NOT_FOUND. */
  async delete(name: string): Promise<void> {
    const entry = this.#get(name)
    this.#proxies.delete(name)
    await entry.next(() => entry.close())
    this.#said('proxy.deleted', entry)
  }

  /**
   * Toxiproxy's way: a proxy that is already at the same address for the same service stays as it is, with its toxics; another one of that
   * name gives way; the others are not touched. Stops at the first that fails; `done` are those before it.
   */
  async populate(specs: readonly ProxySpec[]): Promise<{ done: Proxy[]; error?: unknown }> {
    const done: Proxy[] = []
    for (const spec of specs) {
      try {
        const there = this.#proxies.get(spec.name)
        if (there && isAt(there.link, addressOf(spec.listen, 'listen')) && isFor(there, spec.upstream)) {
          done.push(there)
          continue
        }
        if (there) await this.delete(spec.name)
        done.push(await this.create(spec))
      } catch (error) {
        return { done, error }
      }
    }
    return { done }
  }

  /** Takes all toxics away and turns every proxy on. Throws PORT_BUSY, LISTEN_FAILED at the first that cannot. */
  async reset(): Promise<void> {
    for (const { name, rules } of this.list()) {
      rules.removeAll()
      await this.update(name, { enabled: true })
    }
  }

  /** Leaves nothing behind. */
  async close(): Promise<void> {
    await Promise.all([...this.#proxies.values()].map((entry) => entry.next(() => entry.close())))
  }

  #get(name: string): Entry {
    const entry = this.#proxies.get(name)
    if (!entry) throw new ResilError('PROXY_NOT_FOUND', `there is no proxy "${name}"`, this.#proxies.size > 0 ? `there are ${[...this.#proxies.keys()].slice(0, 20).join(', ')}` : 'create it first')
    return entry
  }

  /** Where the link goes for it. */
  async #wayTo({ upstream, routes = [], upstreamTls }: Pick<ProxySpec, 'upstream' | 'routes' | 'upstreamTls'>): Promise<{ upstream: Upstream; hop: Hop | undefined }> {
    if (!isUrl(upstream)) {
      if (routes.length > 0) throw bad(`${upstream} is no URL, and has routes`, 'write http://HOST:PORT')
      return { upstream: { ...upstreamOf(upstream), tls: upstreamTls }, hop: undefined }
    }
    const hop = await openHop({ routes: [...routes, { url: upstream }], tls: upstreamTls, log: this.#log })
    return { upstream: { host: '127.0.0.1', port: hop.port }, hop }
  }

  #make(spec: ProxySpec, { upstream, hop }: { upstream: Upstream; hop: Hop | undefined }): Entry {
    const { clock, seed, toxics } = this.#setup
    const { name } = spec
    const listen = addressOf(spec.listen, 'listen')
    if (listen.port !== 0 && listen.port === upstream.port && sameHost(hostOf(listen), upstream.host)) throw bad(`${name}: it would be its own upstream, ${spec.upstream}`, 'name the service behind it')
    const rules = new Rules({ link: name, seed, toxics, clock, log: this.#log })
    for (const toxic of spec.toxics ?? []) rules.add({ ...toxic, link: name })
    return new Entry(name, new Link({ name, listen, upstream, tls: spec.tls, rules, clock, log: this.#log }), hop, spec)
  }

  #said(type: string, { name, listen, upstream, enabled }: Proxy): void {
    this.#log.emit(type, { link: name, listen, upstream, enabled })
  }
}

class Entry implements Proxy {
  readonly name: string
  readonly link: Link
  readonly rules: Rules
  upstream: string
  hop: Hop | undefined
  readonly upstreamTls: ProxySpec['upstreamTls']
  readonly #asked: string
  #last: Promise<unknown> = Promise.resolve()

  constructor(name: string, link: Link, hop: Hop | undefined, { listen, upstream, upstreamTls }: ProxySpec) {
    this.name = name
    this.link = link
    this.hop = hop
    this.upstreamTls = upstreamTls
    this.rules = link.rules
    this.upstream = upstream
    this.#asked = listen
  }

  get listen(): string {
    const { host, port } = this.link.address
    return port === 0 ? this.#asked : `${host.includes(':') ? `[${host}]` : host}:${port}`
  }

  get enabled(): boolean {
    return this.link.enabled
  }

  async close(): Promise<void> {
    await this.link.close()
    await this.hop?.close()
  }

  /** Behind the changes that were asked for before it. */
  next<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#last.then(change)
    this.#last = done.catch(() => {}) // told to whoever asked for it
    return done
  }
}

function bad(message: string, hint: string): ResilError {
  return new ResilError('BAD_PROXY', message, hint)
}

/** A name goes into paths and onto terminals. */
function checkName(name: string): void {
  if (name === '') throw bad('a proxy has no name', 'give it one')
  if (name.length > MAX_NAME || /[/\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(name)) {
    throw bad(`a proxy cannot be called ${JSON.stringify(name.slice(0, 60))}`, `a name has at most ${MAX_NAME} characters, no slash and nothing that cannot be seen`)
  }
}

/** HOST:PORT, [IPv6]:PORT or :PORT. `''` is `:0`. Throws BAD_PROXY with Go's words, which Toxiproxy's clients know. */
function addressOf(text: string, what: 'listen' | 'upstream'): { host: string; port: number } {
  if (text === '' && what === 'listen') return { host: '', port: 0 }
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):([^:]*)$/.exec(text)
  if (!match) {
    const why = text.includes(']') || !text.includes(':') ? 'missing port in address' : 'too many colons in address'
    throw new ResilError('BAD_ADDRESS', `address ${text}: ${why}`, 'write HOST:PORT, or [ADDRESS]:PORT for IPv6')
  }
  const port = match[3] === '' ? 0 : Number(match[3])
  if (!/^\d*$/.test(match[3]!) || port > 65_535) throw new ResilError('BAD_ADDRESS', `address ${text}: invalid port`, 'a port is a number up to 65535')
  return { host: match[1] ?? match[2] ?? '', port }
}

function upstreamOf(text: string): Upstream {
  const { host, port } = addressOf(text, 'upstream')
  if (port === 0) throw new ResilError('BAD_ADDRESS', `address ${text}: it has no port`, 'write HOST:PORT')
  return { host: host === '' ? '127.0.0.1' : host, port }
}

const isAt = ({ address }: Link, listen: Listen) => hostOf(listen) === address.host && listen.port === address.port

function isFor({ link, upstream }: Proxy, text: string): boolean {
  if (isUrl(text) || isUrl(upstream)) return text === upstream
  const { host, port } = upstreamOf(text)
  return link.upstream.host === host && link.upstream.port === port
}

const isUrl = (upstream: string) => /^https?:\/\//i.test(upstream)

function sameHost(listening: string, upstream: string): boolean {
  const local = new Set(['127.0.0.1', 'localhost', '::1', '::', '0.0.0.0'])
  return listening === upstream || (local.has(upstream) && local.has(listening))
}
