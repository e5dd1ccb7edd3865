/** The webhook engine, broken on purpose: each bug is convicted by what a scenario expects or an invariant sees, and without the bug each of these holds. */
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { run } from '../../../src/lab/run.ts'
import { isLong } from '../../long.ts'
import type { Trial } from '../../mutants/trial.ts'
import { expectConviction } from '../../mutants/trial.ts'

const OUTAGE = fileURLToPath(new URL('../../mutants/scenarios/webhook-outage.ts', import.meta.url))

/** A bug that takes a while to convict is `dear`: only in `npm run test:long`. */
type WebhookTrial = Trial & { dear?: true }

const DISPATCHER = 'webhook/dispatcher.ts'
const ENDPOINTS = 'webhook/endpoints.ts'
const EVENTS = 'webhook/events.ts'
const KEEPER = 'webhook/keeper.ts'
const LANE = 'webhook/lane.ts'
const MEANING = 'webhook/meaning.ts'
const OWNERSHIP = 'webhook/ownership.ts'
const REPLAY = 'webhook/replay.ts'

const trials: WebhookTrial[] = [
  {
    bug: 'an event is written, and its deliveries in a commit after that',
    plants: [
      [EVENTS, "return this.#store.transaction('enqueue', (tx) => this.enqueue(tx, event))", "return this.#store.transaction('enqueue', (tx) => this.enqueue(tx, event)).then(async (taken) => (taken.replayed ? taken : { ...taken, deliveries: await this.#store.transaction('fan-out', (tx) => fanOut(tx, event.tenant ?? DEFAULT_TENANT, event.type, taken.seq, event.key ?? null, this.#clock.now())) }))"],
      [EVENTS, 'deliveries: await fanOut(tx, tenant, type, seq, key ?? null, now), replayed: false', 'deliveries: 0, replayed: false'],
    ],
    convicts: { 'W-KILL-2': 'expected: no event has some of its deliveries only' },
  },
  { bug: "the producer's key is forgotten", plants: [[EVENTS, 'producerKey: idempotencyKey ?? null', 'producerKey: null']], convicts: { 'W-KILL-1': 'expected: each was taken in once, however often it was sent' } },
  {
    bug: 'there is no fence',
    plants: [[DISPATCHER, 'const lost = new Set([...lanes].filter((lane) => held.get(lane.facts.number) !== lane.fence))', 'const lost = new Set([...lanes].filter((lane) => held.get(lane.facts.number) === -1))']],
    convicts: { 'W-2-DISPATCH': 'expected: what it says is refused' },
  },
  {
    bug: 'a lane that was lost goes on',
    dear: true,
    plants: [[DISPATCHER, '    lane.retired = true\n    this.#lanes.delete', '    this.#lanes.delete'], [DISPATCHER, 'if (!this.#maySend || this.#sendOne(lane, now))', 'if (this.#sendOne(lane, now))']],
    convicts: { 'W-2-DISPATCH': 'expected: what comes twice was in flight' },
  },
  { bug: 'dead nodes keep their lanes', plants: [[OWNERSHIP, 'const living = others.filter(({ name }) => asked - this.#seen.get(name)!.at < this.#leaseMs)', 'const living = others']], convicts: { 'W-KILL-3': 'expected: after a death at tx:claim:before it goes on within the lease' } },
  {
    bug: 'a beat in doubt is a beat that nobody made',
    plants: [[OWNERSHIP, ' || this.#unsure !== undefined', '']],
    convicts: { 'W-IN-DOUBT': 'expected: a lane that was taken in doubt is worked on' },
  },
  { bug: 'ends that could not be written are forgotten', plants: [[DISPATCHER, '      this.#ended.unshift(...ended)\n', '']], convicts: { 'W-DISKFULL': 'expected: the dispatcher recovers' } },
  { bug: 'ends are written again without a look', plants: [[DISPATCHER, "WHERE id = :id AND state = 'pending' AND tries = :tries", "WHERE id = :id AND state = 'pending' AND :tries >= 0"]], convicts: { 'W-IN-DOUBT': 'expected: attempts are counted once' } },
  { bug: 'the counters of a lane are not kept', plants: [[DISPATCHER, 'SET delivered = delivered + json_extract(', 'SET delivered = delivered + 0 * json_extract(']], convicts: { 'W-VECTOR': 'w6-counters-true' } },
  { bug: 'the next of a chain is never let go', plants: [[DISPATCHER, "if (each.state !== 'pending' && each.claimed.chain !== null)", "if (each.state === 'pending' && each.claimed.chain !== null)"]], convicts: { 'W-IN-DOUBT': 'w1-none-lost' } },
  { bug: 'what belongs together is not chained', plants: [[EVENTS, "const chain = ordering === 'fifo' ? '' : ordering === 'key' ? key : null", "const chain = ordering === 'fifo' ? '' : null"]], convicts: { 'W-IN-DOUBT': 'expected: what belongs together comes in its order' } },
  { bug: 'a chain does not wait for its first link', plants: [[EVENTS, "THEN 'chained' ELSE 'pending' END", "THEN 'pending' ELSE 'pending' END"]], convicts: { 'W-IN-DOUBT': 'w7-key-order' } },
  { bug: "an alarm for something else swallows the next retry's", plants: [[DISPATCHER, 'if (ms > 0 && Number.isFinite(ms)) this.#alarms.set(number, now + ms)', 'if (ms > 1e12) this.#alarms.set(number, now + ms)']], convicts: { 'W-SKEW': 'expected: with their clocks set, all arrives' } },
  { bug: 'a replay that failed is not tried again', plants: [[DISPATCHER, '    lane.replays = true\n    if (!replaysOnly) {', '    if (!replaysOnly) {'], [DISPATCHER, '      if (ended.class === REPLAY) lane.replays = true\n', ''], [DISPATCHER, "if (due === 0) lane.rewind(claimed.id)", 'if (due === 0 && claimed.class !== REPLAY) lane.rewind(claimed.id)']], convicts: { 'W-DLQ-RETRY': 'expected: all comes to rest' } },
  { bug: 'a replay waits for the clock', dear: true, plants: [[REPLAY, 'const countedAt = job.credit_at > now ? now - Math.ceil(1000 / pace) : job.credit_at', 'const countedAt = Math.min(job.credit_at, Math.max(now, job.credit_at))']], convicts: { 'W-CLOCK': 'expected: after a step of -8 minutes the replay keeps its pace' } },
  { bug: 'where a replay stands is not written down', dear: true, plants: [[REPLAY, 'cursor: page.at(-1)?.id ?? job.cursor,\n      n: page.length', 'cursor: job.cursor,\n      n: page.length']], convicts: { 'W-DLQ-KILL': 'expected: each was asked for once' } },
  { bug: 'what is replayed has another id', plants: [[DISPATCHER, "'webhook-id': claimed.event,", "'webhook-id': claimed.class === REPLAY ? `${claimed.event}2` : claimed.event,"], [DISPATCHER, 'signer.sign(claimed.event, seconds', 'signer.sign(claimed.class === REPLAY ? `${claimed.event}2` : claimed.event, seconds']], convicts: { 'W-DLQ-IDEMP': 'w2-id-constant' } },
  { bug: 'what has arrived is replayed unasked', plants: [[REPLAY, "dlq ? \"d.state = 'dead'\" : \"d.state IN", "dlq ? \"d.state IN ('dead', 'delivered')\" : \"d.state IN"]], convicts: { 'W-DLQ-DRY': 'expected: ids: the count is what comes of it' } },
  { bug: 'the same job twice is two jobs', plants: [[REPLAY, 'if (before.filter === JSON.stringify(filter)) return before', 'if (before.filter === JSON.stringify(filter)) id = this.#random.id("rp")\n        else']], convicts: { 'W-DLQ-IDEMP': 'expected: they are one job' } },
  { bug: 'a replay has no pace', plants: [[REPLAY, 'const pace = job.per_second', 'const pace = job.per_second * 0']], convicts: { 'W-CLOCK': 'expected: after a step of 4 minutes the replay keeps its pace' } },
  { bug: 'any 2xx is a delivery', plants: [[MEANING, "return lacks === undefined ? { ...common, meaning: 'delivered', detail: cut ?? null }", "return lacks !== '' ? { ...common, meaning: 'delivered', detail: cut ?? null }"]], convicts: { 'W-200-LIE': 'expected: a 200 alone is no delivery' } },
  { bug: '"later" is a delivery', plants: [[MEANING, "if (context.mayDefer && status === 202", "if (context.mayDefer && status === 299"]], convicts: { 'W-200-DEFER': 'expected: "later" is no delivery' } },
  { bug: 'what was put off comes again at once', plants: [[DISPATCHER, 'ended.due = steady + facts.spec.ackMs!', 'ended.due = steady + 1000']], convicts: { 'W-200-DEFER': 'expected: it is left its time' } },
  { bug: 'no answer counts as delivered', plants: [[MEANING, "return { meaning: 'unreachable', status: null, detail: code }", "return { meaning: 'delivered', status: null, detail: code }"]], convicts: { [OUTAGE]: 'w1-none-lost' } },
  { bug: 'a retry is signed as of the beginning', plants: [[DISPATCHER, 'const seconds = Math.floor(at / 1000)', 'const seconds = Math.floor(claimed.created_at / 1000)']], convicts: { 'W-RETRY-TS': 'expected: and their signatures are fresh' } },
  { bug: 'a rotation overlaps with nothing', dear: true, plants: [[ENDPOINTS, "if (overlapMs === 0) await tx.query('DELETE FROM secret", "if (overlapMs >= 0) await tx.query('DELETE FROM secret"]], convicts: { 'W-ROTATE': 'expected: while they overlap, the old one verifies', 'W-KILL-8': 'expected: every signature was good' } },
  { bug: 'a revoked secret signs on', plants: [[ENDPOINTS, "      if (overlapMs === 0) await tx.query('DELETE FROM secret WHERE lane = :lane', { lane })\n      else await", '      await'], [ENDPOINTS, 'const until = now + overlapMs', 'const until = now + (overlapMs || 60_000)']], convicts: { 'W-ROTATE': 'expected: a revoked one signs nothing from now on' } },
  { bug: 'nodes keep the keys that they have read', dear: true, plants: [[DISPATCHER, '      this.#setup.keys.forget(row.id)\n', '']], convicts: { 'W-ROTATE': 'expected: while they overlap, the new one verifies' } },
  { bug: 'an old secret never expires', dear: true, plants: [['webhook/keyring.ts', 'expiresAt: expires_at', 'expiresAt: expires_at === null ? null : null']], convicts: { 'W-ROTATE': 'expected: afterwards the old one signs nothing' } },
  { bug: 'the log tells a secret', plants: [[DISPATCHER, "log.emit('lanes.taken', { lanes: taken.length })", "log.emit('lanes.taken', { lanes: taken.length, key: `whsec_${'A'.repeat(43)}=` })"]], convicts: { 'W-SECRET': 'expected: none is told in an event' } },
  { bug: 'secrets stand in the database as they are', plants: [[ENDPOINTS, "'secret rotated', id, why)", "'secret rotated', id, secret)"]], convicts: { 'W-SECRET': 'expected: none stands in the database' } },
  { bug: 'a node that ends sends on', plants: [[DISPATCHER, 'if (!this.#maySend || this.#sendOne(lane, now))', 'if (this.#sendOne(lane, now))']], convicts: { 'W-SHUTDOWN': 'expected: and begins nothing more' } },
  { bug: 'a node that ends waits for nothing', plants: [[DISPATCHER, 'if (this.#inFlight > 0) await Promise.race(', 'if (this.#inFlight < 0) await Promise.race(']], convicts: { 'W-SHUTDOWN': 'expected: at customer-1 only what was cut off comes twice' } },
  { bug: 'lanes are not given back', plants: [[DISPATCHER, '        await this.#ownership.leave(tx)\n', '']], convicts: { 'W-SHUTDOWN': 'expected: its lanes are free' } },
  { bug: 'there is no breaker', plants: [[DISPATCHER, "known ? 'ignored' : sick ? 'failure' : 'ok'", "known || sick ? 'ignored' : 'ok'"]], convicts: { [OUTAGE]: 'expected: hardly a request is wasted' } },
  { bug: 'an outage of one parks all', plants: [[LANE, "    return this.facts.state === 'enabled' && !this.retired\n", "    if (this.isParked) down.add(this.facts.id)\n    else down.delete(this.facts.id)\n    return this.facts.state === 'enabled' && !this.retired && (down.size === 0 || down.has(this.facts.id))\n"], [LANE, 'export const FIRST = 0\n', 'const down = new Set<string>()\nexport const FIRST = 0\n']], convicts: { [OUTAGE]: 'expected: the other customer notices nothing', 'one-customer-down': 'w10-isolation' } },
  { bug: 'Retry-After is obeyed by half', plants: [[DISPATCHER, 'now + answer.quietMs!)', 'now + answer.quietMs! / 2)']], convicts: { 'W-429-RA': 'w8-retry-after' } },
  { bug: 'a message that failed comes again ten times as soon', plants: [['webhook/schedule.ts', 'Math.round(base * (1', 'Math.round((base / 10) * (1']], convicts: { 'W-4XX': 'w9-schedule' } },
  { bug: 'an outage counts against the messages', plants: [[DISPATCHER, 'if (!wasParked) this.#park(lane)', 'strike()\n        if (!wasParked) this.#park(lane)']], convicts: { [OUTAGE]: 'expected: the outage costs no message anything' } },
  { bug: 'the strikes that opened the breaker stay', plants: [[DISPATCHER, 'for (const [id, strikes] of lane.streak) this.#refunds.push({ lane, id, strikes })', 'for (const [id, strikes] of lane.streak) this.#refunds.push({ lane, id, strikes: strikes * 0 })']], convicts: { [OUTAGE]: 'expected: the outage costs no message anything' } },
  { bug: 'delays are not of chance', plants: [['webhook/schedule.ts', 'jitter * (2 * random.next() - 1)', 'jitter * (0 * random.next())']], convicts: { [OUTAGE]: 'expected: no two wait alike' } },
  { bug: 'what is held grows old', plants: [[KEEPER, "WHERE e.state = 'enabled' AND l.seq", "WHERE e.state <> 'removed' AND l.seq"]], convicts: { [OUTAGE]: 'expected: what is held does not grow old' } },
  { bug: 'nothing grows old', dear: true, plants: [[KEEPER, 'before: now - settings.maxAgeMs', 'before: now - 1e3 * settings.maxAgeMs'], [DISPATCHER, 'steady - claimed.created_at > settings.maxAgeMs', 'steady - claimed.created_at > 1e3 * settings.maxAgeMs']], convicts: { [OUTAGE]: 'expected: what cannot be delivered is dead, and says why' } },
  { bug: 'the dead do not say why', dear: true, plants: [[DISPATCHER, "strikes, flags, reason, endedAt: state === 'dead' ? now : null", "strikes, flags, reason: state === 'dead' ? null : reason, endedAt: state === 'dead' ? now : null"]], convicts: { [OUTAGE]: 'w1-none-lost' } },
]

it('there are enough of them, and no two are the same', () => {
  expect(trials.filter(({ dear }) => !dear).length).toBeGreaterThanOrEqual(30)
  expect(new Set(trials.map(({ bug }) => bug)).size).toBe(trials.length)
})

describe('the reference is cleared', () => {
  // Those with an acceptance id are played by their own tests.
  it.each([...new Set(trials.flatMap(({ convicts }) => Object.keys(convicts)))].filter((name) => !name.startsWith('W-')))('%s', async (scenario) => {
    const result = await run({ scenario, mode: 'sim', seed: 1, subject: { kind: 'reference' }, toxics: [], invariants: [], again: '' }, { untold: true })
    expect(result.findings.filter(({ verdict }) => verdict !== 'held')).toEqual([])
    expect(result.verdict).toBe('held')
  }, 240_000)
})

describe.each(trials.filter(({ dear }) => isLong || !dear))('$bug', (trial) => {
  it('is convicted', async () => {
    await expectConviction(['webhook', 'policies'], trial)
  }, 240_000)
})
