/** The contract of an engine, and the outside that it is given. It does not know whether that outside is real, simulated or hostile. */
import type { Clock } from '../clock.ts'
import type { Log } from '../events.ts'
import type { Network, Service } from '../network.ts'
import type { Random } from '../random.ts'
import type { Store } from './store/store.ts'

export interface Outside {
  clock: Clock
  random: Random
  network: Network
  store: Store
  log: Log
  /** This node's name; unique among the live nodes of one store. */
  node: string
  /** Counts the lives of this node, from 1: two lives never share an id. */
  incarnation: number
}

export interface Engine {
  /** Its HTTP face. */
  handle: Service
  /** Runs its loops until the signal aborts and what was begun has ended. */
  start(signal: AbortSignal): Promise<void>
}

/** What a module given as subject exports as `createEngine`. `settings` overrides the engine's own defaults. */
export type CreateEngine = (outside: Outside, settings?: Record<string, unknown>) => Promise<Engine> | Engine
