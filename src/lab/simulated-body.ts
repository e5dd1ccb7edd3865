/** A world in one process and in virtual time: nodes are objects, built anew for each life, on one store in memory. */
import type { NodeClockOptions, VirtualClock } from '../clock.ts'
import { NodeClock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { EventLog } from '../events.ts'
import type { Network, Service } from '../network.ts'
import type { Random } from '../random.ts'
import type { CrashPoint } from '../scenario.ts'
import type { CreateEngine } from '../engines/engine.ts'
import { openSqlite } from '../engines/store/sqlite.ts'
import type { Store } from '../engines/store/store.ts'
import type { HostileLink } from '../proxy/rules.ts'
import type { Turn } from '../proxy/simulated.ts'
import { SimulatedNetwork } from '../proxy/simulated.ts'
import type { Toxic } from '../proxy/toxic.ts'
import { copyStore } from './copy-store.ts'
import type { FaultPoint } from './crash.ts'
import { Life } from './crash.ts'
import type { PaymentBody } from './world.ts'
import { serviceOf as paymentsOf } from './world.ts'

/** Told, as it happens, about every place where a fault could strike. Must not touch the world. */
export interface Probe {
  /** A life of a node passes a place where it could die. */
  crossing(node: string, incarnation: number, point: CrashPoint): void
  /** A message of an exchange passes the rules of its link. */
  exchange(link: string, exchange: number, turn: Turn): void
}

export interface SimulatedSetup {
  clock: VirtualClock
  log: EventLog
  random: Random
  seed: number
  toxics: Record<string, Toxic>
  /** Mocks by name. */
  services: ReadonlyMap<string, Service>
  store: Store
  createEngine: CreateEngine
  settings: Record<string, unknown>
  nodes: readonly string[]
  /** Told about every place where a fault could have struck, for enumerations. */
  probe?: Probe
  /** The service name, and so the link's, of a node. */
  serviceOf?: (node: string) => string
  /** Codes with which a node may refuse to go on. */
  refusals?: readonly string[]
  /** How far a node's clock is off, and how fast it runs. */
  clockOf?: (node: string) => NodeClockOptions
}

interface SimulatedNode {
  incarnation: number
  life: Life | undefined
  clock: NodeClock | undefined
  /** By how much its machine's clock was set, ms: that outlives its process. */
  steppedMs: number
  stop: AbortController
  /** Its loops have ended by themselves, or it is dead. */
  ended: Promise<unknown>
  points: FaultPoint[]
  /** Requests that have no answer yet. */
  open: Set<Promise<unknown>>
}

export class SimulatedBody implements PaymentBody {
  readonly clock: VirtualClock
  readonly clients: Network
  readonly mortal = true
  readonly #setup: SimulatedSetup
  readonly #network: SimulatedNetwork
  readonly #services: Map<string, Service>
  readonly #serviceOf: (node: string) => string
  readonly #nodes = new Map<string, SimulatedNode>()
  #store: Store
  #bug: unknown

  constructor(setup: SimulatedSetup) {
    this.#setup = setup
    this.clock = setup.clock
    this.#store = setup.store
    this.#serviceOf = setup.serviceOf ?? paymentsOf
    this.#services = new Map(setup.services)
    for (const node of setup.nodes) {
      this.#services.set(this.#serviceOf(node), unborn)
      this.#nodes.set(node, { incarnation: 0, life: undefined, clock: undefined, steppedMs: 0, stop: new AbortController(), ended: Promise.resolve(), points: [], open: new Set() })
    }
    this.#network = new SimulatedNetwork({ clock: setup.clock, log: setup.log.from('proxy'), seed: setup.seed, toxics: setup.toxics, services: this.#services, onTurn: setup.probe && ((link, exchange, turn) => setup.probe!.exchange(link, exchange, turn)) })
    this.clients = this.#network
  }

  link(name: string): HostileLink {
    if (!this.#services.has(name)) throw new ResilError('UNKNOWN_LINK', `there is no link "${name}"`, `there are ${[...this.#services.keys()].join(', ')}`)
    return this.#network.link(name)
  }

  get links(): HostileLink[] {
    return [...this.#services.keys()].map((name) => this.#network.link(name))
  }

  alive(node: string): boolean {
    return this.#node(node).life?.dead === false
  }

  async start(node: string, own: Record<string, unknown> = {}): Promise<void> {
    const { log, random, createEngine, probe } = this.#setup
    const store = this.#store
    const settings = { ...this.#setup.settings, ...own }
    const at = this.#node(node)
    const incarnation = ++at.incarnation
    const clock = new NodeClock(this.clock, this.#setup.clockOf?.(node))
    clock.step(at.steppedMs)
    let died: () => void
    const death = new Promise<void>((resolve) => (died = resolve))
    const life = new Life({
      clock: this.clock,
      onSpoilt: ({ site, how }) => log.emit('lab', 'store.spoilt', { site, how }, node),
      points: at.points.splice(0),
      onPause: ({ pauseMs }) => {
        this.pause(node)
        this.clock.after(pauseMs, () => this.resume(node))
      },
      onCrossing: probe && ((point) => probe.crossing(node, incarnation, point)),
      onDeath: (site) => {
        clock.kill()
        void this.#network.link(this.#serviceOf(node)).setEnabled(false)
        log.emit('lab', 'node.killed', { incarnation, site }, node)
        died()
      },
    })
    at.life = life
    at.clock = clock
    at.stop = new AbortController()
    const said = log.from('engine', node)
    const engine = await createEngine(
      {
        clock,
        random: random.fork(`node/${node}/${incarnation}`),
        network: life.network(this.#network),
        store: life.store(store),
        log: { emit: (type, fields) => void (life.dead || said.emit(type, fields)) },
        node,
        incarnation,
      },
      settings,
    )
    const handle = life.handle(engine.handle)
    at.open.clear()
    this.#services.set(this.#serviceOf(node), (request, gone) => {
      const answer = handle(request, gone)
      at.open.add(answer)
      answer.finally(() => at.open.delete(answer)).catch(() => {}) // the network tells whoever asked
      return answer
    })
    await this.#network.link(this.#serviceOf(node)).setEnabled(true)
    log.emit('lab', 'node.started', { incarnation }, node)
    const ended = engine.start(at.stop.signal).catch((error: unknown) => {
      if (!(error instanceof ResilError) || !this.#setup.refusals?.includes(error.code)) {
        this.#bug ??= error
        return
      }
      log.emit('lab', 'node.refused', { code: error.code, why: error.message }, node)
      life.die('refused')
    })
    at.ended = Promise.race([ended, death])
  }

  kill(node: string, site: string): Promise<void> {
    this.#node(node).life?.die(site)
    return Promise.resolve()
  }

  async terminate(node: string): Promise<void> {
    const at = this.#node(node)
    const { life, incarnation } = at
    if (!life || life.dead) return
    this.#services.set(this.#serviceOf(node), unborn)
    await Promise.allSettled(at.open)
    at.stop.abort()
    await at.ended
    if (life.dead) return
    await this.#network.link(this.#serviceOf(node)).setEnabled(false)
    this.#setup.log.emit('lab', 'node.terminated', { incarnation }, node)
    at.life = undefined
  }

  pause(node: string): void {
    const at = this.#node(node)
    at.clock?.pause()
    at.life?.pause()
    this.#setup.log.emit('lab', 'node.paused', { incarnation: at.incarnation }, node)
  }

  resume(node: string): void {
    const at = this.#node(node)
    at.clock?.resume()
    at.life?.resume()
    this.#setup.log.emit('lab', 'node.resumed', { incarnation: at.incarnation }, node)
  }

  step(node: string, ms: number): void {
    const at = this.#node(node)
    at.steppedMs += ms
    at.clock?.step(ms)
    this.#setup.log.emit('lab', 'clock.stepped', { ms }, node)
  }

  async backUp(): Promise<() => Promise<void>> {
    const kept = await openSqlite(':memory:', { clock: this.clock, random: this.#setup.random.fork('backup') })
    await copyStore(this.#store, kept)
    return async () => {
      await this.#store.close()
      this.#store = kept
    }
  }

  withStore<T>(look: (store: Store) => Promise<T>): Promise<T> {
    return look(this.#store)
  }

  /** The store that nodes begin their lives on. */
  get store(): Store {
    return this.#store
  }

  /** How far a node's wall clock is ahead of the world's, ms. */
  aheadMs(node: string): number {
    const { clock } = this.#node(node)
    return clock ? clock.now() - this.clock.now() : 0
  }

  arm(node: string, point: FaultPoint): void {
    const at = this.#node(node)
    if (at.life && !at.life.dead) at.life.arm(point)
    else at.points.push(point)
  }

  /** Takes back every fault that was armed and has not struck. */
  disarm(): void {
    for (const at of this.#nodes.values()) {
      at.points.length = 0
      at.life?.disarm()
    }
  }

  async close(): Promise<void> {
    for (const at of this.#nodes.values()) {
      at.stop.abort()
      if (at.life && !at.life.dead) await at.ended
    }
    await this.#store.close()
    if (this.#bug !== undefined) throw this.#bug
  }

  #node(name: string): SimulatedNode {
    const node = this.#nodes.get(name)
    if (!node) throw new ResilError('UNKNOWN_NODE', `there is no node "${name}"`, `there are ${[...this.#nodes.keys()].join(', ')}`)
    return node
  }
}

const unborn: Service = () => Promise.reject(new ResilError('CONNECTION_CUT', 'the node does not run'))
