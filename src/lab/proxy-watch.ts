/** Watches a running chaos proxy over its control API: asks it again and again, tells what it says as events, and switches its toxics. */
import { writeFileSync } from 'node:fs'
import type { Clock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { Event, Fields, Sink } from '../events.ts'
import { visible } from '../visible.ts'
import type { ProxyClient, ToxicFacts } from './proxy-client.ts'
import { segment } from './proxy-client.ts'
import type { WatchedFacts } from './proxy-view.ts'
import { empty, EVENTS_KEPT, fold, story } from './proxy-view.ts'

/** Between two questions, ms. */
const POLL_MS = 500
/** A proxy that takes longer to answer is told as lost, ms. */
export const WATCH_PATIENCE_MS = 2000
/** Lines of the journal in one answer, and answers at a time: all that the proxy keeps. */
const PAGE = 500
const PAGES = 20
/** Keys that switch a toxic: 1 to 9. */
const KEYS = 9

/** A toxic that a key switches. */
export interface Switch {
  proxy: string
  toxic: ToxicFacts
  on: boolean
}

export class ProxyWatch {
  readonly url: string
  readonly #client: ProxyClient
  readonly #clock: Clock
  readonly #sinks = new Set<Sink>()
  /** Places of the keys; what goes leaves its place free, so that keys keep their meaning. */
  readonly #switches: (Switch | undefined)[] = Array.from({ length: KEYS }, () => undefined)
  #uptimeMs = 0
  #after = 0

  constructor(client: ProxyClient, url: string, clock: Clock) {
    this.#client = client
    this.url = url
    this.#clock = clock
  }

  subscribe(sink: Sink): () => void {
    this.#sinks.add(sink)
    return () => void this.#sinks.delete(sink)
  }

  /** By key. */
  get switches(): ReadonlyMap<string, Switch> {
    return new Map(this.#switches.flatMap((one, n) => (one ? [[String(n + 1), one] as const] : [])))
  }

  /** Asks once. Throws PROXY_UNREACHABLE, PROXY_REFUSED, NO_SUPERSET. */
  async look(): Promise<void> {
    const { uptimeMs, seed } = await this.#client.ask<{ uptimeMs: number; seed: number }>('GET', '/resil/').catch((error: unknown) => {
      throw error instanceof ResilError && error.code === 'PROXY_REFUSED' && /404/.test(error.message) ? new ResilError('NO_SUPERSET', `${this.url} is no chaos proxy of resil`, 'a plain Toxiproxy can be asked with resil proxy list, not watched') : error
    })
    if (uptimeMs < this.#uptimeMs) this.#after = 0 // another one has begun there
    this.#uptimeMs = uptimeMs
    const proxies = await this.#client.ask<WatchedFacts[]>('GET', '/resil/proxies')
    this.#place(proxies)
    this.#tell('watch.polled', { url: this.url, seed, uptimeMs, proxies })
    await this.#read((line) => this.#say(line))
  }

  /** Asks until the signal aborts; what goes wrong meanwhile is told. Never rejects for a proxy that is gone: it may come back. */
  async follow(signal: AbortSignal): Promise<void> {
    let lost = false
    for (;;) {
      await this.#clock.sleep(POLL_MS, signal)
      if (signal.aborted) return
      try {
        await this.look()
        lost = false
      } catch (error) {
        if (!(error instanceof ResilError)) throw error
        if (!lost) this.#tell('watch.lost', { why: error.message })
        lost = true
      }
    }
  }

  /** Takes the toxic away, or puts it back as it was; a refusal is told. */
  async press(key: string): Promise<void> {
    const one = this.switches.get(key)
    if (!one) return
    const { proxy, toxic: { name, type, stream, toxicity, attributes } } = one
    const path = `/proxies/${segment(proxy)}/toxics`
    const on = one.on
    // At once: the proxy may be asked before it has answered.
    one.on = !on
    try {
      if (on) await this.#client.ask('DELETE', `${path}/${segment(name)}`)
      else await this.#client.ask('POST', path, { name, type, stream, toxicity, attributes })
      this.#tell('watch.refused', { why: '' })
    } catch (error) {
      one.on = on
      if (!(error instanceof ResilError)) throw error
      this.#tell('watch.refused', { why: `${proxy}: ${name} stays ${on ? 'on' : 'off'}: ${error.message}` })
    }
  }

  #place(proxies: readonly WatchedFacts[]): void {
    for (const [n, one] of this.#switches.entries()) {
      if (!one) continue
      const proxy = proxies.find(({ name }) => name === one.proxy)
      const toxic = proxy?.toxics.find(({ name }) => name === one.toxic.name)
      if (toxic) Object.assign(one, { toxic, on: true })
      else if (!proxy || one.on) this.#switches[n] = undefined // somebody else took it away
    }
    for (const { name: proxy, toxics } of proxies) {
      for (const toxic of toxics) {
        const free = this.#switches.indexOf(undefined)
        if (free === -1) return
        if (!this.#switches.some((one) => one?.proxy === proxy && one.toxic.name === toxic.name)) this.#switches[free] = { proxy, toxic, on: true }
      }
    }
  }

  async #read(take: (line: Event) => void): Promise<void> {
    for (let page = 0; page < PAGES; page++) {
      const { lines, next } = await this.#client.ask<{ lines: Event[]; next: number }>('GET', `/resil/journal?after=${this.#after}&limit=${PAGE}`)
      this.#after = next
      for (const line of lines) take(line)
      if (lines.length < PAGE) return
    }
  }

  #tell(type: string, fields: Fields): void {
    this.#say({ run: 'watch', seq: 0, t: this.#uptimeMs, at: this.#clock.now(), src: 'lab', node: null, type, ...fields })
  }

  #say(event: Event): void {
    for (const sink of this.#sinks) sink(event)
  }
}

export interface WatchTerminal {
  out: NodeJS.WriteStream
  input: NodeJS.ReadStream
  colour: boolean
}

/** The live screen of it, until the reader leaves or `signal` aborts. Then what it came to, in a sentence, and what its keys left switched off. */
export async function showWatch(watch: ProxyWatch, { clock, signal, terminal }: { clock: Clock; signal: AbortSignal; terminal: WatchTerminal }): Promise<{ left: 'left' | 'interrupted'; story: string; off: Switch[] }> {
  const { showScreen } = await import('./reporters/screens/screen.tsx')
  const leave = new AbortController()
  const early: Event[] = []
  let view = empty()
  const heard = watch.subscribe((event) => {
    view = fold(view, event)
    early.push(event)
    if (early.length > EVENTS_KEPT) early.splice(1, 1) // the first tells what there is
  })
  await watch.look()
  const following = watch.follow(AbortSignal.any([signal, leave.signal]))
  const ended = following.catch(() => {}) // told below
  const pressing = new Set<Promise<void>>()
  const left = await showScreen({
    ...terminal,
    signal,
    clock,
    layout: 'proxy',
    title: 'resil proxy watch',
    lingerMs: 0,
    ended,
    subscribe: (sink) => {
      for (const event of early) sink(event)
      return watch.subscribe(sink)
    },
    get keys() {
      return Object.fromEntries(
        [...watch.switches].map(([key, { proxy, toxic, on }]) => [
          key,
          {
            label: `${visible(proxy)}: ${visible(toxic.name)}`,
            fault: { link: proxy, toxic: toxic.name },
            on: () => on,
            press: () => {
              const pressed = watch.press(key).finally(() => pressing.delete(pressed))
              pressing.add(pressed)
            },
          },
        ]),
      )
    },
    save: (kind, content) => {
      const file = `resil-proxy-watch.${kind}`
      writeFileSync(file, content)
      return file
    },
  })
  leave.abort()
  await Promise.all(pressing)
  await following
  heard()
  return { left, story: story(view), off: [...watch.switches.values()].filter(({ on }) => !on) }
}
