/**
 * The contract of a toxic: one fault on one link, as data in, data out.
 *
 * A toxic never touches a socket, a timer or a message: it answers an action, and the link (real sockets) and the simulated network
 * (no sockets) each carry it out. So one file works in both worlds, and removing a toxic never waits for it.
 *
 * A toxic acts at one of these places:
 *
 *   client ──connect──▶ [listen] [connect] ──▶ service
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
  /** Passed on in pieces of these sizes, which add up to the chunk, `everyMs` apart (fractions allowed). */
  | { do: 'slice'; sizes: readonly number[]; everyMs: number }
  /** Each of these bytes, by its place in the chunk, is changed by XOR with the number (1 to 255). */
  | { do: 'flip'; places: readonly { at: number; xor: number }[] }
  /** This chunk does not pass; what comes after it does. */
  | { do: 'drop' }
  /** Read and thrown away; the connection is closed (FIN) `closeAfterMs` after the last chunk, or never when null. */
  | { do: 'swallow'; closeAfterMs: number | null }
  /** The first `bytes` of it pass, then the connection ends. */
  | { do: 'limit'; bytes: number; how: Cut }
  /** Nothing passes any more; after `afterMs` the connection ends. */
  | { do: 'cut'; how: Cut; afterMs: number }

/** At the end of one direction (FIN). */
export type EndAction = { do: 'delayEnd'; ms: number } | { do: 'cut'; how: Cut; afterMs: number }

/** A header line that is put in place of all of its name (or at the end), or that goes. Names are compared without case. */
export interface HeaderEdit {
  name: string
  /** Null takes the lines of that name away. */
  value: string | null
}

export type RequestAction =
  /** It goes on `ms` later; the rules after this one have their say too. */
  | { do: 'hold'; ms: number }
  /** It goes on with another header; the rules after this one have their say too. */
  | { do: 'edit'; edit: HeaderEdit }
  /** It waits until the next request that matches has gone ahead, at most so long. */
  | { do: 'yield'; atMostMs: number }
  /** The service never sees the request; the toxic's answer is given instead. */
  | { do: 'answer'; response: HttpResponse }
  /** The service never sees the request; the client's connection ends `how`. */
  | { do: 'lose'; how: Cut }
  /** The service sees the same bytes twice, the copy on a connection of its own, `afterMs` later; the copy's answer is dropped. */
  | { do: 'duplicate'; afterMs: number }

export type ResponseAction =
  /** Its first byte (of the head, or of the body when `body`) comes `ms` later; the rules after this one have their say too. */
  | { do: 'hold'; ms: number; body: boolean }
  /** It goes on with another header; the rules after this one have their say too. */
  | { do: 'edit'; edit: HeaderEdit }
  /** The service has done its work; not one byte of the answer passes; the connection ends `how`. */
  | { do: 'lose'; how: Cut }
  /** The head passes, then `bytes` of the body (or that fraction of it, rounded down); then the connection ends `how`. */
  | { do: 'truncate'; bytes: number; how: Cut }
  | { do: 'truncate'; fraction: number; how: Cut }
  /** The body passes in `pieces` equal pieces, spread evenly over `overMs`; the first after overMs / pieces. */
  | { do: 'dribble'; pieces: number; overMs: number }

/** The connection to the service is made `ms` later. */
export interface ConnectAction {
  do: 'delay'
  ms: number
}

/** Whether the link takes connections, and for how long (ms) that stays so; Infinity: until the rule changes. */
export interface Listening {
  open: boolean
  /** While not open: connections that are open are reset too. */
  cut: boolean
  forMs: number
}

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

/** Numbers that a toxic keeps for itself; empty at first. */
export type Memory = Record<string, number>

export interface Moment {
  /** Since the rule was added, ms. */
  ageMs: number
  /** The rule's own, shared by all that it decides about. */
  memory: Memory
}

export interface ChunkMoment extends Moment {
  /** Its size. */
  bytes: number
  /** What the rule saw before it of the same connection and direction (of the same exchange, when the rule is targeted), in bytes. */
  before: number
  /** Kept for that connection (or exchange) alone. */
  memory: Memory
}

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
  /** Says what is wrong with attributes that are each right by themselves, or nothing. */
  check?(attributes: A): string | undefined
  /** For a toxic that acts on requests or on responses: on which of them with these attributes. */
  place?(attributes: A): 'request' | 'response'
  onChunk?(attributes: A, draw: Draw, moment: ChunkMoment): ChunkAction | undefined
  onEnd?(attributes: A, draw: Draw, moment: Moment): EndAction | undefined
  onRequest?(attributes: A, draw: Draw, moment: Moment): RequestAction | undefined
  onResponse?(attributes: A, draw: Draw, moment: Moment): ResponseAction | undefined
  onConnect?(attributes: A, draw: Draw, moment: Moment): ConnectAction | undefined
  onListen?(attributes: A, ageMs: number): Listening
}
