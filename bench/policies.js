// What the policies cost: CPU a call above a bare await, beside opossum and cockatiel; memory of a breaker; a failed call with much and little in the
// window. Interleaved rounds, medians, each measured thing twice where it is the control. Prints one JSON line of figures last.
//   node bench/policies.js [--quick]
//
// Peers with the settings that their documents recommend for speed:
//   cockatiel  `wrap(retry, breaker, timeout, bulkhead)`, the order of its readme; as it comes, and with `abortOnReturn: false`, which its readme ("timeout")
//              offers where the signal is not needed after the call
//   opossum    `rollingPercentilesEnabled: false` and `enableSnapshots: false` (its options: "disable this as an optimization"), timeout as it is needed;
//              as it comes only where a failed call is measured as well
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import * as cockatiel from 'cockatiel'
import CircuitBreaker from 'opossum'
import { SystemClock } from '../dist/clock.js'
import { breaker, bulkhead, policy, retryBudget } from '../dist/engines/policies/library.js'

const quick = process.argv.includes('--quick')
const ROUNDS = quick ? 9 : 31
const CALLS = quick ? 5000 : 10_000
const clock = new SystemClock()
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]
const round = (value, digits = 0) => Number(value.toFixed(digits))
const floors = []
/** `least`: it must be at least that much. */
const floor = (name, value, most, goal, least = false) => floors.push({ name, value: round(value, 2), [least ? 'least' : 'most']: most, goal, met: least ? value >= most : value <= most })

// ── CPU a call ──

const work = async () => 1
const cpuNs = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) * 1000
}
const four = (timer) => policy({ deadlineMs: 5000, timer, breaker: breaker(), bulkhead: bulkhead({ limit: 100 }), budget: retryBudget(), retry: { attempts: 3 } })
const wrap = (abortOnReturn) => cockatiel.wrap(
  cockatiel.retry(cockatiel.handleAll, { maxAttempts: 2, backoff: new cockatiel.ExponentialBackoff() }),
  cockatiel.circuitBreaker(cockatiel.handleAll, { halfOpenAfter: 5000, breaker: new cockatiel.SamplingBreaker({ threshold: 0.9, duration: 30_000 }) }),
  cockatiel.timeout(5000, { strategy: cockatiel.TimeoutStrategy.Aggressive, abortOnReturn }),
  cockatiel.bulkhead(100),
)
const alone = (timeout) => new CircuitBreaker(work, { timeout, rollingPercentilesEnabled: false, enableSnapshots: false, volumeThreshold: 20 })

const ours = four(false)
const oursAgain = four(false)
const timed = four(true)
const found = policy({ deadlineMs: 5000, timer: false, breaker: breaker(), bulkhead: bulkhead(), budget: retryBudget(), retry: { attempts: 3 } })
const shut = breaker()
shut.forceOpen()
const rejecting = policy({ breaker: shut })
const [peer, peerSpared] = [wrap(true), wrap(false)]
const [opossum, opossumTimed] = [alone(false), alone(5000)]
const opossumShut = alone(false)
opossumShut.open()
const cockatielShut = cockatiel.circuitBreaker(cockatiel.handleAll, { halfOpenAfter: 1e9, breaker: new cockatiel.ConsecutiveBreaker(1) })
cockatielShut.isolate()
const nothing = () => {}

const ways = {
  bare: () => work(),
  'bare again': () => work(),
  'ours, four policies, no timer': () => ours.run(work),
  'ours again': () => oursAgain.run(work),
  'ours, limit found by Little': () => found.run(work),
  'ours, four policies, a timer': () => timed.run(work),
  'cockatiel, wrap of four': () => peer.execute(work),
  'cockatiel, abortOnReturn: false': () => peerSpared.execute(work),
  'opossum alone, no timeout': () => opossum.fire(),
  'opossum alone, a timeout': () => opossumTimed.fire(),
  'rejected: ours, a value': () => rejecting.outcome(work),
  'rejected: ours, thrown': () => rejecting.run(work).catch(nothing),
  'rejected: opossum': () => opossumShut.fire().catch(nothing),
  'rejected: cockatiel': () => cockatielShut.execute(work).catch(nothing),
}
const rounds = Object.fromEntries(Object.keys(ways).map((name) => [name, []]))
for (let n = -3; n < ROUNDS; n++) {
  for (const [name, call] of Object.entries(ways)) {
    const calls = /cockatiel|opossum/.test(name) ? CALLS / 5 : CALLS
    const from = cpuNs()
    for (let i = 0; i < calls; i++) await call()
    if (n >= 0) rounds[name].push((cpuNs() - from) / calls)
  }
}
for (const one of [opossum, opossumTimed, opossumShut]) one.shutdown()
const ns = Object.fromEntries(Object.entries(rounds).map(([name, values]) => [name, round(median(values))]))
const above = (name) => ns[name] - ns.bare
console.log(`CPU ns a call, median of ${ROUNDS} interleaved rounds`)
for (const [name, value] of Object.entries(ns)) console.log(`  ${name.padEnd(34)} ${String(value).padStart(6)}   above bare ${above(name)}`)
floor('four policies without a timer, ns above bare', above('ours, four policies, no timer'), 500, 250)
floor('four policies with a timer, ns above bare', above('ours, four policies, a timer'), 1000, 800)
floor('cockatiel’s wrap of the same four, times ours without a timer', above('cockatiel, wrap of four') / above('ours, four policies, no timer'), 15, 60, true)
floor('the same with a timer', above('cockatiel, wrap of four') / above('ours, four policies, a timer'), 15, undefined, true)
floor('cockatiel with abortOnReturn: false, times ours with a timer', above('cockatiel, abortOnReturn: false') / above('ours, four policies, a timer'), 15, undefined, true)
floor('our four without a timer, of opossum alone without', above('ours, four policies, no timer') / above('opossum alone, no timeout'), 1)
floor('our four with a timer, of opossum alone with', above('ours, four policies, a timer') / above('opossum alone, a timeout'), 1)
floor('control: ours again, of ours', Math.abs(above('ours again') / above('ours, four policies, no timer') - 1), 0.15)

// ── memory ──

const memory = {}
for (const [what, counts] of Object.entries({ 'ours, window of 30 s': [0, 1000, 100_000], 'ours, window of 512 calls': [0, 1000, 100_000], 'ours, of a registry': [0, 1000, 100_000], opossum: [0, 1000, 100_000], 'cockatiel, sampling': [0, 1000, 100_000] })) {
  const at = (calls) => round(Number(execFileSync(process.execPath, ['--expose-gc', fileURLToPath(new URL('policies-memory.js', import.meta.url)), what, String(calls)])))
  memory[what] = Object.fromEntries((quick ? counts.slice(0, 2) : counts).map((calls) => [calls, at(calls)]))
  console.log(`bytes a breaker: ${what.padEnd(26)} ${Object.entries(memory[what]).map(([calls, bytes]) => `${bytes} after ${calls} calls`).join(', ')}`)
  if (what.startsWith('ours')) floor(`bytes of a breaker, ${what}, the most`, Math.max(...Object.values(memory[what])), 1024)
}

// ── a failed call with much in the window ──

/** ns of wall time a failed call, with so many calls in a window of ten minutes. */
async function failedCall(make, fail, succeed, held, times) {
  const made = make()
  for (let n = 0; n < held; n++) await succeed(made)
  const from = clock.monotonic()
  for (let n = 0; n < times; n++) await fail(made)
  const each = ((clock.monotonic() - from) * 1e6) / times
  made.shutdown?.()
  return each
}
const no = new Error('no')
const peers = {
  ours: [() => breaker({ window: { ms: 600_000 }, failureRate: 1 }), (made) => made.enter()?.end('failure', 1), (made) => made.enter()?.end('ok', 1), 20_000],
  opossum: [() => new CircuitBreaker((fails) => (fails ? Promise.reject(no) : work()), { timeout: false, errorThresholdPercentage: 100, rollingCountTimeout: 600_000, rollingPercentilesEnabled: false, enableSnapshots: false }), (made) => made.fire(true).catch(nothing), (made) => made.fire(false), 10],
  'opossum, as it comes': [() => new CircuitBreaker((fails) => (fails ? Promise.reject(no) : work()), { timeout: false, errorThresholdPercentage: 100, rollingCountTimeout: 600_000 }), (made) => made.fire(true).catch(nothing), (made) => made.fire(false), 10],
  cockatiel: [() => cockatiel.circuitBreaker(cockatiel.handleAll, { halfOpenAfter: 5000, breaker: new cockatiel.SamplingBreaker({ threshold: 0.99, duration: 600_000, minimumRps: 1e6 }) }), (made) => made.execute(() => Promise.reject(no)).catch(nothing), (made) => made.execute(work), 2000],
}
const failure = {}
for (const [name, [make, fail, succeed, times]] of Object.entries(peers)) {
  const few = []
  const many = []
  for (let n = -1; n < (quick ? 3 : 7); n++) {
    const [one, other] = [await failedCall(make, fail, succeed, 100, times), await failedCall(make, fail, succeed, quick ? 20_000 : 100_000, times)]
    if (n < 0) continue // until the compiler has seen enough
    few.push(one)
    many.push(other)
  }
  failure[name] = { few: round(median(few)), many: round(median(many)) }
  console.log(`a failed call, ns: ${name.padEnd(20)} ${failure[name].few} with 100 calls in the window, ${failure[name].many} with ${quick ? 20_000 : 100_000}`)
}
floor('a failed call with 100,000 calls in the window, of one with 100', failure.ours.many / failure.ours.few, 1.5)

console.log()
for (const { name, value, most, least, goal, met } of floors) console.log(`${met ? 'met   ' : 'MISSED'}  ${name}: ${value}, ${least === undefined ? `at most ${most}` : `at least ${least}`}${goal === undefined ? '' : ` (goal ${goal})`}`)
console.log(JSON.stringify({ ns, memory, failure, floors }))
