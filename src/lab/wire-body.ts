/**
 * A world on real sockets: mocks and links in this process, every engine node a process of its own, so that a crash is a SIGKILL.
 *
 *   clients ──▶ link ──▶ node (process) ──▶ link ──▶ mock
 *                          └── SQLite file
 */
import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Clock } from '../clock.ts'
import { ResilError, assert } from '../errors.ts'
import type { EventLog } from '../events.ts'
import { HttpNetwork } from '../http-client.ts'
import { serveHttp } from '../http-server.ts'
import type { HttpServer } from '../http-server.ts'
import type { CallOptions, HttpRequest, HttpResponse, Network, Outcome } from '../network.ts'
import type { Random } from '../random.ts'
import type { SqliteStore } from '../engines/store/sqlite.ts'
import { ANCHOR_SUFFIX, openSqlite } from '../engines/store/sqlite.ts'
import type { Store } from '../engines/store/store.ts'
import { Link } from '../proxy/link.ts'
import type { Mock } from '../proxy/mock.ts'
import type { HostileLink } from '../proxy/rules.ts'
import { Rules } from '../proxy/rules.ts'
import type { Toxic } from '../proxy/toxic.ts'
import { auditIntent } from './audit.ts'
import type { FaultPoint } from './crash.ts'
import type { FromNode, NodeOrders, ToNode } from './node-channel.ts'
import { DEATH_FD } from './node-channel.ts'
import type { Subject } from './plan.ts'
import type { PaymentBody } from './world.ts'
import { serviceOf } from './world.ts'

export interface WireSetup {
  clock: Clock
  log: EventLog
  random: Random
  seed: number
  toxics: Record<string, Toxic>
  mocks: Record<string, Mock>
  subject: Subject
  engine: 'payment' | 'cron' | 'webhook'
  settings: Record<string, unknown>
  nodes: readonly string[]
  db: string | undefined
  /** Ports of the links before the mocks, by mock; any free one when absent. */
  ports: Record<string, number>
  /** Port of the link before the first node. */
  port?: number
  /** Lives that nodes had on this database before: those that begin now are later ones. */
  livesBefore?: number
  /** Codes with which a node may refuse to go on. */
  refusals?: readonly string[]
  /** Told when a node ends though nobody here ended it: killed from outside, or `why` it could not go on. A bug of the run when absent. */
  onLost?: (node: string, why: unknown) => void
}

/** What an engine's nodes are called as services. */
const SERVICE_OF = { payment: 'payments', cron: 'cron', webhook: 'webhooks' } as const

/** How long a node may take to be ready, ms: opening a store after a crash included. */
const READY_MS = 20_000

/** How long a node that was told to end may take before it is killed, ms. */
const END_MS = 12_000

/** What a database consists of on the disk. */
const STORE_FILES = ['', '-wal', '-shm', ANCHOR_SUFFIX]

/** What is kept of a node's last words on stderr, bytes. */
const LAST_WORDS_BYTES = 8192

interface WireNode {
  incarnation: number
  /** By how much its machine's clock was set, ms: that outlives its process. */
  steppedMs: number
  child: ChildProcess | undefined
  exited: Promise<void>
  /** Why the lab ended it, when it did. */
  ending: { how: 'killed' | 'terminated' | 'closed'; site: string } | undefined
  port: number
  link: Link | undefined
  network: HttpNetwork | undefined
  points: FaultPoint[]
  /** Answers that clients got from it, for deaths right after one. */
  answers: number
  deathsByAnswer: number[]
  /** What was armed has reached it; and who waits for it to say so, in order. */
  armed: Promise<void>
  arming: (() => void)[]
}

export interface OpenedWire {
  body: WireBody
  /** What listens where, by name. */
  urls: Record<string, string>
}

/** Opens mocks and links; nodes begin with `start`. Throws PORT_BUSY, and what the store refuses. */
export async function openWireBody(setup: WireSetup): Promise<OpenedWire> {
  const body = new WireBody(setup)
  try {
    return { body, urls: await body.open() }
  } catch (error) {
    await body.close()
    throw error
  }
}

/** How long a service may take to accept a connection, ms. */
const REACHABLE_WITHIN_MS = 2000

/** A run against nobody would say nothing about anybody. Whatever is answered will do; throws SUBJECT_UNREACHABLE when nothing accepts the connection. */
async function refuseUnreachable(url: URL, clock: Clock): Promise<void> {
  const network = new HttpNetwork({ clock, services: { subject: url.origin } })
  const outcome = await network.call('subject', { method: 'GET', path: '/', headers: {}, body: '' }, { timeoutMs: REACHABLE_WITHIN_MS })
  await network.close()
  if (outcome.kind === 'failed') throw new ResilError('SUBJECT_UNREACHABLE', `nothing answers at ${url.origin} (${outcome.error.code})`, 'start your service first, then run this again')
}

export class WireBody implements PaymentBody {
  readonly clock: Clock
  readonly clients: Network
  readonly mortal: boolean
  readonly #setup: WireSetup
  readonly #links = new Map<string, Link>()
  readonly #servers: HttpServer[] = []
  /** Ports of the mocks themselves. */
  readonly #homes = new Map<string, number>()
  readonly #nodes = new Map<string, WireNode>()
  readonly #folder: string | undefined
  readonly #db: string
  #audit: SqliteStore | undefined
  #bug: unknown

  constructor(setup: WireSetup) {
    this.#setup = setup
    this.clock = setup.clock
    this.mortal = setup.subject.kind !== 'url'
    this.clients = { call: (service, request, options) => this.#call(service, request, options) }
    this.#folder = setup.db === undefined && this.mortal ? mkdtempSync(join(tmpdir(), 'resil-')) : undefined
    this.#db = setup.db ?? join(this.#folder ?? '', `${SERVICE_OF[setup.engine]}.db`)
    for (const node of setup.nodes) {
      this.#nodes.set(node, { incarnation: setup.livesBefore ?? 0, steppedMs: 0, child: undefined, exited: Promise.resolve(), ending: undefined, port: 0, link: undefined, network: undefined, points: [], answers: 0, deathsByAnswer: [], armed: Promise.resolve(), arming: [] })
    }
  }

  async open(): Promise<Record<string, string>> {
    const { clock, mocks, log, subject, ports } = this.#setup
    const urls: Record<string, string> = {}
    for (const [name, mock] of Object.entries(mocks)) {
      const handle = name.startsWith('bank') ? auditIntent(mock.handle, () => this.#audit, log.from('audit')) : mock.handle
      const server = await serveHttp(handle, { clock })
      this.#servers.push(server)
      const link = await this.#link(name, { port: ports[name] ?? 0 }, server.port)
      this.#homes.set(name, server.port)
      urls[name] = `http://127.0.0.1:${link.address.port}`
      urls[`${name} itself`] = server.url
    }
    if (subject.kind === 'url') {
      const url = new URL(subject.url)
      await refuseUnreachable(url, clock)
      const node = this.#node('n1')
      node.link = await this.#link('payments', { port: 0 }, Number(url.port || 80), url.hostname)
      node.network = new HttpNetwork({ clock, services: { payments: `http://127.0.0.1:${node.link.address.port}${url.pathname.replace(/\/$/, '')}` } })
      urls['payments'] = `http://127.0.0.1:${node.link.address.port}`
    }
    return urls
  }

  link(name: string): HostileLink {
    const link = this.#links.get(name)
    if (!link) throw new ResilError('UNKNOWN_LINK', `there is no link "${name}"`, `there are ${[...this.#links.keys()].join(', ')}`)
    return link
  }

  get links(): HostileLink[] {
    return [...this.#links.values()]
  }

  /** Sends what comes over a link to another port than its mock's, or to that again; what is open there is closed. */
  divert(name: string, port: number | undefined): Promise<void> {
    const link = this.#links.get(name)
    assert(link !== undefined, `${name} has a link`)
    return link.update({ upstream: { host: '127.0.0.1', port: port ?? this.#homes.get(name)! } })
  }

  /** The database file of the nodes. */
  get db(): string {
    return this.#db
  }

  step(name: string, ms: number): void {
    const node = this.#node(name)
    node.steppedMs += ms
    node.child?.send({ step: ms } satisfies ToNode)
    this.#setup.log.emit('lab', 'clock.stepped', { ms }, name)
  }

  alive(node: string): boolean {
    return !this.mortal || this.#node(node).child !== undefined
  }

  /** Where clients reach a node. */
  url(node: string): string {
    return `http://127.0.0.1:${this.#node(node).link?.address.port ?? 0}`
  }

  async start(name: string, own: Record<string, unknown> = {}): Promise<void> {
    const { log, seed, subject, clock } = this.#setup
    const settings = { ...this.#setup.settings, ...own }
    const node = this.#node(name)
    const incarnation = ++node.incarnation
    const services = Object.fromEntries(Object.keys(this.#setup.mocks).map((mock) => [mock, `http://127.0.0.1:${this.#links.get(mock)!.address.port}`]))
    const orders: NodeOrders = { engine: this.#setup.engine, node: name, incarnation, seed, steppedMs: node.steppedMs, db: this.#db, port: node.port, services, settings, module: subject.kind === 'module' ? resolve(subject.file) : undefined, points: node.points.splice(0) }

    const child = fork(fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? '../../dist/lab/node.js' : './node.js', import.meta.url)), { stdio: ['ignore', 'ignore', 'pipe', 'ipc', 'pipe'], execArgv: [] })
    node.child = child
    node.ending = undefined
    node.answers = 0
    let lastWords = ''
    child.stderr!.on('data', (data: Buffer) => {
      lastWords = (lastWords + String(data)).slice(-LAST_WORDS_BYTES)
    })
    let site = ''
    ;(child.stdio[DEATH_FD] as Readable).on('data', (data: Buffer) => {
      site = (site + String(data)).slice(-200)
    })
    let refused: unknown
    const ready = new Promise<number>((resolvePort, reject) => {
      const cancel = clock.after(READY_MS, () => reject(new ResilError('NODE_NOT_READY', `node ${name} was not ready within ${READY_MS / 1000} s`, 'the machine is overloaded, or the database is very large')))
      child.on('message', (message: FromNode) => {
        if ('event' in message) log.emit('engine', message.event.type, message.event.fields, name, message.event.at)
        else if ('spoilt' in message) log.emit('lab', 'store.spoilt', { site: message.spoilt.site, how: message.spoilt.how }, name)
        else if ('armed' in message) node.arming.shift()?.()
        else if ('ready' in message) {
          cancel()
          resolvePort(message.ready.port)
        } else if ('failed' in message) {
          const { failed } = message
          refused = 'bug' in failed ? new Error(failed.bug) : new ResilError(failed.code, failed.message, failed.hint)
          reject(refused)
        }
      })
      child.once('error', reject)
      child.once('exit', (code, signal) => {
        cancel()
        reject(refused ?? new Error(`node ${name} ended (${signal ?? code}) before it was ready: ${lastWords}`))
      })
      child.send({ start: orders } satisfies ToNode)
    })
    // 'close' comes after the last byte of every pipe: the site of death has been read.
    node.exited = new Promise((resolveExit) => child.once('close', (code, signal) => resolveExit(this.#ended(name, child, incarnation, site, code, signal, refused, lastWords))))
    node.port = await ready
    if (!node.link) {
      node.link = await this.#link(this.#service(name), { port: Number(name.slice(1)) === 1 ? (this.#setup.port ?? 0) : 0 }, node.port)
      node.network = new HttpNetwork({ clock, services: { [this.#service(name)]: this.url(name) } })
    } else {
      await node.link.setEnabled(true)
    }
    this.#audit ??= await openSqlite(this.#db, { clock, random: this.#setup.random.fork('audit'), readOnly: true })
    log.emit('lab', 'node.started', { incarnation, pid: child.pid }, name)
  }

  async kill(name: string, site: string): Promise<void> {
    const node = this.#node(name)
    if (!node.child) return
    node.ending = { how: 'killed', site }
    node.child.kill('SIGKILL')
    await node.exited
  }

  terminate(name: string): Promise<void> {
    return this.#end(name, 'terminated')
  }

  async #end(name: string, how: 'terminated' | 'closed'): Promise<void> {
    const node = this.#node(name)
    if (!node.child) return
    node.ending = { how, site: 'SIGTERM' }
    node.child.kill('SIGTERM')
    const cancel = this.clock.after(END_MS, () => node.child?.kill('SIGKILL'))
    await node.exited
    cancel()
  }

  pause(name: string): void {
    const node = this.#node(name)
    node.child?.kill('SIGSTOP')
    this.#setup.log.emit('lab', 'node.paused', { incarnation: node.incarnation }, name)
  }

  resume(name: string): void {
    const node = this.#node(name)
    node.child?.kill('SIGCONT')
    this.#setup.log.emit('lab', 'node.resumed', { incarnation: node.incarnation }, name)
  }

  arm(name: string, point: FaultPoint): void {
    const node = this.#node(name)
    if (point.site === 'answer' && 'when' in point && point.when === 'after') {
      node.deathsByAnswer.push(node.answers + point.nth)
      return
    }
    const { child } = node
    if (!child) {
      node.points.push(point)
      return
    }
    node.armed = new Promise((resolveArmed) => {
      node.arming.push(resolveArmed)
      child.send({ arm: point } satisfies ToNode)
    })
  }

  /** Of nodes that have ended: a log that is being written cannot be copied. */
  backUp(): Promise<() => Promise<void>> {
    const files = STORE_FILES.map((suffix) => `${this.#db}${suffix}`)
    const kept = files.map((file) => `${file}.backup`)
    files.forEach((file, n) => existsSync(file) && copyFileSync(file, kept[n]!))
    return Promise.resolve(async () => {
      await this.#audit?.close()
      this.#audit = undefined
      files.forEach((file, n) => {
        rmSync(file, { force: true })
        if (existsSync(kept[n]!)) copyFileSync(kept[n]!, file)
      })
    })
  }

  async withStore<T>(look: (store: Store) => Promise<T>): Promise<T> {
    const store = await openSqlite(this.#db, { clock: this.clock, random: this.#setup.random.fork('beside') })
    try {
      return await look(store)
    } finally {
      await store.close()
    }
  }

  async close(): Promise<void> {
    for (const [name, node] of this.#nodes) {
      node.child?.kill('SIGCONT')
      await this.#end(name, 'closed')
      await node.network?.close()
    }
    for (const link of this.#links.values()) await link.close()
    for (const server of this.#servers) await server.close(0)
    await this.#audit?.close()
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true })
    if (this.#bug !== undefined) throw this.#bug
  }

  async #call(service: string, request: HttpRequest, options: CallOptions): Promise<Outcome<HttpResponse>> {
    const [name, node] = [...this.#nodes].find(([candidate]) => this.#service(candidate) === service) ?? []
    assert(name !== undefined && node?.network, `${service} has begun`)
    await node.armed
    const outcome = await node.network.call(service, request, options)
    if (outcome.kind === 'ok' && node.deathsByAnswer.includes(++node.answers)) {
      node.deathsByAnswer = []
      void this.kill(name, 'answer:after') // the signal is on its way when the client has its answer
    }
    return outcome
  }

  async #link(name: string, listen: { port: number }, port: number, host = '127.0.0.1'): Promise<Link> {
    const { clock, log, seed, toxics } = this.#setup
    const said = log.from('proxy')
    const link = new Link({ name, listen, upstream: { host, port }, rules: new Rules({ link: name, seed, toxics, clock, log: said }), clock, log: said })
    await link.setEnabled(true)
    this.#links.set(name, link)
    return link
  }

  async #ended(name: string, child: ChildProcess, incarnation: number, site: string, code: number | null, signal: NodeJS.Signals | null, refused: unknown, lastWords: string): Promise<void> {
    const node = this.#node(name)
    if (node.child !== child) return
    node.child = undefined
    for (const tell of node.arming.splice(0)) tell()
    const { ending } = node
    await node.link?.setEnabled(false)
    const { onLost } = this.#setup
    if (refused !== undefined && ending === undefined) {
      if (refused instanceof ResilError && this.#setup.refusals?.includes(refused.code)) this.#setup.log.emit('lab', 'node.refused', { code: refused.code, why: refused.message }, name)
      else if (onLost) onLost(name, refused)
      else this.#bug ??= refused
      return
    }
    if (ending?.how === 'closed') return // the run is over: nothing was done to the node
    if (ending?.how === 'terminated') {
      this.#setup.log.emit('lab', 'node.terminated', { incarnation }, name)
      return
    }
    this.#setup.log.emit('lab', 'node.killed', { incarnation, site: site || (ending?.site ?? `${signal ?? code}`) }, name)
    if (site !== '' || ending !== undefined) return
    const bug = new Error(`node ${name} ended by itself (${signal ?? code}): ${lastWords}`)
    if (onLost) onLost(name, signal === 'SIGKILL' ? undefined : bug)
    else this.#bug ??= bug
  }

  #service(node: string): string {
    return serviceOf(node, SERVICE_OF[this.#setup.engine])
  }

  #node(name: string): WireNode {
    const node = this.#nodes.get(name)
    if (!node) throw new ResilError('UNKNOWN_NODE', `there is no node "${name}"`, `there are ${[...this.#nodes.keys()].join(', ')}`)
    return node
  }
}
