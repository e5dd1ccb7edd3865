// A process that makes many of one thing and says what each costs, for policies.js. Started with --expose-gc: node bench/policies-memory.js WHAT CALLS
import * as cockatiel from 'cockatiel'
import CircuitBreaker from 'opossum'
import { breaker, breakers } from '../dist/engines/policies/library.js'

const [what, callsText] = process.argv.slice(2)
const calls = Number(callsText)
const registry = breakers({ most: 1_000_000 })
const make = {
  'ours, window of 30 s': () => breaker(),
  'ours, window of 512 calls': () => breaker({ window: { calls: 512 } }),
  'ours, of a registry': (n) => registry.of(String(n)),
  opossum: () => new CircuitBreaker(async () => 1, { timeout: false, errorThresholdPercentage: 100, rollingPercentilesEnabled: false, enableSnapshots: false }),
  'cockatiel, sampling': () => cockatiel.circuitBreaker(cockatiel.handleAll, { halfOpenAfter: 5000, breaker: new cockatiel.SamplingBreaker({ threshold: 0.99, duration: 10_000, minimumRps: 1e9 }) }),
}[what]
const one = {
  ours: (made) => made.enter()?.end('ok', 1),
  opos: (made) => made.fire(),
  cock: (made) => made.execute(async () => 1),
}[what.slice(0, 4)]

const COUNT = calls <= 1000 ? 2000 : what.startsWith('ours') ? 1000 : 10
/** A promise is awaited only where there is one. */
async function feed(made, times) {
  for (let n = 0; n < times; n++) {
    const answer = one(made)
    if (answer) await answer
  }
}

const held = []
const bytes = () => {
  for (let n = 0; n < 4; n++) gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
const first = make(-1) // what is made once for all
await feed(first, Math.max(calls, 10_000))
const before = bytes()
for (let n = 0; n < COUNT; n++) held.push(make(n))
for (const made of held) await feed(made, calls)
process.stdout.write(String((bytes() - before) / COUNT))
for (const made of [first, ...held]) made.shutdown?.()
process.exitCode = held.length === COUNT ? 0 : 1 // they were needed to the end
