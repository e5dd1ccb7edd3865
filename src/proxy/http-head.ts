/**
 * Heads of HTTP/1.x messages, read from their bytes in one pass: each head on a busy connection is read here, so nothing becomes text that
 * nobody asks for. Strict: what RFC 9110 and 9112 do not allow without exception is no head.
 */
import type { HeaderEdit } from './toxic.ts'

/** Longest head, and longest trailers, that are framed. */
export const MAX_HEAD_BYTES = 64 * 1024

/** What a head says to whoever frames the message. */
export interface Head {
  /** Where it starts in the bytes that it was read from, and where it ends, behind its empty line. */
  readonly from: number
  readonly end: number
  /** Of a request: where its method ends, and its target. Of a response: 0. */
  readonly methodEnd: number
  readonly pathEnd: number
  /** Of a response: 100 to 999; of a request: 0. */
  readonly status: number
  /** The minor version, 0 or 1. */
  readonly minor: number
  /** The body's length in bytes, 'chunked', null when nothing says it, or undefined when there is doubt. */
  readonly length: number | 'chunked' | null | undefined
  /** What Connection says. */
  readonly close: boolean
  readonly keepAlive: boolean
  /** Expect: 100-continue. */
  readonly expects: boolean
  /** The value of the first Idempotency-Key; keyFrom is 0 when there is none. */
  readonly keyFrom: number
  readonly keyEnd: number
}

/** What may stand where, by byte. */
const TOKEN = 1
const TEXT = 2
const TARGET = 4
const METHOD = 8
const ALLOWED = Uint8Array.from({ length: 256 }, (_, byte) => {
  const visible = (byte > 32 && byte < 127) || byte > 127
  const sign = String.fromCharCode(byte)
  return (/[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(sign) ? TOKEN : 0) | (visible || byte === 9 || byte === 32 ? TEXT : 0) | (visible ? TARGET : 0) | (/[A-Z-]/.test(sign) ? METHOD : 0)
})
const TAB = 9
const LF = 10
const CR = 13
const SP = 32
const COMMA = 44
const COLON = 58
const ZERO = 48
const NINE = 57

const VERSION = Buffer.from('HTTP/1.')
const MAX_METHOD = 32
const MAX_DIGITS = 15

const lower = (text: string) => Buffer.from(text)
const EXPECT = lower('expect')
const CONNECTION = lower('connection')
const CONTENT_LENGTH = lower('content-length')
const IDEMPOTENCY_KEY = lower('idempotency-key')
const TRANSFER_ENCODING = lower('transfer-encoding')
const CHUNKED = lower('chunked')
const CLOSE = lower('close')
const KEEP_ALIVE = lower('keep-alive')
const CONTINUE = lower('100-continue')

/** The head that starts at `from`; undefined when it is not whole, is longer than MAX_HEAD_BYTES, or is none. */
export function readHead(side: 'request' | 'response', bytes: Buffer, from: number): Head | undefined {
  const limit = Math.min(bytes.length, from + MAX_HEAD_BYTES)
  let at = from
  let methodEnd = 0
  let pathEnd = 0
  let status = 0
  let minor: number
  if (side === 'request') {
    while (at < limit && (ALLOWED[bytes[at]!]! & METHOD) !== 0) at++
    methodEnd = at
    if (methodEnd === from || methodEnd - from > MAX_METHOD || bytes[from] === 45 || bytes[at++] !== SP) return undefined
    while (at < limit && (ALLOWED[bytes[at]!]! & TARGET) !== 0) at++
    pathEnd = at
    if (pathEnd === methodEnd + 1 || bytes[at++] !== SP || !startsWith(bytes, at, VERSION)) return undefined
    at += VERSION.length
    minor = bytes[at++]! - ZERO
  } else {
    if (!startsWith(bytes, at, VERSION)) return undefined
    at += VERSION.length
    minor = bytes[at++]! - ZERO
    if (bytes[at++] !== SP) return undefined
    for (let n = 0; n < 3; n++) {
      const digit = bytes[at++]! - ZERO
      if (!(digit >= 0 && digit <= 9)) return undefined
      status = status * 10 + digit
    }
    if (status < 100) return undefined
    if (bytes[at] === SP) while (at < limit && (ALLOWED[bytes[at]!]! & TEXT) !== 0) at++
  }
  if ((minor !== 0 && minor !== 1) || bytes[at++] !== CR || bytes[at++] !== LF) return undefined

  let lengths = 0
  let length: number | undefined
  let codings = 0
  let chunked = false
  let close = false
  let keepAlive = false
  let expects = false
  let keyFrom = 0
  let keyEnd = 0
  while (bytes[at] !== CR) {
    const nameFrom = at
    while (at < limit && (ALLOWED[bytes[at]!]! & TOKEN) !== 0) at++
    const nameEnd = at
    if (nameEnd === nameFrom || bytes[at++] !== COLON) return undefined
    let valueFrom = at
    while (at < limit && (ALLOWED[bytes[at]!]! & TEXT) !== 0) at++
    let valueEnd = at
    if (bytes[at++] !== CR || bytes[at++] !== LF || at > limit) return undefined
    const matters = nameThatMatters(bytes, nameFrom, nameEnd)
    if (!matters) continue
    while (valueFrom < valueEnd && isBlank(bytes[valueFrom]!)) valueFrom++
    while (valueEnd > valueFrom && isBlank(bytes[valueEnd - 1]!)) valueEnd--
    if (matters === CONTENT_LENGTH) {
      lengths++
      length = digits(bytes, valueFrom, valueEnd)
    } else if (matters === TRANSFER_ENCODING) {
      codings++
      chunked = isWord(bytes, valueFrom, valueEnd, CHUNKED)
    } else if (matters === CONNECTION) {
      close ||= hasWord(bytes, valueFrom, valueEnd, CLOSE)
      keepAlive ||= hasWord(bytes, valueFrom, valueEnd, KEEP_ALIVE)
    } else if (matters === EXPECT) {
      expects ||= isWord(bytes, valueFrom, valueEnd, CONTINUE)
    } else if (keyFrom === 0) {
      keyFrom = valueFrom
      keyEnd = valueEnd
    }
  }
  if (bytes[at + 1] !== LF || at + 2 > limit) return undefined
  const told = codings > 0 ? (codings === 1 && chunked && lengths === 0 && minor === 1 ? 'chunked' : undefined) : lengths === 0 ? null : lengths === 1 ? length : undefined
  return { from, end: at + 2, methodEnd, pathEnd, status, minor, length: told, close, keepAlive, expects, keyFrom, keyEnd }
}

/** By their lengths: most headers are told apart by those. */
function nameThatMatters(bytes: Buffer, from: number, end: number): Buffer | undefined {
  const name = NAMES[end - from]
  return name && isWord(bytes, from, end, name) ? name : undefined
}

const NAMES: readonly (Buffer | undefined)[] = Array.from({ length: TRANSFER_ENCODING.length + 1 }, (_, length) => [EXPECT, CONNECTION, CONTENT_LENGTH, IDEMPOTENCY_KEY, TRANSFER_ENCODING].find((name) => name.length === length))

const isBlank = (byte: number) => byte === SP || byte === TAB

function startsWith(bytes: Buffer, at: number, what: Buffer): boolean {
  for (let i = 0; i < what.length; i++) if (bytes[at + i] !== what[i]) return false
  return true
}

/** Whether that is the word, which has lower-case letters, digits and hyphens; in either case. */
function isWord(bytes: Buffer, from: number, end: number, word: Buffer): boolean {
  if (end - from !== word.length) return false
  for (let i = 0; i < word.length; i++) if ((bytes[from + i]! | 32) !== word[i]) return false
  return true
}

/** Whether the word is in a list with commas. */
function hasWord(bytes: Buffer, from: number, end: number, word: Buffer): boolean {
  for (let start = from; start <= end; ) {
    let stop = start
    while (stop < end && bytes[stop] !== COMMA) stop++
    let first = start
    let last = stop
    while (first < last && isBlank(bytes[first]!)) first++
    while (last > first && isBlank(bytes[last - 1]!)) last--
    if (isWord(bytes, first, last, word)) return true
    start = stop + 1
  }
  return false
}

/** A whole number of at most MAX_DIGITS digits; undefined when it is none. */
function digits(bytes: Buffer, from: number, end: number): number | undefined {
  if (end === from || end - from > MAX_DIGITS) return undefined
  let value = 0
  for (let at = from; at < end; at++) {
    const byte = bytes[at]!
    if (byte < ZERO || byte > NINE) return undefined
    value = value * 10 + byte - ZERO
  }
  return value
}

const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS'].map((name) => ({ name, word: Buffer.from(name) }))

/** A request's method: the usual ones need not be made anew. */
export function methodIn(bytes: Buffer, { from, methodEnd }: Head): string {
  for (const { name, word } of METHODS) if (methodEnd - from === word.length && startsWith(bytes, from, word)) return name
  return bytes.toString('latin1', from, methodEnd)
}

/** The value of the first header of that name (in lower case) in a head as text, without its empty line; undefined when there is none. */
export function headerIn(head: string, name: string): string | undefined {
  for (let from = head.indexOf('\r\n'); from !== -1; ) {
    const start = from + 2
    from = head.indexOf('\r\n', start)
    if (head.charCodeAt(start + name.length) !== COLON || head.slice(start, start + name.length).toLowerCase() !== name) continue
    return head.slice(start + name.length + 1, from === -1 ? undefined : from).trim()
  }
  return undefined
}

const BEGINS_HEAD = /^(?:HTTP\/1\.[01] |[A-Z][A-Z-]* [^\r\n]+ HTTP\/1\.[01]\r\n)/

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
