/**
 * JSON as Toxiproxy's server reads and writes it (Go's encoding/json), where its clients can tell: the first value of a body counts and what
 * follows is ignored, names of fields are compared without case, null stands for nothing, and the complaints have Go's words.
 */

/** Deepest nesting that is read. */
const MAX_DEPTH = 64

/** A body that cannot be read; the message is Go's. */
export class BadJson extends Error {}

/** The first JSON value of the text. Throws BadJson. */
export function firstValue(text: string): unknown {
  const start = afterBlanks(text, 0)
  if (start === text.length) throw new BadJson('EOF')
  return JSON.parse(text.slice(start, afterValue(text, start, 0)))
}

const BLANKS = /[ \t\r\n]*/y

function afterBlanks(text: string, at: number): number {
  BLANKS.lastIndex = at
  BLANKS.test(text)
  return BLANKS.lastIndex
}

/** The complaint of Go's scanner about the sign at a place, which is the end of the text or not what may stand there. */
function unexpected(text: string, at: number, where: string): BadJson {
  if (at >= text.length) return new BadJson('unexpected EOF')
  // Go reads bytes, and speaks of the first one of a sign.
  const byte = String.fromCharCode(Buffer.from(text.slice(at, at + 2))[0]!)
  const quoted = byte === "'" ? "\\'" : byte === '"' ? '"' : (ESCAPES[byte] ?? (byte < ' ' || byte === '\x7f' ? `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}` : byte))
  return new BadJson(`invalid character '${quoted}' ${where}`)
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\x07': '\\a', '\b': '\\b', '\f': '\\f', '\n': '\\n', '\r': '\\r', '\t': '\\t', '\v': '\\v' }

/** Where the value that begins at a place ends. */
function afterValue(text: string, at: number, depth: number): number {
  const first = text[at]
  if (first === '{' || first === '[') {
    if (depth === MAX_DEPTH) throw new BadJson('exceeded max depth')
    return first === '{' ? afterObject(text, at, depth + 1) : afterArray(text, at, depth + 1)
  }
  if (first === '"') return afterString(text, at)
  if (first === 't') return afterLiteral(text, at, 'true')
  if (first === 'f') return afterLiteral(text, at, 'false')
  if (first === 'n') return afterLiteral(text, at, 'null')
  if (first === '-' || isDigit(first)) return afterNumber(text, at)
  throw unexpected(text, at, 'looking for beginning of value')
}

function afterObject(text: string, start: number, depth: number): number {
  let at = afterBlanks(text, start + 1)
  if (text[at] === '}') return at + 1
  for (;;) {
    if (text[at] !== '"') throw unexpected(text, at, 'looking for beginning of object key string')
    at = afterBlanks(text, afterString(text, at))
    if (text[at] !== ':') throw unexpected(text, at, 'after object key')
    at = afterBlanks(text, afterValue(text, afterBlanks(text, at + 1), depth))
    if (text[at] === '}') return at + 1
    if (text[at] !== ',') throw unexpected(text, at, 'after object key:value pair')
    at = afterBlanks(text, at + 1)
  }
}

function afterArray(text: string, start: number, depth: number): number {
  let at = afterBlanks(text, start + 1)
  if (text[at] === ']') return at + 1
  for (;;) {
    at = afterBlanks(text, afterValue(text, at, depth))
    if (text[at] === ']') return at + 1
    if (text[at] !== ',') throw unexpected(text, at, 'after array element')
    at = afterBlanks(text, at + 1)
  }
}

function afterString(text: string, start: number): number {
  for (let at = start + 1; ; at++) {
    const sign = text[at]
    if (sign === '"') return at + 1
    if (sign === undefined || sign < ' ') throw unexpected(text, at, 'in string literal')
    if (sign !== '\\') continue
    at++
    if (text[at] === 'u') {
      for (let digits = 0; digits < 4; digits++) if (!/[0-9a-fA-F]/.test(text[++at] ?? '')) throw unexpected(text, at, 'in \\u hexadecimal character escape')
    } else if (!/["\\/bfnrt]/.test(text[at] ?? '')) throw unexpected(text, at, 'in string escape code')
  }
}

function afterLiteral(text: string, start: number, word: string): number {
  for (let n = 1; n < word.length; n++) if (text[start + n] !== word[n]) throw unexpected(text, start + n, `in literal ${word} (expecting '${word[n]}')`)
  return start + word.length
}

const isDigit = (sign: string | undefined) => sign !== undefined && sign >= '0' && sign <= '9'

function afterNumber(text: string, start: number): number {
  const digits = (from: number, where: string) => {
    if (!isDigit(text[from])) throw unexpected(text, from, where)
    let at = from + 1
    while (isDigit(text[at])) at++
    return at
  }
  const first = text[start] === '-' ? start + 1 : start
  let at = text[first] === '0' ? first + 1 : digits(first, 'in numeric literal')
  if (text[at] === '.') at = digits(at + 1, 'after decimal point in numeric literal')
  if (text[at] !== 'e' && text[at] !== 'E') return at
  const signed = text[at + 1] === '+' || text[at + 1] === '-'
  return digits(at + (signed ? 2 : 1), 'in exponent of numeric literal')
}

/** What is asked for, in Go's words; `object` for a struct. */
export type Kind = 'string' | 'bool' | 'float32' | 'float64' | 'int' | 'int64' | 'object' | 'array'

/**
 * A field by its name without case, the last of them when there are several; undefined when it is absent or null. Throws BadJson for another
 * kind: `of` is the struct that it is in, `type` what Go calls the kind when it has a name of its own for it.
 */
export function field(object: Record<string, unknown>, name: string, kind: Kind, of: string, type: string = kind): unknown {
  let value: unknown
  for (const [key, each] of Object.entries(object)) if (key.toLowerCase() === name) value = each
  if (value === undefined || value === null) return undefined
  if (!isOf(value, kind)) throw wrongKind(value, kind, `struct field ${of}.${name}`, type)
  return value
}

/** `where`: `struct field Proxy.name`, or `value`. */
export function wrongKind(value: unknown, kind: Kind, where: string, type: string = kind): BadJson {
  const said = Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value
  const number = typeof value === 'number' && isNumber(kind) ? ` ${value}` : ''
  return new BadJson(`json: cannot unmarshal ${said}${number} into Go ${where} of type ${type}`)
}

/** The value as an object; null stands for an empty one. */
export function object(value: unknown, of: string): Record<string, unknown> {
  if (value === null) return {}
  if (!isOf(value, 'object')) throw wrongKind(value, 'object', 'value', of)
  return value as Record<string, unknown>
}

export function array(value: unknown, of: string): unknown[] {
  if (value === null) return []
  if (!Array.isArray(value)) throw wrongKind(value, 'array', 'value', `[]${of}`)
  return value
}

const isNumber = (kind: Kind) => kind === 'float32' || kind === 'float64' || kind === 'int' || kind === 'int64'

export function isOf(value: unknown, kind: Kind): boolean {
  switch (kind) {
    case 'string':
      return typeof value === 'string'
    case 'bool':
      return typeof value === 'boolean'
    case 'float32':
    case 'float64':
      return Number.isFinite(value) // 1e999 is infinite here, and too large there
    case 'int':
    case 'int64':
      return Number.isSafeInteger(value)
    case 'array':
      return Array.isArray(value)
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value)
  }
}

/** As Go's Marshal writes it: in one line, with `<`, `>` and `&` escaped. */
export function marshal(value: unknown): string {
  return JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
