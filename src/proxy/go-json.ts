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
  const start = /^[ \t\r\n]*/.exec(text)![0].length
  if (start === text.length) throw new BadJson('EOF')
  const end = endOfValue(text, start)
  try {
    return JSON.parse(text.slice(start, end))
  } catch {
    throw new BadJson(complaint(text, start, end))
  }
}

/** Where the value ends as far as brackets and quotes tell. Throws BadJson for one that never ends, or nests too deep. */
function endOfValue(text: string, start: number): number {
  let depth = 0
  for (let at = start; at < text.length; at++) {
    const sign = text[at]!
    if (sign === '"') {
      at = endOfString(text, at)
      if (at === -1) throw new BadJson('unexpected EOF')
    } else if (sign === '{' || sign === '[') {
      if (++depth > MAX_DEPTH) throw new BadJson('exceeded max depth')
      continue
    } else if (sign === '}' || sign === ']') {
      depth--
    } else if (depth === 0) {
      let end = at
      while (end < text.length && !/[\s,:[\]{}"]/.test(text[end]!)) end++
      return Math.max(end, at + 1)
    } else continue
    if (depth <= 0) return at + 1
  }
  throw new BadJson('unexpected EOF')
}

function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === '"') return at
  }
  return -1
}

function complaint(text: string, start: number, end: number): string {
  const first = text[start]!
  if (!/["{[\-0-9tfn]/.test(first)) return `invalid character ${quoted(first)} looking for beginning of value`
  const inner = /[{,]\s*([^"\s}])/.exec(text.slice(start, end))
  if (first === '{' && inner) return `invalid character ${quoted(inner[1]!)} looking for beginning of object key string`
  return `invalid character ${quoted(text[end - 1] ?? first)} in value`
}

const quoted = (sign: string) => (sign === "'" ? `'\\''` : `'${sign}'`)

export type Kind = 'string' | 'bool' | 'float64' | 'int64' | 'object' | 'array'

/** A field by its name without case, the last of them when there are several; undefined when it is absent or null. Throws BadJson for another kind. */
export function field(object: Record<string, unknown>, name: string, kind: Kind, of: string): unknown {
  let value: unknown
  for (const [key, each] of Object.entries(object)) if (key.toLowerCase() === name) value = each
  if (value === undefined || value === null) return undefined
  if (!isOf(value, kind)) throw new BadJson(`json: cannot unmarshal ${said(value)} into Go struct field ${of}.${name} of type ${kind}`)
  return value
}

/** The value as an object; null stands for an empty one. */
export function object(value: unknown, of: string): Record<string, unknown> {
  if (value === null) return {}
  if (!isOf(value, 'object')) throw new BadJson(`json: cannot unmarshal ${said(value)} into Go value of type ${of}`)
  return value as Record<string, unknown>
}

export function array(value: unknown, of: string): unknown[] {
  if (value === null) return []
  if (!Array.isArray(value)) throw new BadJson(`json: cannot unmarshal ${said(value)} into Go value of type []${of}`)
  return value
}

export function isOf(value: unknown, kind: Kind): boolean {
  switch (kind) {
    case 'string':
      return typeof value === 'string'
    case 'bool':
      return typeof value === 'boolean'
    case 'float64':
      return typeof value === 'number'
    case 'int64':
      return Number.isSafeInteger(value)
    case 'array':
      return Array.isArray(value)
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value)
  }
}

export function said(value: unknown): string {
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'number') return Number.isInteger(value) ? 'number' : `number ${value}`
  return typeof value === 'boolean' ? 'bool' : typeof value
}

/** As Go's Marshal writes it: in one line, with `<`, `>` and `&` escaped. */
export function marshal(value: unknown): string {
  return JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
