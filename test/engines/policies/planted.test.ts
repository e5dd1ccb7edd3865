/** The rules are worth what they convict: copies of the policies with one bug each, and the rule that must not hold for it. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { rules as breaker } from './rules/breaker.ts'
import { rules as bulkhead } from './rules/bulkhead.ts'
import { rules as degrade } from './rules/degrade.ts'
import { rules as policy } from './rules/policy.ts'
import { rules as retry } from './rules/retry.ts'
import { rules as time } from './rules/time.ts'
import type { Library } from './rules/world.ts'

const source = fileURLToPath(new URL('../../../src/engines/policies/', import.meta.url))
const src = fileURLToPath(new URL('../../../src/', import.meta.url))
const place = fileURLToPath(new URL('../../mutants/.planted/', import.meta.url))
const folders: string[] = []

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

/** The library with a few words replaced, each of which must stand in its file once. */
async function plant(file: string, stands: string, planted: string): Promise<Library> {
  const folder = join(place, `policies-${folders.length}-${process.pid}`)
  folders.push(folder)
  mkdirSync(folder, { recursive: true })
  let done = false
  for (const name of readdirSync(source)) {
    let text = readFileSync(join(source, name), 'utf8')
    if (name === file) {
      expect(text.split(stands), `${file}: ${stands}`).toHaveLength(2)
      text = text.replace(stands, () => planted)
      done = true
    }
    writeFileSync(join(folder, name), text.replaceAll("from '../../", `from '${src}`))
  }
  expect(done, file).toBe(true)
  return import(pathToFileURL(join(folder, 'library.ts')).href)
}

const all = [...breaker, ...bulkhead, ...degrade, ...policy, ...retry, ...time]

const bugs: [bug: string, rule: string, file: string, stands: string, planted: string][] = [
  ['the minimum of calls is forgotten', 'B1 it opens', 'breaker.ts', 'if (calls < minimumCalls || (', 'if (('],
  ['the rate is compared as a product', 'B1 it opens', 'breaker.ts', 'failures / calls < failureRate', 'failures < failureRate * calls'],
  ['an idle window forgets nothing', 'B3 a window of time forgets while', 'window.ts', 'this.forget(now)\n    const at', 'const at'],
  ['a window of calls never forgets', 'a window of calls forgets', 'window.ts', 'this.failures -= old & 1', 'this.failures -= 0'],
  ['no generations', 'B4 an answer', 'breaker.ts', 'if (generation !== this.#generation || ', 'if ('],
  ['half-open lets everybody in', 'B5 half-open', 'breaker.ts', 'busy + state.ended >= this.#settings.probes', 'false'],
  ['a spent probe frees its place', 'B5 half-open', 'breaker.ts', 'free === -1 || busy + state.ended', 'free === -1 || busy'],
  ['a hung probe keeps its place', 'B6 a hung probe', 'breaker.ts', 'if (expiresAt === 0 || expiresAt > now) continue', 'continue'],
  ['a hung probe frees the place of its successor', 'B6 a place', 'breaker.ts', 'if (state.places[place] !== expiresAt) return', ''],
  ['declines count as successes', 'B7 what is ignored', 'breaker.ts', "if (result === 'ignored') return", ''],
  ['slow calls are not looked at', 'B8 slow answers', 'breaker.ts', 'slow / calls < slowRate', 'true'],
  ['metrics-only opens', 'B9', 'breaker.ts', "if (this.#state.kind === 'metrics-only') {", "if (this.#state.kind === 'disabled') {"],
  ['a restart forgets the open time', 'B10 an open breaker', 'breaker.ts', 'untilAt: now + Math.min(longestMs, Math.max(0, untilAt - wall))', 'untilAt: now'],
  ['a saved window does not age', 'B10 a window of time', 'window.ts', 'const gone = Math.ceil(Math.max(0, agoMs) / this.#bucketMs)', 'const gone = 0'],
  ['an older snapshot wins', 'B10 of siblings', 'breaker.ts', ' || (this.#changedAt > 0 && snapshot.changedAt <= this.#changedAt)', ''],
  ['no ramp', 'B15 after closing', 'breaker.ts', 'if (state.credit < 1) return true', ''],
  ['a pass ends as often as it is ended', 'a pass that is ended twice', 'breaker.ts', 'this.#breaker = undefined\n', '\n'],
  ['scopes without a bound', 'B14 scopes', 'breakers.ts', 'if (this.#breakers.size >= this.#most) this.#evict()', ''],
  ['the oldest scope goes, open or not', 'B14 scopes', 'breakers.ts', "if (breaker.state === 'closed' && breaker.metrics().calls === 0) return", 'return'],
  ['places may be freed twice', 'so many are in flight', 'bulkhead.ts', 'this.#bulkhead = undefined\n', '\n'],
  ['the queue ignores the deadline', 'K2 who waits', 'bulkhead.ts', "if (deadlineAt < Number.POSITIVE_INFINITY) waiting.cancel = ", "if (deadlineAt < 0) waiting.cancel = "],
  ['who leaves keeps the room', 'K3', 'bulkhead.ts', "waiting.onAbort = () => this.#turnAway(waiting, 'aborted')", 'waiting.onAbort = () => {}'],
  ['the queue is one line', 'more important callers', 'bulkhead.ts', 'high.first ? high : normal.first ? normal : low', 'low.first ? low : normal.first ? normal : high'],
  ['the newest are never first', 'of equals the one', 'bulkhead.ts', 'this.#newestFirst?.() ? line.last : line.first', 'line.first'],
  ['who leaves from the middle takes the rest along', 'of equals the one', 'bulkhead.ts', 'if (before) before.after = after\n', 'if (before) before.after = undefined\n'],
  ['low priority takes all places', 'of five places', 'bulkhead.ts', 'const LOW_SHARE = 0.8', 'const LOW_SHARE = 1'],
  ['three times Little’s law', 'its limit is one and a half', 'little.ts', 'const FACTOR = 1.5', 'const FACTOR = 3'],
  ['latencies of an incident are learned', 'it does not grow because', 'little.ts', 'this.#failures > UNHEALTHY_SHARE * (this.#ok + this.#failures) || ', ''],
  ['latency is believed at once', 'it does not grow because', 'little.ts', 'this.p50Ms * RISE_A_SECOND ** seconds', 'p50Ms'],
  ['garbage counts as nothing left', 'T3 what a caller waits for', 'deadline.ts', 'NUMBER.test(text) ? Number(text) : undefined\n}', 'Number(text) || 0\n}'],
  ['negative numbers are read', 'T3 what a caller waits for', 'deadline.ts', "const NUMBER = /^\\d", "const NUMBER = /^-?\\d"],
  ['no minStart', 'a deadline is spent', 'deadline.ts', ' && ms >= minStartMs', ''],
  ['cut-off samples count as answers', 'T7 calls that it cut off', 'histogram.ts', 'bucketOf(ms) + 1', 'bucketOf(ms) - 20'],
  ['the timeout jumps', 'T7 it is slow', 'adaptive-timeout.ts', 'const STEP = 1.05', 'const STEP = 100'],
  ['it learns while the breaker is open', 'T7 while it is frozen', 'adaptive-timeout.ts', 'timedOut(afterMs: number): void {\n    if (this.#frozen?.()) return', 'timedOut(afterMs: number): void {'],
  ['unknown is repeated', 'what did not happen', 'retry.ts', "(verdict === 'unknown' && !idempotent)", 'false'],
  ['ten per cent of jitter', 'R4', 'retry.ts', 'const ownMs = backoff(attempt, settings, random)', 'const ownMs = backoff(attempt, settings, { next: () => 0.9 + 0.1 * random.next() } as never)'],
  ['Retry-After is cut to the cap', 'R3 it is never', 'retry.ts', 'pushbackMs + ownMs', 'Math.min(pushbackMs, settings.capMs) + ownMs'],
  ['a negative pushback is zero', 'a pushback is read', 'verdict.ts', "Number(grpc) : 'never'", 'Number(grpc) : 0'],
  ['the budget is per call', 'R2', 'retry-budget.ts', 'if (this.retrying < Math.max(this.#minimum, this.#share * this.inFlight)) {', 'if (true) {'],
  ['a repeat forgets that an attempt is in doubt', 'a repeat that was refused', 'policy.ts', "if (verdict === 'unknown') doubt = last", ''],
  ['an open breaker is repeated into', 'a breaker that opens between', 'policy.ts', "if (last === undefined) return refuse(", 'if (true) return refuse('],
  ['the wait is not left', 'R7', 'policy.ts', 'await this.#clock.sleep(delayMs, signal)', 'await this.#clock.sleep(delayMs)'],
  ['a caller who left is called for', 'R7', 'policy.ts', "if (signal?.aborted) return refuse(doubt", 'if (false) return refuse(doubt'],
  ['the timer wins over an answer', 'T8', 'lane.ts', 'this.#clock.after(0, () => {\n      if (timeout.over) return\n      this.callOff(timeout)\n      timeout.expire()\n    })', 'this.callOff(timeout)\n    timeout.expire()'],
  ['the shared timer sleeps past what comes due', 'timeouts that share', 'lane.ts', 'this.#arm(next.dueAt, now)', 'this.#arm(now + TICK_MS, now)'],
  ['a nearer deadline waits for those before it', 'timeouts that share', 'lane.ts', '(tail !== undefined && dueAt < tail.dueAt) || ', ''],
  ['what comes due before the shared timer looks again is late', 'timeouts that share', 'lane.ts', ' || (this.#looksAt !== undefined && dueAt < this.#looksAt)', ''],
  ['who was cut off stays on the caller’s list', 'a call that is over', 'policy.ts', '    this.rest()\n    this.#reject(', '    this.#reject('],
  ['the work is not told', 'a call that is cut off', 'attempt.ts', 'this.#controller?.abort(why)', ''],
  ['a caller who left is a failure', 'T5', 'policy.ts', "result = left ? 'ignored' : RESULT_OF[verdict]", 'result = RESULT_OF[verdict]'],
  ['the place leaks when the work throws', 'work that throws', 'policy.ts', 'else bulkhead?.leave(result, now - enteredAt)', "else if (result === 'ok') bulkhead?.leave(result, now - enteredAt)"],
  ['hedges without a budget', 'copies are at most', 'hedge.ts', 'if (this.#saved < 1) return', ''],
  ['the slower copy is not stopped', 'a read that takes long', 'hedge.ts', 'if (copy !== but) copy.cutOff', 'if (copy === but) copy.cutOff'],
  ['doubt goes to the second bank', 'what may have happened is not done', 'fallback.ts', "if (verdict === 'unknown' && inDoubt !== true) continue", ''],
]

test.each(bugs)('%s: convicted by %s', async (_bug, rule, file, stands, planted) => {
  const [found, ...others] = all.filter(([name]) => name.startsWith(rule))
  expect([found?.[0].startsWith(rule), others.length], rule).toEqual([true, 0])
  const lib = await plant(file, stands, planted)
  const convicted = await Promise.resolve().then(() => found![1](lib)).then(() => false, () => true)
  expect(convicted).toBe(true)
})
