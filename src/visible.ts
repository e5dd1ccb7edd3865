/** What others gave us, made harmless before it reaches a terminal or a report. */

/** C0 and C1 controls, line and paragraph separators, and the marks that turn the direction of writing: a terminal obeys them, so they are shown instead. */
// oxlint-disable-next-line no-control-regex -- they are what is looked for
const OBEYED = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

const SHORT: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\u001b': '\\e' }

/** `text` on one line, with nothing in it that a terminal would obey. */
export function visible(text: string): string {
  return text.replace(OBEYED, (mark) => SHORT[mark] ?? (mark < '\u0100' ? `\\x${mark.charCodeAt(0).toString(16).padStart(2, '0')}` : `\\u${mark.charCodeAt(0).toString(16)}`))
}

/** Longest text of an event that is kept for showing; the rest is told by an ellipsis. */
const LONGEST_TEXT = 2000
/** How deep an event's fields are followed: findings hold violations hold witnesses. */
const DEEPEST = 6

// oxlint-disable-next-line no-control-regex -- they are what is looked for
const ONE_OBEYED = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/

/** `value` itself when every text in it, names of fields included, is visible and of bounded length; else a copy of which that is true. */
export function visibleCopy<T>(value: T): T {
  return isFine(value, 0) ? value : (copy(value, 0) as T)
}

function isFine(value: unknown, depth: number): boolean {
  if (typeof value === 'string') return value.length <= LONGEST_TEXT && !ONE_OBEYED.test(value)
  if (typeof value !== 'object' || value === null) return true
  if (depth >= DEEPEST) return false
  for (const name in value) if (ONE_OBEYED.test(name) || !isFine((value as Record<string, unknown>)[name], depth + 1)) return false
  return true
}

function copy(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return visible(value.length > LONGEST_TEXT ? `${value.slice(0, LONGEST_TEXT)}…` : value)
  if (typeof value !== 'object' || value === null) return value
  if (depth >= DEEPEST) return '…'
  if (Array.isArray(value)) return value.map((item) => copy(item, depth + 1))
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [visible(name), copy(item, depth + 1)]))
}
