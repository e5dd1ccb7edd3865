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
  /** Proxies that are being made, by name. */
  readonly #coming = new Map<string, Promise<Proxy>>()
  #closed = false

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

  /** With its toxics, or not at all. Throws BAD_PROXY, BAD_ADDRESS, PROXY_EXISTS, BAD_TOXIC, TOXIC_EXISTS, PORT_BUSY, LISTEN_FAILED. */
  async create(spec: ProxySpec): Promise<Proxy> {
    const { name } = spec
    checkName(name)
    if (this.#proxies.has(name) || this.#coming.has(name)) throw new ResilError('PROXY_EXISTS', `there is a proxy "${name}" already`, 'give the new one a name of its own')
    return this.#bring(this.#make(spec), spec, undefined)
  }

  /**
   * Moves it, or turns it on or off. When the new address cannot be had, all is as it was.
   * Throws BAD_PROXY, BAD_ADDRESS, PROXY_NOT_FOUND, PORT_BUSY, LISTEN_FAILED.
   */
  async update(name: string, change: { listen?: string; upstream?: string; enabled?: boolean }): Promise<Proxy> {
    const entry = this.#get(name)
    const listen = change.listen === undefined ? undefined : addressOf(change.listen)
    if (change.upstream !== undefined && !isUrl(change.upstream)) upstreamOf(change.upstream)
    return entry.next(async () => {
      const { link } = entry
      const before = { listen: link.address, upstream: link.upstream }
      const on = link.enabled
      const way = change.upstream === undefined || isFor(entry, change.upstream) ? undefined : await this.#wayTo({ upstream: change.upstream, upstreamTls: entry.upstreamTls })
      const moved = way !== undefined || (listen && !isAt(link, listen))
      try {
        this.#mustLeadAway(entry.name, listen ?? before.listen, way?.upstream ?? before.upstream)
        await link.update({ listen, upstream: way?.upstream })
        if (change.enabled !== undefined) {
          await link.setEnabled(change.enabled).catch(async (error: unknown) => {
            await link.update(before) // it is off: nothing is bound for it
            throw error
          })
        }
      } catch (error) {
        await way?.hop?.close()
        throw error
      }
      if (link.enabled) entry.asked = undefined
      else if (listen && !isAddress(listen, before.listen)) entry.asked = change.listen
      if (way) {
        await entry.hop?.close()
        entry.hop = way.hop
        entry.upstream = change.upstream!
      }
      if (moved || on !== link.enabled) this.#said('proxy.updated', entry)
      return entry
    })
  }

  /** Its connections are closed. Throws PROXY_NOT_FOUND. */
  async delete(name: string): Promise<void> {
    await this.#drop(this.#get(name))
  }

  /**
   * Toxiproxy's way: a proxy that is already at the same address for the same service stays as it is, with its toxics; another one of that
   * name gives way; the others are not touched. Stops at the first that fails; `done` are those before it.
   */
  async populate(specs: readonly ProxySpec[]): Promise<{ done: Proxy[]; error?: unknown }> {
    const done: Proxy[] = []
    for (const spec of specs) {
      try {
        done.push(await this.#put(spec))
      } catch (error) {
        return { done, error }
      }
    }
    return { done }
  }

  /** Turns every proxy on and takes all toxics away. Throws PORT_BUSY, LISTEN_FAILED at the first that cannot. */
  async reset(): Promise<void> {
    for (const proxy of this.list()) {
      if (this.#proxies.get(proxy.name) !== proxy) continue // somebody deleted it meanwhile
      await this.update(proxy.name, { enabled: true })
      proxy.rules.removeAll()
    }
  }

  /** Leaves nothing behind, and takes nothing new. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.allSettled(this.#coming.values())
    await Promise.all([...this.#proxies.values()].map((entry) => entry.next(() => entry.close())))
  }

  /** One proxy of a populate. Whoever asks for the same at the same time gets the same. */
  async #put(spec: ProxySpec): Promise<Proxy> {
    const { name } = spec
    checkName(name)
    for (let coming = this.#coming.get(name); coming; coming = this.#coming.get(name)) await coming.catch(() => {}) // told to whoever asked for it
    const there = this.#proxies.get(name)
    if (!there) return this.#bring(this.#make(spec), spec, undefined)
    if (isAt(there.link, addressOf(spec.listen)) && isFor(there, spec.upstream)) return there
    return this.#bring(this.#make(spec), spec, there)
  }

  /** Sets a proxy up, in place of another one when there is one. Its name is taken from now on. */
  #bring(entry: Entry, spec: ProxySpec, old: Entry | undefined): Promise<Proxy> {
    const bring = async (): Promise<Proxy> => {
      try {
        if (old && this.#proxies.get(entry.name) === old) await this.#drop(old)
        if (isUrl(spec.upstream)) {
          const { upstream, hop } = await this.#wayTo(spec)
          entry.hop = hop
          await entry.link.update({ upstream })
        }
        if (spec.enabled !== false) {
          await entry.link.setEnabled(true)
          entry.asked = undefined
        }
        this.#proxies.set(entry.name, entry)
        this.#said('proxy.created', entry)
        return entry
      } catch (error) {
        await entry.close()
        throw error
      } finally {
        this.#coming.delete(entry.name)
      }
    }
    if (this.#closed) throw new ResilError('PROXIES_CLOSED', 'the proxies are being closed', 'start them again')
    if (!old && this.#proxies.size + this.#coming.size >= MAX_PROXIES) throw bad(`there are ${MAX_PROXIES} proxies already`, 'delete some first')
    // Begun in a later turn of the promise queue, so that it is among those that are coming before it can end.
    const coming = Promise.resolve().then(bring)
    this.#coming.set(entry.name, coming)
    return coming
  }

  async #drop(entry: Entry): Promise<void> {
    this.#proxies.delete(entry.name)
    await entry.next(() => entry.close())
    this.#said('proxy.deleted', entry)
  }

  #get(name: string): Entry {
    const entry = this.#proxies.get(name)
    if (!entry) throw new ResilError('PROXY_NOT_FOUND', `there is no proxy "${name}"`, this.#proxies.size > 0 ? `there are ${[...this.#proxies.keys()].slice(0, 20).join(', ')}` : 'create it first')
    return entry
  }

  /** Where the link goes for it. Throws BAD_UPSTREAM, BAD_PROXY. */
  async #wayTo({ upstream, routes = [], upstreamTls }: Pick<ProxySpec, 'upstream' | 'routes' | 'upstreamTls'>): Promise<{ upstream: Upstream; hop: Hop | undefined }> {
    if (!isUrl(upstream)) return { upstream: { ...upstreamOf(upstream), tls: upstreamTls }, hop: undefined }
    const hop = await openHop({ routes: [...routes, { url: upstream }], tls: upstreamTls, log: this.#log })
    return { upstream: { host: '127.0.0.1', port: hop.port }, hop }
  }

  #make(spec: ProxySpec): Entry {
    const { clock, seed, toxics } = this.#setup
    const { name } = spec
    const listen = addressOf(spec.listen, 'listen tcp: ')
    const viaHop = isUrl(spec.upstream)
    if (!viaHop && spec.routes && spec.routes.length > 0) throw bad(`${name}: ${spec.upstream} is no URL, and there are routes`, 'write http://HOST:PORT')
    const upstream: Upstream = viaHop ? NOWHERE : { ...upstreamOf(spec.upstream), tls: spec.upstreamTls }
    if (!viaHop) this.#mustLeadAway(name, listen, upstream)
    const rules = new Rules({ link: name, seed, toxics, clock, log: this.#log })
    for (const toxic of spec.toxics ?? []) rules.add({ ...toxic, link: name })
    return new Entry(name, new Link({ name, listen, upstream, tls: spec.tls, rules, clock, log: this.#log }), spec)
  }

  /** A connection that comes back to where it came from would make another one, and so on. Throws BAD_PROXY. */
  #mustLeadAway(name: string, listen: Listen, upstream: Upstream): void {
    const others = this.list().filter((proxy) => proxy.name !== name)
    let to: Upstream | undefined = upstream
    for (let hop = 0; to && hop <= others.length; hop++) {
      const here: Upstream = to
      if (leadsTo(here, listen)) throw bad(`${name}: its connections would come back to it`, 'name the service behind it as its upstream')
      to = others.find(({ link }) => leadsTo(here, link.address))?.link.upstream
    }
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
  readonly upstreamTls: ProxySpec['upstreamTls']
  hop: Hop | undefined
  /** What was asked for, until it has listened there. */
  asked: string | undefined
  #last: Promise<unknown> = Promise.resolve()

  constructor(name: string, link: Link, { listen, upstream, upstreamTls }: ProxySpec) {
    this.name = name
    this.link = link
    this.rules = link.rules
    this.upstream = upstream
    this.upstreamTls = upstreamTls
    this.asked = listen
  }

  get listen(): string {
    const { host, port } = this.link.address
    return this.asked ?? `${host.includes(':') ? `[${host}]` : host}:${port}`
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
  if (name.length > MAX_NAME || /[/\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(name)) {
    throw bad(`a proxy cannot be called ${JSON.stringify(name.slice(0, 60))}`, `a name has at most ${MAX_NAME} characters, no slash and nothing that cannot be seen`)
  }
}

/** HOST:PORT, [IPv6]:PORT or :PORT. `''` is `:0`. Throws BAD_ADDRESS with Go's words, which Toxiproxy's clients know, behind `doing`. */
function addressOf(text: string, doing = ''): { host: string; port: number } {
  if (text === '') return { host: '', port: 0 }
  const wrong = (why: string) => new ResilError('BAD_ADDRESS', `${doing}${why}`, 'write HOST:PORT, or [ADDRESS]:PORT for IPv6')
  const match = /^(?:\[([^\][]*)\]|([^:\][]*)):([^:\][]*)$/.exec(text)
  if (!match) throw wrong(`address ${text}: ${/:[^\]]*:/.test(text) && !text.startsWith('[') ? 'too many colons in address' : 'missing port in address'}`)
  const [, literal, name, port = ''] = match
  if (!/^\d*$/.test(port)) throw wrong(`lookup tcp/${port}: unknown port`)
  if (Number(port) > 65_535) throw wrong(`address ${port}: invalid port`)
  return { host: literal ?? name ?? '', port: Number(port) }
}

function upstreamOf(text: string): Upstream {
  const hint = 'write HOST:PORT of the service'
  let address: { host: string; port: number }
  try {
    address = addressOf(text)
  } catch (error) {
    throw bad(`upstream: ${(error as ResilError).message}`, hint)
  }
  if (address.port === 0) throw bad(`upstream: ${text} has no port`, hint)
  return { host: address.host === '' ? '127.0.0.1' : address.host, port: address.port }
}

const isAddress = (listen: Listen, { host, port }: { host: string; port: number }) => hostOf(listen) === host && listen.port === port
const isAt = ({ address }: Link, listen: Listen) => isAddress(listen, address)

function isFor({ link, upstream }: Proxy, text: string): boolean {
  if (isUrl(text) || isUrl(upstream)) return text === upstream
  const { host, port } = upstreamOf(text)
  return link.upstream.host === host && link.upstream.port === port
}

const isUrl = (upstream: string) => /^https?:\/\//i.test(upstream)

/** Until the hop stands. */
const NOWHERE: Upstream = { host: '127.0.0.1', port: 0 }

const LOOPBACK = /^(?:127\.[\d.]+|::1|localhost)$/

/** Whether connections to `to` come to who listens there. */
function leadsTo(to: Upstream, listen: Listen): boolean {
  if (to.port !== listen.port) return false
  const [target, host] = [hostOf(to), hostOf(listen)]
  return target === host || (host === '::' && LOOPBACK.test(target)) || (target === '::' && LOOPBACK.test(host))
}
