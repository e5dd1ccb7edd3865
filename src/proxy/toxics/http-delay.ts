/** A message is late: the request before it reaches the service, the answer before its first byte, or its body behind the head. */
import type { Draw, Toxic } from '../toxic.ts'

/** The long tail is cut off there: so many times the usual. */
const LONGEST_TAIL = 100

export const toxic: Toxic<{ ms: number; where: string; distribution: string; spread: number }> = {
  name: 'http_delay',
  summary: 'delays requests or answers',
  stream: 'upstream',
  attributes: {
    ms: { type: 'integer', unit: 'ms', default: 0, min: 0, summary: 'how late: the mean (fixed, uniform, normal), the median (lognormal), the least (longtail)' },
    where: { type: 'string', unit: '', default: 'first_byte', choices: ['forward', 'first_byte', 'body'], summary: 'before the request is forwarded, before the first byte of the answer, or before that of its body' },
    distribution: { type: 'string', unit: '', default: 'fixed', choices: ['fixed', 'uniform', 'normal', 'lognormal', 'longtail'], summary: 'how the delays are spread' },
    spread: { type: 'integer', unit: 'ms', default: 0, min: 0, summary: 'uniform: up to this more or less; normal: the standard deviation; lognormal: what is added one deviation up; longtail: not used' },
  },
  place: ({ where }) => (where === 'forward' ? 'request' : 'response'),
  onRequest: ({ ms, distribution, spread }, draw) => held(delay(ms, distribution, spread, draw), (late) => ({ do: 'hold', ms: late })),
  onResponse: ({ ms, where, distribution, spread }, draw) => held(delay(ms, distribution, spread, draw), (late) => ({ do: 'hold', ms: late, body: where === 'body' })),
}

const held = <A>(ms: number, action: (ms: number) => A): A | undefined => (ms > 0 ? action(ms) : undefined)

function delay(ms: number, distribution: string, spread: number, draw: Draw): number {
  switch (distribution) {
    case 'uniform':
      return ms + spread * (2 * draw() - 1)
    case 'normal':
      return ms + spread * normal(draw)
    case 'lognormal':
      return ms * Math.exp(Math.log(1 + spread / Math.max(1, ms)) * normal(draw))
    case 'longtail': // Pareto with exponent 2: half within 1.4 times the least, one in a hundred beyond 10 times
      return ms * Math.min(LONGEST_TAIL, 1 / Math.sqrt(1 - draw()))
    default:
      return ms
  }
}

/** Box and Muller's. */
function normal(draw: Draw): number {
  const radius = Math.sqrt(-2 * Math.log(1 - draw()))
  return radius * Math.cos(2 * Math.PI * draw())
}
