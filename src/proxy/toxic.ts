/**
 * The contract of a toxic: one fault on one link, as data in, data out.
 *
 * A toxic never touches a socket, a timer or a message: it answers an action, and the link (real sockets) and the simulated network
 * (no sockets) each carry it out. So one file works in both worlds, and removing a toxic never waits for it.
 *
 * A toxic may act at three places; most use one:
 *
 *   client ──request──▶ [request] ──bytes──▶ [chunk, upstream] ──▶ service
 *   client ◀──bytes── [chunk, downstream] ◀── [response] ◀──response── service
 */
import type { HttpResponse } from '../network.ts'

export type Stream = 'upstream' | 'downstream'

/** How a connection ends: orderly (FIN), by reset (RST, both sides), or not at all (silence until somebody gives up). */
export type Cut = 'fin' | 'rst' | 'hang'

export type ChunkAction =
  /** Released `ms` after it was read; order is kept and throughput is not reduced. */
  | { do: 'delay'; ms: number }
  /** Passed on at `bytesPerMs` in slices of at most 100 ms; 0 lets nothing pass. */
  | { do: 'pace'; bytesPerMs: number }
  /** Read and thrown away; the connection is closed (FIN) `closeAfterMs` after the last chunk, or never when null. */
  | { do: 'swallow'; closeAfterMs: number | null }
  /** Nothing passes any more; after `afterMs` the connection ends. */
  | { do: 'cut'; how: Cut; afterMs: number }

export type RequestAction =
  /** The service never sees the request; the toxic's answer is given instead. */
  | { do: 'answer'; response: HttpResponse }
  /** The service never sees the request; the client's connection ends `how`. */
  | { do: 'lose'; how: Cut }
  /** The service sees the same bytes twice, the copy on a connection of its own, `afterMs` later; the copy's answer is dropped. */
  | { do: 'duplicate'; afterMs: number }

export type ResponseAction =
  /** The service has done its work; not one byte of the answer passes; the connection ends `how`. */
  | { do: 'lose'; how: Cut }
  /** The head passes, then `bytes` of the body (or that fraction of it, rounded down); then the connection ends `how`. */
  | { do: 'truncate'; bytes: number; how: Cut }
  | { do: 'truncate'; fraction: number; how: Cut }
  /** The body passes in `pieces` equal pieces, spread evenly over `overMs`; the first after overMs / pieces. */
  | { do: 'dribble'; pieces: number; overMs: number }

export interface AttributeSpec {
  type: 'integer' | 'number' | 'string'
  /** 'ms', 'bytes', 'KB/s', ''. On the command line an attribute in ms also takes 250ms, 2s, 1h. */
  unit: string
  default: number | string
  min?: number
  max?: number
  choices?: readonly string[]
  summary: string
}

/** Draws a number in [0, 1) for this decision; the same for the same seed, rule and ordinal. */
export type Draw = () => number

export type AttributeValues = Record<string, number | string>

export interface Toxic<A extends AttributeValues = AttributeValues> {
  /** As on the wire: snake_case; the file carries the same name in kebab-case. */
  name: string
  /** A fragment, lower case: what it does to the traffic. */
  summary: string
  /** The stream it acts on when none is asked for. */
  stream: Stream
  /** The first one is what `--toxic LINK:TYPE=VALUE` sets. Scalars only, so that Toxiproxy's clients can set them. */
  attributes: { [K in keyof A]: AttributeSpec }
  onChunk?(attributes: A, draw: Draw, chunk: { bytes: number }): ChunkAction | undefined
  onRequest?(attributes: A, draw: Draw): RequestAction | undefined
  onResponse?(attributes: A, draw: Draw): ResponseAction | undefined
}
