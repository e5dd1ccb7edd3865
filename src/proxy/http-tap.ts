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

import type { HeaderEdit } from './toxic.ts'

/** Longest head, and longest trailers, that are framed. */
export const MAX_HEAD_BYTES = 64 * 1024
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

/** The value of the first header of that name (in lower case) in a head; undefined when there is none. */
export function headerIn(head: string, name: string): string | undefined {
  for (let from = head.indexOf('\r\n'); from !== -1; ) {
    const start = from + 2
    from = head.indexOf('\r\n', start)
    if (head.charCodeAt(start + name.length) !== COLON || head.slice(start, start + name.length).toLowerCase() !== name) continue
    return head.slice(start + name.length + 1, from === -1 ? undefined : from).trim()
  }
  return undefined
}

/** The bytes of a whole head with one of its headers changed; every other byte as it was. Bytes that are no whole head come back as they are. */
export function editedHead(bytes: Buffer, { name, value }: HeaderEdit): Buffer {
  const text = bytes.toString('latin1')
  const firstEnd = text.indexOf('\r\n')
  if (!text.endsWith('\r\n\r\n') || !BEGINS_HEAD.test(text)) return bytes
  const wanted = name.toLowerCase()
  let done = value === null
  const lines = text.slice(firstEnd + 2, -4).split('\r\n').flatMap((line) => {
    if (line.slice(0, line.indexOf(':')).toLowerCase() !== wanted) return line === '' ? [] : [line]
    if (done) return []
    done = true
    return [`${name}: ${value}`]
  })
  if (!done) lines.push(`${name}: ${value}`)
  return Buffer.from([text.slice(0, firstEnd), ...lines, '', ''].join('\r\n'), 'latin1')
}

export interface Piece {
  readonly bytes: Buffer
  /** Null when opaque. */
  readonly exchange: Exchange | null
  /** An interim answer (1xx) is a message of its own kind, before the head. A body is as on the wire: chunk sizes and trailers are part of it. */
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
  readonly #request: Direction = { side: 'request', place: { at: 'head' }, exchange: null, lines: new LineReader(), held: [] }
  readonly #response: Direction = { side: 'response', place: { at: 'head' }, exchange: null, lines: new LineReader(), held: [] }
  /** Requests whose answers have not ended, in order. */
  readonly #waiting: Exchange[] = []

  /** `number` gives the next exchange its number. */
  constructor(number: () => number) {
    this.#number = number
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
  release(side: Side): Piece[] {
    const direction = side === 'request' ? this.#request : this.#response
    const held = direction.held
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
        pieces.push(piece(bytes.subarray(from), null, 'opaque', false))
        return bytes.length
      case 'untilEnd':
        pieces.push(piece(bytes.subarray(from), direction.exchange, 'body', false))
        return bytes.length
      case 'head':
        return this.#head(direction, bytes, from, pieces)
      case 'body': {
        const to = Math.min(bytes.length, from + place.left)
        place.left -= to - from
        pieces.push(piece(bytes.subarray(from, to), direction.exchange, 'body', place.left === 0))
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
      const end = bytes.indexOf(EMPTY_LINE, from)
      if (end !== -1 && end + EMPTY_LINE.length - from <= MAX_HEAD_BYTES) return this.#wholeHead(direction, bytes, from, end + EMPTY_LINE.length, bytes.toString('latin1', from, end + 2), pieces)
    }
    const before = lines.firstLine === undefined ? lines.length : Number.POSITIVE_INFINITY
    const state = lines.readUntil('emptyLine', bytes, from, MAX_HEAD_BYTES)
    if (state === 'wrong' || !mayBegin(direction.side, lines, before)) return this.#turnOpaque(direction, bytes, from, pieces)
    if (state === 'more') {
      direction.held.push(bytes.subarray(from))
      return bytes.length
    }
    return this.#wholeHead(direction, bytes, from, state, lines.take(), pieces)
  }

  /** A head whose last bytes stand from `from` to `to`; `text` is all of it, without its empty line. */
  #wholeHead(direction: Direction, bytes: Buffer, from: number, to: number, text: string, pieces: Piece[]): number {
    const message = direction.side === 'request' ? this.#requestHead(text) : this.#responseHead(text)
    if (!message) return this.#turnOpaque(direction, bytes, from, pieces)
    const own = bytes.subarray(from, to)
    const whole = direction.held.length === 0 ? own : Buffer.concat([...direction.held, own])
    direction.held = []
    direction.exchange = message.exchange
    direction.place = message.next
    const tunnel = message.next.at === 'opaque'
    const last = tunnel || message.part === 'interim' || (message.next.at === 'body' && message.next.left === 0)
    pieces.push({ bytes: whole, exchange: message.exchange, part: message.part, last, status: message.status, bodyBytes: message.bodyBytes })
    if (last && message.part === 'head') this.#messageEnded(direction)
    if (tunnel) direction.place = { at: 'opaque' }
    return to
  }

  #expectsHead(direction: Direction): boolean {
    if (direction.side === 'response') return this.#waiting.length > 0
    return !this.opaque && this.#waiting.length < MAX_PIPELINED
  }

  #requestHead(text: string): Head | undefined {
    const head = parseHead(text)
    const [, method, path, minor] = REQUEST_LINE.exec(head?.firstLine ?? '') ?? []
    if (!head || !method || !path) return undefined
    const length = bodyLength(head, minor === '1')
    if (length === undefined) return undefined
    const connection = (head.values['connection'] ?? []).join(',').toLowerCase().split(',').map((word) => word.trim())
    const exchange: Exchange = {
      number: this.#number(),
      method,
      path,
      key: head.values['idempotency-key']?.[0] ?? null,
      keepAlive: !connection.includes('close') && (minor === '1' || connection.includes('keep-alive')),
      expects: head.values['expect']?.some((value) => value.toLowerCase() === '100-continue') ?? false,
      head: text,
    }
    this.#waiting.push(exchange)
    if (method === 'CONNECT') return { exchange, part: 'head', next: { at: 'opaque' } }
    return { exchange, part: 'head', next: length === 'chunked' ? { at: 'size' } : { at: 'body', left: length ?? 0 } }
  }

  #responseHead(text: string): Head | undefined {
    const head = parseHead(text)
    const [, minor, digits] = STATUS_LINE.exec(head?.firstLine ?? '') ?? []
    const exchange = this.#waiting[0]
    if (!head || !digits || !exchange) return undefined
    const status = Number(digits)
    const length = bodyLength(head, minor === '1')
    if (length === undefined) return undefined
    if (status === 101 || (exchange.method === 'CONNECT' && status >= 200 && status < 300)) return { exchange, part: 'head', next: { at: 'opaque' }, status }
    if (status < 200) return { exchange, part: 'interim', next: { at: 'head' } }
    if (exchange.method === 'HEAD' || status === 204 || status === 304) return { exchange, part: 'head', next: { at: 'body', left: 0 }, status, bodyBytes: 0 }
    if (length === null) return { exchange, part: 'head', next: { at: 'untilEnd' }, status }
    if (length === 'chunked') return { exchange, part: 'head', next: { at: 'size' }, status }
    return { exchange, part: 'head', next: { at: 'body', left: length }, status, bodyBytes: length }
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
        pieces.push(piece(bytes.subarray(start, end), direction.exchange, 'body', true))
        this.#messageEnded(direction)
        return end
      }
    }
    pieces.push(piece(bytes.subarray(start), direction.exchange, 'body', false))
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
    pieces.push(...this.release(direction.side), piece(bytes.subarray(from), null, 'opaque', false))
    return bytes.length
  }
}

interface Head {
  exchange: Exchange
  part: 'head' | 'interim'
  next: Place
  status?: number
  bodyBytes?: number
}

const CR = 13
const LF = 10
const COLON = 58
const EMPTY_LINE = Buffer.from('\r\n\r\n')
const BEGINS_HEAD = /^(?:HTTP\/1\.[01] |[A-Z][A-Z-]* [^\r\n]+ HTTP\/1\.[01]\r\n)/
const REQUEST_LINE = /^([A-Z][A-Z-]{0,31}) ([!-~\x80-\xff]+) HTTP\/1\.([01])$/
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [\t -~\x80-\xff]*)?$/
/** No other control characters than TAB and the CRLFs. */
const HEADERS = /^(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*\r\n)*$/
const NAMES_THAT_MATTER: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding', 'connection', 'expect', 'idempotency-key'])
/** Their first letters, in lower case, and the lengths between which they are. */
const FIRST_LETTERS: ReadonlySet<number> = new Set(['c', 't', 'e', 'i'].map((letter) => letter.charCodeAt(0)))
const SHORTEST_NAME = 6
const LONGEST_NAME = 17
const CHUNK_SIZE = /^([0-9A-Fa-f]{1,12})(?:;[\t -~\x80-\xff]*)?$/

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

interface ParsedHead {
  firstLine: string
  /** Values of the headers that matter here, by name in lower case, in order. */
  values: Partial<Record<string, string[]>>
}

/** The head without the CRLF of its empty line; undefined when one of its lines is no header. */
function parseHead(text: string): ParsedHead | undefined {
  const end = text.indexOf('\r\n')
  if (!HEADERS.test(text.slice(end + 2))) return undefined
  const values: ParsedHead['values'] = {}
  for (let start = end + 2; start < text.length; ) {
    const lineEnd = text.indexOf('\r\n', start)
    if (FIRST_LETTERS.has(text.charCodeAt(start) | 32)) {
      const colon = text.indexOf(':', start)
      if (colon - start >= SHORTEST_NAME && colon - start <= LONGEST_NAME) {
        const name = text.slice(start, colon).toLowerCase()
        if (NAMES_THAT_MATTER.has(name)) (values[name] ??= []).push(withoutBlanks(text, colon + 1, lineEnd))
      }
    }
    start = lineEnd + 2
  }
  return { firstLine: text.slice(0, end), values }
}

/** By hand: a regular expression would take the square of the length, and trim() takes more than SP and TAB away. */
function withoutBlanks(text: string, from: number, to: number): string {
  const blank = (at: number) => text.charCodeAt(at) === 32 || text.charCodeAt(at) === 9
  while (from < to && blank(from)) from++
  while (to > from && blank(to - 1)) to--
  return text.slice(from, to)
}

/** How long the body is: null when nothing says it, undefined when there is doubt. */
function bodyLength(head: ParsedHead, chunksKnown: boolean): number | 'chunked' | null | undefined {
  const codings = head.values['transfer-encoding'] ?? []
  const lengths = head.values['content-length'] ?? []
  if (codings.length > 0) return chunksKnown && lengths.length === 0 && codings.length === 1 && codings[0]!.toLowerCase() === 'chunked' ? 'chunked' : undefined
  if (lengths.length === 0) return null
  return lengths.length === 1 && /^\d{1,15}$/.test(lengths[0]!) ? Number(lengths[0]) : undefined
}
