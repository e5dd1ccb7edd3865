/**
 * A strict HTTP/1.1 framer that listens to the bytes of one connection and never changes them: what goes in comes out, cut into pieces at
 * the boundaries of messages. What it cannot frame beyond doubt is opaque for the rest of the connection: it still passes, and belongs to no exchange.
 *
 *   head ──▶ body of known length ─┐
 *    ▲ ├───▶ chunks, trailers ─────┤
 *    │ ├───▶ body until the end ───┼──▶ next head            any doubt, CONNECT, 101 ──▶ opaque
 *    │ └───▶ no body ──────────────┤
 *    └─────────────────────────────┘
 *
 * Opaque are: Content-Length with Transfer-Encoding, several or malformed lengths, codings other than chunked, a bare CR or LF, folded lines,
 * blanks before a colon, other versions than 1.0 and 1.1, a malformed chunk size, an answer that nobody asked for, heads over MAX_HEAD_BYTES.
 */

import { MAX_HEAD_BYTES, methodIn, readHead } from './http-head.ts'
import type { Head } from './http-head.ts'

/** Longest line that announces a chunk, its extensions included. */
export const MAX_CHUNK_LINE_BYTES = 4096
/** Requests that may wait for their answers on one connection. */
export const MAX_PIPELINED = 1000

export interface Exchange {
  readonly number: number
  readonly method: string
  /** The request's target as it was written, with its query string. */
  readonly path: string
  /** Its Idempotency-Key, or null. */
  readonly key: string | null
  /** False when the client asked for the connection to end with this exchange, or speaks 1.0 without keep-alive. */
  readonly keepAlive: boolean
  /** True when the client waits for an answer before it sends the body (Expect: 100-continue). */
  readonly expects: boolean
  /** The request's head as text, without its empty line. */
  readonly head: string
}

export interface Piece {
  readonly bytes: Buffer
  /** Null when opaque. */
  readonly exchange: Exchange | null
  /**
   * An interim answer (1xx) is a message of its own kind, before the head. A body is as on the wire: chunk sizes and trailers are part of it.
   * Where nobody needs the boundary, as much of the body as came with the head is part of the head.
   */
  readonly part: 'head' | 'body' | 'interim' | 'opaque'
  /** True on the piece that ends the message. A body without a length has no such piece: it ends with the connection. */
  readonly last: boolean
  /** On the head of a response: its status, and the length of its body on the wire where that is known. */
  readonly status?: number
  readonly bodyBytes?: number
}

type Side = 'request' | 'response'

type Place =
  | { at: 'head' }
  | { at: 'body'; left: number }
  /** In the size line of a chunk, its data with the closing CRLF, or the trailers. */
  | { at: 'size' }
  | { at: 'data'; left: number }
  | { at: 'dataEnd'; cr: boolean }
  | { at: 'trailers' }
  | { at: 'untilEnd' }
  | { at: 'opaque' }

interface Direction {
  readonly side: Side
  place: Place
  /** The exchange whose message is being read. */
  exchange: Exchange | null
  /** The head, size line or trailers read so far, in as many parts as they came in. */
  lines: LineReader
  /** Bytes of the unfinished head that were not yet handed out. */
  held: Buffer[]
}

export class HttpTap {
  readonly #number: () => number
  readonly #boundaries: () => boolean
  readonly #request: Direction = { side: 'request', place: { at: 'head' }, exchange: null, lines: new LineReader(), held: [] }
  readonly #response: Direction = { side: 'response', place: { at: 'head' }, exchange: null, lines: new LineReader(), held: [] }
  /** Requests whose answers have not ended, in order. */
  readonly #waiting: Exchange[] = []

  /** `number` gives the next exchange its number; `boundaries` says whether somebody needs to know where a head ends and its body begins. */
  constructor(number: () => number, boundaries: () => boolean) {
    this.#number = number
    this.#boundaries = boundaries
  }

  /** Bytes from the client, as they came. */
  request(bytes: Buffer): Piece[] {
    return this.#read(this.#request, bytes)
  }

  /** Bytes from the service, as they came. */
  response(bytes: Buffer): Piece[] {
    return this.#read(this.#response, bytes)
  }

  /** True when no later request belongs to an exchange, so that what is held of one may be released. */
  get opaque(): boolean {
    return this.#response.place.at === 'opaque'
  }

  /** Hands out what is held of an unfinished head: nobody needs it whole, or no more will come. The head's later bytes come without it. */
  release(side: Side): readonly Piece[] {
    const direction = side === 'request' ? this.#request : this.#response
    const { held } = direction
    if (held.length === 0) return NOTHING
    direction.held = []
    return held.map((bytes) => piece(bytes, null, 'opaque', false))
  }

  /** The service will send no more. The exchange whose body had no length and so ends here, if there is one. */
  responseEnded(): Exchange | null {
    const { place, exchange } = this.#response
    if (place.at !== 'untilEnd') return null
    this.#waiting.shift()
    this.#response.place = { at: 'opaque' }
    return exchange
  }

  /** The service will not see this request: its answer is not waited for. */
  withdraw(exchange: Exchange): void {
    const index = this.#waiting.indexOf(exchange)
    if (index !== -1) this.#waiting.splice(index, 1)
  }

  #read(direction: Direction, bytes: Buffer): Piece[] {
    const pieces: Piece[] = []
    let from = 0
    while (from < bytes.length) from = this.#step(direction, bytes, from, pieces)
    return pieces
  }

  /** Reads on from `from` to the next change of place, or to the end of the bytes; answers how far it came. */
  #step(direction: Direction, bytes: Buffer, from: number, pieces: Piece[]): number {
    const place = direction.place
    switch (place.at) {
      case 'opaque':
        pieces.push(piece(part(bytes, from, bytes.length), null, 'opaque', false))
        return bytes.length
      case 'untilEnd':
        pieces.push(piece(part(bytes, from, bytes.length), direction.exchange, 'body', false))
        return bytes.length
      case 'head':
        return this.#head(direction, bytes, from, pieces)
      case 'body': {
        const to = Math.min(bytes.length, from + place.left)
        place.left -= to - from
        pieces.push(piece(part(bytes, from, to), direction.exchange, 'body', place.left === 0))
        if (place.left === 0) this.#messageEnded(direction)
        return to
      }
      default:
        return this.#chunks(direction, bytes, from, pieces)
    }
  }

  #head(direction: Direction, bytes: Buffer, from: number, pieces: Piece[]): number {
    const { lines } = direction
    if (!this.#expectsHead(direction)) return this.#turnOpaque(direction, bytes, from, pieces)
    if (lines.length === 0) {
      // The usual case: the head has come whole.
      const head = readHead(direction.side, bytes, from)
      if (head) return this.#wholeHead(direction, bytes, from, head.end, bytes, head, pieces)
    }
    const before = lines.firstLine === undefined ? lines.length : Number.POSITIVE_INFINITY
    const state = lines.readUntil('emptyLine', bytes, from, MAX_HEAD_BYTES)
    if (state === 'wrong' || !mayBegin(direction.side, lines, before)) return this.#turnOpaque(direction, bytes, from, pieces)
    if (state === 'more') {
      direction.held.push(bytes.subarray(from))
      return bytes.length
    }
    const text = Buffer.from(`${lines.take()}\r\n`, 'latin1')
    const head = readHead(direction.side, text, 0)
    return head ? this.#wholeHead(direction, bytes, from, state, text, head, pieces) : this.#turnOpaque(direction, bytes, from, pieces)
  }

  /** A head whose last bytes stand from `from` to `to`; all of it was read from `text`. */
  #wholeHead(direction: Direction, bytes: Buffer, from: number, to: number, text: Buffer, head: Head, pieces: Piece[]): number {
    const message = direction.side === 'request' ? this.#requestHead(text, head) : this.#responseHead(head)
    if (!message) return this.#turnOpaque(direction, bytes, from, pieces)
    const { exchange, part: kind, next, status, bodyBytes } = message
    let end = to
    if (next.at === 'body' && next.left > 0 && end < bytes.length && !this.#boundaries()) {
      end = Math.min(bytes.length, to + next.left)
      next.left -= end - to
    }
    const own = part(bytes, from, end)
    const whole = direction.held.length === 0 ? own : Buffer.concat([...direction.held, own])
    if (direction.held.length > 0) direction.held = []
    direction.exchange = exchange
    direction.place = next
    const tunnel = next.at === 'opaque'
    const last = tunnel || kind === 'interim' || (next.at === 'body' && next.left === 0)
    pieces.push({ bytes: whole, exchange, part: kind, last, status, bodyBytes })
    if (last && kind === 'head') this.#messageEnded(direction)
    if (tunnel) direction.place = { at: 'opaque' }
    return end
  }

  #expectsHead(direction: Direction): boolean {
    if (direction.side === 'response') return this.#waiting.length > 0
    return !this.opaque && this.#waiting.length < MAX_PIPELINED
  }

  #requestHead(text: Buffer, head: Head): Message | undefined {
    const { length } = head
    if (length === undefined) return undefined
    const exchange = new Asked(this.#number(), text, head)
    this.#waiting.push(exchange)
    if (exchange.method === 'CONNECT') return message(exchange, 'head', { at: 'opaque' })
    return message(exchange, 'head', length === 'chunked' ? { at: 'size' } : { at: 'body', left: length ?? 0 })
  }

  #responseHead({ status, length }: Head): Message | undefined {
    const exchange = this.#waiting[0]
    if (!exchange || length === undefined) return undefined
    if (status === 101 || (exchange.method === 'CONNECT' && status >= 200 && status < 300)) return message(exchange, 'head', { at: 'opaque' }, status)
    if (status < 200) return message(exchange, 'interim', { at: 'head' })
    if (exchange.method === 'HEAD' || status === 204 || status === 304) return message(exchange, 'head', { at: 'body', left: 0 }, status, 0)
    if (length === null) return message(exchange, 'head', { at: 'untilEnd' }, status)
    if (length === 'chunked') return message(exchange, 'head', { at: 'size' }, status)
    return message(exchange, 'head', { at: 'body', left: length }, status, length)
  }

  #chunks(direction: Direction, bytes: Buffer, start: number, pieces: Piece[]): number {
    const { lines } = direction
    let at = start
    const doubt = () => {
      if (at > start) pieces.push(piece(bytes.subarray(start, at), direction.exchange, 'body', false))
      return this.#turnOpaque(direction, bytes, at, pieces)
    }
    while (at < bytes.length) {
      const place = direction.place
      if (place.at === 'size') {
        const end = lines.readUntil('line', bytes, at, MAX_CHUNK_LINE_BYTES)
        if (end === 'wrong') return doubt()
        if (end === 'more') break
        const size = CHUNK_SIZE.exec(lines.take())?.[1]
        if (size === undefined) return doubt()
        at = end
        const left = Number.parseInt(size, 16)
        direction.place = left === 0 ? { at: 'trailers' } : { at: 'data', left }
      } else if (place.at === 'data') {
        const to = Math.min(bytes.length, at + place.left)
        place.left -= to - at
        at = to
        if (place.left === 0) direction.place = { at: 'dataEnd', cr: false }
      } else if (place.at === 'dataEnd') {
        if (bytes[at] !== (place.cr ? LF : CR)) return doubt()
        at++
        direction.place = place.cr ? { at: 'size' } : { at: 'dataEnd', cr: true }
      } else {
        const end = lines.readUntil('emptyLine', bytes, at, MAX_HEAD_BYTES)
        if (end === 'wrong') return doubt()
        if (end === 'more') break
        lines.take()
        pieces.push(piece(part(bytes, start, end), direction.exchange, 'body', true))
        this.#messageEnded(direction)
        return end
      }
    }
    pieces.push(piece(part(bytes, start, bytes.length), direction.exchange, 'body', false))
    return bytes.length
  }

  #messageEnded(direction: Direction): void {
    if (direction.side === 'response') this.#waiting.shift()
    direction.exchange = null
    direction.place = { at: 'head' }
  }

  #turnOpaque(direction: Direction, bytes: Buffer, from: number, pieces: Piece[]): number {
    direction.lines.take()
    direction.place = { at: 'opaque' }
    direction.exchange = null
    pieces.push(...this.release(direction.side), piece(part(bytes, from, bytes.length), null, 'opaque', false))
    return bytes.length
  }
}

interface Message {
  readonly exchange: Exchange
  readonly part: 'head' | 'interim'
  readonly next: Place
  readonly status: number | undefined
  readonly bodyBytes: number | undefined
}

function message(exchange: Exchange, part: 'head' | 'interim', next: Place, status?: number, bodyBytes?: number): Message {
  return { exchange, part, next, status, bodyBytes }
}

const NOTHING: readonly Piece[] = []
const CR = 13
const LF = 10
const REQUEST_LINE = /^([A-Z][A-Z-]{0,31}) ([!-~\x80-\xff]+) HTTP\/1\.([01])$/
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [\t -~\x80-\xff]*)?$/
const CHUNK_SIZE = /^([0-9A-Fa-f]{1,12})(?:;[\t -~\x80-\xff]*)?$/

/** A request's head, as text when somebody asks for it. */
class Asked implements Exchange {
  readonly number: number
  readonly method: string
  readonly path: string
  readonly key: string | null
  readonly keepAlive: boolean
  readonly expects: boolean
  /** Its bytes, and where in them it is. */
  private readonly bytes: Buffer
  private readonly from: number
  private readonly end: number

  constructor(number: number, bytes: Buffer, head: Head) {
    const { from, end, methodEnd, pathEnd, keyFrom, keyEnd } = head
    this.number = number
    this.method = methodIn(bytes, head)
    this.path = bytes.toString('latin1', methodEnd + 1, pathEnd)
    this.key = keyFrom > 0 ? bytes.toString('latin1', keyFrom, keyEnd) : null
    this.keepAlive = !head.close && (head.minor === 1 || head.keepAlive)
    this.expects = head.expects
    this.bytes = bytes
    this.from = from
    this.end = end
  }

  get head(): string {
    return this.bytes.toString('latin1', this.from, this.end - 2)
  }
}

/** That part of the bytes. */
function part(bytes: Buffer, from: number, to: number): Buffer {
  return from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to)
}

function piece(bytes: Buffer, exchange: Exchange | null, part: Piece['part'], last: boolean): Piece {
  return { bytes, exchange, part, last }
}

/** Reads lines that end in CRLF and hold no other control character than TAB, however they were cut. */
class LineReader {
  /** Without its CRLF, as soon as it is complete. */
  firstLine: string | undefined
  /** Bytes read since the last `take`. */
  length = 0
  #parts: string[] = []
  #afterCr = false
  #lineIsEmpty = true

  /** What was read, without the CRLF that ended it; and begins anew. */
  take(): string {
    const text = this.#parts.join('')
    this.#parts = []
    this.firstLine = undefined
    this.length = 0
    this.#afterCr = false
    this.#lineIsEmpty = true
    return text.endsWith('\r\n') ? text.slice(0, -2) : text
  }

  /** The first line as far as it was read. */
  get beginning(): string {
    return this.firstLine ?? this.#parts.join('')
  }

  /** Answers where the line, or the empty line, ends; `more` when it has not come, `wrong` at a character that may not stand there or past `max` bytes. */
  readUntil(until: 'line' | 'emptyLine', bytes: Buffer, from: number, max: number): number | 'more' | 'wrong' {
    for (let i = from; i < bytes.length; i++) {
      const byte = bytes[i]!
      if (this.length++ >= max) return 'wrong'
      if (this.#afterCr) {
        if (byte !== LF) return 'wrong'
        this.#afterCr = false
        const ended = until === 'line' || this.#lineIsEmpty
        this.#lineIsEmpty = true
        if (ended || this.firstLine === undefined) this.#parts.push(bytes.toString('latin1', from, i + 1))
        if (ended) return i + 1
        if (this.firstLine === undefined) {
          this.firstLine = this.#parts.join('').slice(0, -2)
          from = i + 1
        }
      } else if (byte === CR) {
        this.#afterCr = true
      } else if ((byte < 32 && byte !== 9) || byte === 127) {
        return 'wrong'
      } else {
        this.#lineIsEmpty = false
      }
    }
    this.#parts.push(bytes.toString('latin1', from, bytes.length))
    return 'more'
  }
}

/** A first line shows within its first bytes what protocol it is of. */
const BEGINNING_BYTES = 64

/** False as soon as what was read cannot become a head: another protocol must not wait for an empty line that never comes. `before` bytes were judged before. */
function mayBegin(side: Side, lines: LineReader, before: number): boolean {
  if (before === Number.POSITIVE_INFINITY) return true
  if (lines.firstLine !== undefined) return (side === 'request' ? REQUEST_LINE : STATUS_LINE).test(lines.firstLine)
  if (before > BEGINNING_BYTES) return true
  return side === 'request' ? /^[A-Z][A-Z-]{0,31}( |$)/.test(lines.beginning) : lines.beginning.startsWith('HTTP/1.'.slice(0, lines.beginning.length))
}
