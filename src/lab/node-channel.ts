/** What the laboratory and the process of a node say to each other. */
import type { Fields } from '../events.ts'
import type { StoreFault } from '../scenario.ts'
import type { FaultPoint } from './crash.ts'

export interface NodeOrders {
  engine: 'payment' | 'cron' | 'webhook'
  node: string
  incarnation: number
  seed: number
  /** By how much its machine's clock was set before it began, ms. */
  steppedMs: number
  db: string
  port: number
  services: Record<string, string>
  settings: Record<string, unknown>
  module: string | undefined
  points: FaultPoint[]
}

/** `step` sets the wall clock of the node, by so many ms. */
export type ToNode = { start: NodeOrders } | { arm: FaultPoint } | { step: number }

export type FromNode =
  | { ready: { port: number } }
  | { armed: true }
  | { spoilt: StoreFault }
  | { failed: { code: string; message: string; hint: string } | { bug: string } }
  | { event: { type: string; fields: Fields; at: number } }

/** The pipe on which a dying life leaves the site of its death: a message on the channel would die with it. */
export const DEATH_FD = 4

/** How long a node that is told to end may take to answer what is in flight, ms: beyond the longest deadline. */
export const DRAIN_MS = 8000
