import { describe, expect, it } from 'vitest'
import { VirtualClock } from '../../../src/clock.ts'
import type { HopCall } from '../../../src/engines/payment/hops.ts'
import { Hops } from '../../../src/engines/payment/hops.ts'
import { migrations } from '../../../src/engines/payment/migrations.ts'
import { forceBreaker } from '../../../src/engines/payment/operator.ts'
import type { PaymentSettings } from '../../../src/engines/payment/settings.ts'
import { DEFAULTS } from '../../../src/engines/payment/settings.ts'
import { openSqlite } from '../../../src/engines/store/sqlite.ts'
import type { Store } from '../../../src/engines/store/store.ts'
import { ResilError } from '../../../src/errors.ts'
import type { Event } from '../../../src/events.ts'
import { EventLog } from '../../../src/events.ts'
import type { HttpRequest, HttpResponse, Outcome } from '../../../src/network.ts'
import { json } from '../../../src/network.ts'
import { Random } from '../../../src/random.ts'

const REQUEST: HttpRequest = { method: 'POST', path: '/v1/charges', headers: {}, body: '{}' }
const TIMEOUT_MS = 1000
const WELL: Outcome<HttpResponse> = { kind: 'ok', value: json(201, { status: 'succeeded' }) }
const DOWN: Outcome<HttpResponse> = { kind: 'failed', error: new ResilError('REFUSED', 'nobody listens') }
const DEED = { who: 'operator', why: 'test' }

interface Laboratory {
  clock: VirtualClock
  store: Store
  events: Event[]
  /** What reached the network, service and request. */
  sent: { service: string; request: HttpRequest; timeoutMs: number }[]
  /** What the network answers, and after how many ms. */
  answer: { outcome: Outcome<HttpResponse>; ms: number }
  hops(settings?: Partial<PaymentSettings>): Hops
}

/** Runs a test in virtual time, with a network that answers what the test says. */
function inLab(test: (lab: Laboratory) => Promise<void>): () => Promise<void> {
  return async () => {
    const clock = new VirtualClock()
    const work = async () => {
      const store = await openSqlite(':memory:', { clock, random: Random.seeded(1) })
      await store.migrate(migrations)
      const log = new EventLog('test', clock)
      const lab: Laboratory = {
        clock,
        store,
        events: [],
        sent: [],
        answer: { outcome: WELL, ms: 100 },
        hops: (settings = {}) =>
          new Hops({
            clock,
            random: Random.seeded(7),
            store,
            log: log.from('engine', 'n1'),
            settings: { ...DEFAULTS, ...settings },
            network: {
              async call(service, request, { timeoutMs }) {
                lab.sent.push({ service, request, timeoutMs })
                const { outcome, ms } = lab.answer
                await clock.sleep(Math.min(ms, timeoutMs))
                return ms > timeoutMs ? { kind: 'unknown', error: new ResilError('TIMEOUT', 'too late') } : outcome
              },
            },
          }),
      }
      log.subscribe((event) => lab.events.push(event))
      await test(lab).finally(() => store.close())
    }
    await clock.run(work(), { timers: 1_000_000 })
  }
}

const aCall = (over: Partial<HopCall> = {}): HopCall => ({ payment: 'pay_1', hop: 'bank', service: 'bank', attempt: 1, scope: 'public', priority: 'live', ...over })

const send = (hops: Hops, over: Partial<HopCall> = {}) => hops.call(aCall(over), REQUEST, TIMEOUT_MS)

/** So many calls at once. */
const together = (hops: Hops, many: number, over: Partial<HopCall> = {}) => Promise.all(Array.from({ length: many }, () => send(hops, over)))

/** What a node does in its sweep. */
async function sweep(lab: Laboratory, hops: Hops): Promise<void> {
  hops.heed(await lab.store.transaction('sweep', (tx) => hops.tend(tx)))
}

/** The breaker of the bank opens. */
async function trip(lab: Laboratory, hops: Hops, over: Partial<HopCall> = {}): Promise<void> {
  lab.answer = { outcome: DOWN, ms: 1 }
  await together(hops, 25, over)
  lab.answer = { outcome: WELL, ms: 100 }
  expect((await send(hops, over)).kind).toBe('failed')
}

const refusals = (events: readonly Event[]) => events.filter(({ type }) => type === 'hop.refused').map(({ by, hop }) => `${hop} by ${by}`)

describe('a call', () => {
  it('says what it does, and from the second attempt on also to the service', inLab(async (lab) => {
    const hops = lab.hops()
    await send(hops)
    await send(hops, { attempt: 2 })
    expect(lab.sent.map(({ request }) => request.headers['x-request-attempt'])).toEqual([undefined, '2'])
    expect(lab.events.map(({ type, attempt, outcome, status, ms }) => ({ type, attempt, outcome, status, ms }))).toMatchObject([
      { type: 'hop.started', attempt: 1 },
      { type: 'hop.ended', attempt: 1, outcome: 'ok', status: 201, ms: 100 },
      { type: 'hop.started', attempt: 2 },
      { type: 'hop.ended', attempt: 2 },
    ])
  }))

  it('that is refused here has failed, and nothing was sent', inLab(async (lab) => {
    const hops = lab.hops({ bulkhead: { floor: 1, ceiling: 1, profile: [], queue: 0 } })
    const first = send(hops)
    expect(await send(hops)).toMatchObject({ kind: 'failed', error: { code: 'REFUSED_HERE' } })
    await first
    expect(lab.sent).toHaveLength(1)
    expect(refusals(lab.events)).toEqual(['bank by bulkhead'])
  }))

  it('waits for a place on its own time', inLab(async (lab) => {
    const hops = lab.hops({ bulkhead: { floor: 1, ceiling: 1, profile: [], queue: 10 } })
    await together(hops, 4)
    expect(lab.sent.map(({ timeoutMs }) => timeoutMs)).toEqual([1000, 900, 800, 700])
  }))

  it('whose pass was left gives its place back, once', inLab(async (lab) => {
    const hops = lab.hops({ bulkhead: { floor: 1, ceiling: 1, profile: [], queue: 0 } })
    const pass = await hops.enter(aCall(), 0)
    if ('refused' in pass) throw new Error(pass.refused)
    pass.leave()
    pass.leave()
    const held = await hops.enter(aCall(), 0)
    expect('call' in held).toBe(true)
    expect(await hops.enter(aCall(), 0)).toMatchObject({ refused: 'too many are under way' })
  }))

  it('of a client who leaves gives its place in the queue to the next one', inLab(async (lab) => {
    const hops = lab.hops({ bulkhead: { floor: 1, ceiling: 1, profile: [], queue: 1 } })
    lab.answer.ms = 500
    const first = send(hops)
    const gone = new AbortController()
    const leaves = hops.enter(aCall(), 5000, gone.signal)
    expect(await hops.enter(aCall(), 5000)).toHaveProperty('refused')
    gone.abort()
    expect(await leaves).toEqual({ refused: 'the client left', retryMs: 0 })
    const next = await hops.enter(aCall(), 5000)
    expect('call' in next).toBe(true)
    expect(await first).toMatchObject({ kind: 'ok' })
  }))

  it('passes nothing at all when the laboratory says so', inLab(async (lab) => {
    const hops = lab.hops({ guarded: false, bulkhead: { floor: 1, ceiling: 1, profile: [], queue: 0 } })
    lab.answer.outcome = DOWN
    await together(hops, 50)
    await together(hops, 50)
    expect(lab.sent).toHaveLength(100)
    expect(hops.fraudTimeoutMs).toBe(DEFAULTS.fraudTimeoutMs)
  }))
})

describe('an open breaker', () => {
  it('keeps charges from the bank, and lets look-ups and voids through: they find the truth', inLab(async (lab) => {
    const hops = lab.hops()
    await trip(lab, hops)
    const before = lab.sent.length
    for (const hop of ['bank', 'capture', 'refund'] as const) expect(await send(hops, { hop })).toMatchObject({ kind: 'failed' })
    for (const hop of ['lookup', 'void'] as const) expect(await send(hops, { hop })).toMatchObject({ kind: 'ok' })
    expect(lab.sent).toHaveLength(before + 2)
  }))

  it('of one service is none of another', inLab(async (lab) => {
    const hops = lab.hops()
    await trip(lab, hops)
    expect(await send(hops, { hop: 'fraud', service: 'fraud' })).toMatchObject({ kind: 'ok' })
    expect(await send(hops, { service: 'bank-2' })).toMatchObject({ kind: 'ok' })
  }))

  it('of one caller is none of another, where each has one; fraud is judged for all of them together', inLab(async (lab) => {
    const hops = lab.hops({ breakerScope: 'merchant' })
    await trip(lab, hops, { scope: 'a' })
    expect(await send(hops, { scope: 'b' })).toMatchObject({ kind: 'ok' })
    lab.answer = { outcome: DOWN, ms: 1 }
    for (let n = 0; n < 25; n++) await send(hops, { hop: 'fraud', service: 'fraud', scope: String(n) })
    lab.answer = { outcome: WELL, ms: 1 }
    expect(await send(hops, { hop: 'fraud', service: 'fraud', scope: 'a' })).toMatchObject({ kind: 'failed', error: { code: 'REFUSED_HERE' } })
  }))

  it('that is asked is kept, whatever number of callers comes by', inLab(async (lab) => {
    const hops = lab.hops({ breakerScope: 'merchant', breaker: { ...DEFAULTS.breaker, openMs: 3_600_000 } })
    await trip(lab, hops, { scope: 'busy' })
    for (let n = 0; n < 2500; n++) {
      lab.answer.ms = 0
      await send(hops, { scope: `caller-${n}` })
      if (n % 100 === 0) expect(await send(hops, { scope: 'busy' })).toMatchObject({ kind: 'failed' })
    }
    const states = hops.gauges().find(({ name }) => name === 'breaker_state')!.series
    expect(states.reduce((sum, { value }) => sum + value, 0)).toBe(1000)
    expect(await send(hops, { scope: 'busy' })).toMatchObject({ kind: 'failed' })
  }))

  it.each([[500, 'opens'], [408, 'opens'], [400, 'stays'], [402, 'stays'], [404, 'stays'], [409, 'stays'], [429, 'stays']] as const)('for answers with %i it %s', (status, does) => inLab(async (lab) => {
    const hops = lab.hops()
    lab.answer = { outcome: { kind: 'ok', value: json(status, {}) }, ms: 1 }
    await together(hops, 30)
    expect(lab.events.some(({ type }) => type === 'breaker.opened')).toBe(does === 'opens')
  })())

  it('opens for web pages in the place of answers', inLab(async (lab) => {
    const hops = lab.hops()
    lab.answer = { outcome: { kind: 'ok', value: { status: 200, headers: {}, body: '<html>' } }, ms: 1 }
    await together(hops, 30)
    expect(lab.events.some(({ type }) => type === 'breaker.opened')).toBe(true)
  }))
})

describe('what the store keeps of breakers', () => {
  const closing = { breaker: { ...DEFAULTS.breaker, openMs: 1000, rampMs: 0 } }

  it('is there for the next life and for the node beside', inLab(async (lab) => {
    const one = lab.hops()
    const beside = lab.hops()
    await send(beside)
    await trip(lab, one)
    await sweep(lab, one)
    await sweep(lab, beside)
    const next = lab.hops()
    await sweep(lab, next)
    const before = lab.sent.length
    for (const hops of [one, beside, next]) expect(await send(hops)).toMatchObject({ kind: 'failed' })
    expect(lab.sent).toHaveLength(before)
  }))

  it('is written at the end of a life too', inLab(async (lab) => {
    const one = lab.hops()
    await trip(lab, one)
    await one.save()
    const next = lab.hops()
    await sweep(lab, next)
    expect(await send(next)).toMatchObject({ kind: 'failed' })
  }))

  it('is written again when the store refused it', inLab(async (lab) => {
    const one = lab.hops()
    await trip(lab, one)
    const full = lab.store.transaction('sweep', async (tx) => {
      await one.tend(tx)
      throw new ResilError('STORE_FULL', 'no room')
    })
    await expect(full).rejects.toMatchObject({ code: 'STORE_FULL' })
    await sweep(lab, one)
    const next = lab.hops()
    await sweep(lab, next)
    expect(await send(next)).toMatchObject({ kind: 'failed' })
  }))

  it('is what moved last: an earlier move that is written later does not undo it', inLab(async (lab) => {
    const [late, early] = [lab.hops(closing), lab.hops(closing)]
    await trip(lab, early)
    await lab.clock.sleep(1500)
    await together(early, 5) // it closes, and has not written that down
    await lab.clock.sleep(10)
    await trip(lab, late)
    await sweep(lab, late)
    await sweep(lab, early)
    const [row] = await lab.store.transaction('read', (tx) => tx.query<{ snapshot: string }>("SELECT snapshot FROM breakers WHERE name = 'bank'"))
    expect(JSON.parse(row!.snapshot)).toMatchObject({ state: 'open' })
    expect(await send(early)).toMatchObject({ kind: 'failed' })
  }))

  it('is closed for all once one node has closed it', inLab(async (lab) => {
    const [one, two] = [lab.hops(closing), lab.hops(closing)]
    await trip(lab, one)
    await sweep(lab, one)
    await sweep(lab, two)
    await lab.clock.sleep(1500)
    await together(one, 5)
    await sweep(lab, one)
    await sweep(lab, two)
    expect((await together(two, 10)).every(({ kind }) => kind === 'ok')).toBe(true)
  }))

  it('an operator\'s word comes first: open, disabled, only watching, and back', inLab(async (lab) => {
    const hops = lab.hops()
    const force = async (forced: Parameters<typeof forceBreaker>[3]) => {
      await forceBreaker(lab.store, lab.clock, 'bank', forced, DEED)
      await sweep(lab, hops)
    }
    await force('open')
    expect(await send(hops)).toMatchObject({ kind: 'failed' })
    for (const forced of ['disabled', 'metrics_only'] as const) {
      await force(forced)
      lab.answer = { outcome: DOWN, ms: 1 }
      const before = lab.sent.length
      await together(hops, 50)
      expect(lab.sent).toHaveLength(before + 50)
    }
    expect(lab.events.some(({ type }) => type === 'breaker.trip_observed')).toBe(true)
    await force(null)
    lab.answer = { outcome: WELL, ms: 1 }
    expect(await send(hops)).toMatchObject({ kind: 'ok' })
    await trip(lab, hops)
  }))

  it('and is not overwritten by what the breaker would say by itself', inLab(async (lab) => {
    const hops = lab.hops()
    await forceBreaker(lab.store, lab.clock, 'bank', 'open', DEED)
    await sweep(lab, hops)
    await sweep(lab, hops)
    const next = lab.hops()
    await sweep(lab, next)
    expect(await send(next)).toMatchObject({ kind: 'failed' })
  }))
})

describe('fraud\'s time-out', () => {
  const fraud = { hop: 'fraud', service: 'fraud' } as const

  async function calls(lab: Laboratory, hops: Hops, many: number, p50: number, p99: number, random: Random): Promise<void> {
    for (let n = 0; n < many; n++) {
      lab.answer = { outcome: WELL, ms: random.logNormal(p50, p99) }
      await hops.call(aCall(fraud), REQUEST, hops.fraudTimeoutMs)
    }
  }

  it('follows what fraud takes within its band: quick errors do not pull it down, a ramp not above', inLab(async (lab) => {
    const hops = lab.hops()
    const random = Random.seeded(3)
    const { fraudFloorMs, fraudTimeoutMs } = DEFAULTS
    expect(hops.fraudTimeoutMs).toBe(fraudTimeoutMs)
    await calls(lab, hops, 3000, 40, 200, random)
    const learnt = hops.fraudTimeoutMs
    expect(learnt).toBeLessThan(450)
    expect(learnt).toBeGreaterThan(fraudFloorMs)
    for (let n = 0; n < 2000; n++) {
      lab.answer = n % 2 === 0 ? { outcome: DOWN, ms: 1 } : { outcome: WELL, ms: random.logNormal(40, 200) }
      await hops.call(aCall(fraud), REQUEST, hops.fraudTimeoutMs)
    }
    expect(hops.fraudTimeoutMs).toBeGreaterThanOrEqual(learnt / 1.15)
    for (let step = 1; step <= 20; step++) {
      await calls(lab, hops, 200, 40 + 20 * step, 200 + 100 * step, random)
      expect(hops.fraudTimeoutMs).toBeLessThanOrEqual(fraudTimeoutMs)
    }
  }))

  it('does not go below its floor, however quick fraud is', inLab(async (lab) => {
    const hops = lab.hops()
    await calls(lab, hops, 3000, 5, 10, Random.seeded(4))
    expect(hops.fraudTimeoutMs).toBe(DEFAULTS.fraudFloorMs)
  }))
})

it('a bank that becomes slower is warned of before a payment is too late', inLab(async (lab) => {
  const hops = lab.hops({ bulkhead: { floor: 500, ceiling: 500, profile: [], queue: 0 } })
  const random = Random.seeded(5)
  const left = 4400
  let tooLate = 0
  for (let n = 0; n < 1000 && tooLate < 5; n++) {
    lab.answer = { outcome: WELL, ms: random.logNormal(300, 2000) * (1 + Math.max(0, n - 300) / 60) }
    const outcome = await hops.call(aCall(), REQUEST, left)
    if (outcome.kind === 'unknown') tooLate++
    if (lab.events.some(({ type }) => type === 'dependency.warned')) break
  }
  expect(tooLate).toBeLessThan(5)
  expect(lab.events.find(({ type }) => type === 'dependency.warned')).toMatchObject({ service: 'bank', recentMs: expect.any(Number), usualMs: expect.any(Number), budgetShare: expect.any(Number) })
}))

it('a budget of repeats belongs to a service, and is shared by all who call it', inLab(async (lab) => {
  const hops = lab.hops()
  const calls = Array.from({ length: 60 }, () => hops.budgeted('bank'))
  expect(calls.filter((each) => each.retry())).toHaveLength(6)
  const other = hops.budgeted('bank-2')
  expect(other.retry()).toBe(true)
  expect(lab.events.filter(({ type }) => type === 'retry_budget.emptied')).toMatchObject([{ service: 'bank', inFlight: 60, retrying: 6 }])
}))
