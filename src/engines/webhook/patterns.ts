/** Types of events, and what endpoints say of them: `order.created` is itself, `order.*` all that begins with it, `*` everything but what the engine says of itself. */
import { ResilError } from '../../errors.ts'
import { visible } from '../../visible.ts'

/** Types of this family are the engine's own words to an endpoint's owner: whoever wants them says so. */
export const OWN_FAMILY = 'resil'

const TYPE = /^[a-zA-Z0-9_]+(\.[a-zA-Z0-9_]+)*$/
const LONGEST = 128
/** Dots in a type: each is one more pattern to look for. */
const DEEPEST = 8

/** Source: Standard Webhooks 1.0.0, event types. */
export function isType(type: string): boolean {
  return type.length <= LONGEST && TYPE.test(type) && type.split('.').length <= DEEPEST
}

/** Throws INVALID_PATTERN. */
export function readPattern(pattern: string): void {
  if (pattern === '*' || isType(pattern.endsWith('.*') ? pattern.slice(0, -2) : pattern)) return
  throw new ResilError('INVALID_PATTERN', `"${visible(pattern.slice(0, LONGEST))}" is no type of event`, 'write order.created, order.*, or * for all')
}

/** The patterns that mean this type. */
export function patternsOf(type: string): string[] {
  const parts = type.split('.')
  const families = parts.slice(0, -1).map((_, i) => `${parts.slice(0, i + 1).join('.')}.*`)
  return [...(parts[0] === OWN_FAMILY ? [] : ['*']), ...families, type]
}
