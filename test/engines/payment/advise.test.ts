import { describe, expect, it } from 'vitest'
import { adviceInWords } from '../../../src/engines/payment/advice-words.ts'
import { advise, percentiles, shareOver } from '../../../src/engines/payment/advise.ts'
import { DEFAULTS } from '../../../src/engines/payment/settings.ts'
import type { Answer, Call, Said } from '../../../src/engines/payment/traffic.ts'
import { trafficOf } from '../../../src/engines/payment/traffic.ts'
import type { Setting } from '../../../src/engines/payment/what-if.ts'
import { whatIf } from '../../../src/engines/payment/what-if.ts'
import { Random } from '../../../src/random.ts'

const bank = (at: number, ms: number, fields: Partial<Call> = {}): Call => ({ service: 'bank', hop: 'bank', payment: `pay_${at}`, at, ms, result: 'ok', harmless: false, cutOff: false, ...fields })

/** Ten calls a second for a minute, 10 ms each; those that begin in [10 s, 20 s) fail. */
const incident = Array.from({ length: 600 }, (_, n) => bank(n * 100, 10, n >= 100 && n < 200 ? { result: 'failure' } : {}))

describe('what a breaker would have done, reckoned by hand', () => {
  const ten: Setting = { name: 'ten', breaker: { window: { ms: 60_000 }, minimumCalls: 10, failureRate: 1, openMs: 30_000, probes: 1, rampMs: 0 }, countsFailures: true }

  it('ten failures: opens at the tenth, stays open for 30 s although the bank is well after 9, and closes at the first probe', () => {
    // The tenth failure ends at 10,910 ms. Refused: 90 bad ones from 11.0 to 19.9 s, and the good ones from 20.0 to 40.9 s; the one at 41.0 s is the probe.
    expect(whatIf(incident, ten)).toEqual({ setting: 'ten', openings: 1, firstAt: 10_910, notClosedMs: 41_010 - 10_910, goodRefused: 210, badSpared: 90, badMade: 10 })
  })

  it('half of a minute: opens only when as many have failed as went well, just when the bank is well again', () => {
    // 100 of 200 have failed at 19,910 ms. The call at 25.0 s is the first of the three probes that close it.
    const half: Setting = { name: 'half', breaker: { window: { ms: 60_000 }, minimumCalls: 20, failureRate: 0.5, openMs: 5000, probes: 5, rampMs: 0 } }
    expect(whatIf(incident, half)).toEqual({ setting: 'half', openings: 1, firstAt: 19_910, notClosedMs: 5300, goodRefused: 50, badSpared: 0, badMade: 100 })
    expect(whatIf(incident.filter(({ at }) => at !== 19_900), half)).toMatchObject({ openings: 0, firstAt: null, notClosedMs: 0, goodRefused: 0, badSpared: 0, badMade: 99 })
  })

  it('a window of 10 s opens when nearly all of it failed, tries again after 5 s, and the ramp lets through what the bank can answer', () => {
    const found = whatIf(incident, { name: 'short', breaker: { window: { ms: 10_000 }, minimumCalls: 20, failureRate: 0.9, openMs: 5000, probes: 5, rampMs: 0 } })
    expect(found).toMatchObject({ openings: 1 })
    expect(found.firstAt).toBeGreaterThan(18_000)
    expect(found.firstAt).toBeLessThan(19_500)
    expect(found.badSpared + found.badMade).toBe(100)
    expect(found.notClosedMs).toBeGreaterThanOrEqual(5000)
    expect(found.notClosedMs).toBeLessThan(5500)
  })

  it('begins anywhere: wall time gives the same, and calls without a duration are not lost', () => {
    const base = 1_893_456_000_000
    const { firstAt, ...rest } = whatIf(incident.map((call) => ({ ...call, at: call.at + base, ms: 0 })), ten)
    expect(Math.round(firstAt! - base)).toBe(10_900)
    expect(rest).toMatchObject({ goodRefused: 210, badSpared: 90 })
  })

  it('no calls, no opening', () => {
    expect(whatIf([], ten)).toMatchObject({ openings: 0, firstAt: null, notClosedMs: 0 })
  })
})

/** A bank of p50 300 ms and p99 1.5 s, 50 payments a second for two minutes; from the 60th second on it takes four times as long. */
function slowed(seed: number) {
  const random = Random.seeded(seed)
  const calls: Call[] = []
  const answers: Answer[] = []
  for (let n = 0; n < 6000; n++) {
    const at = n * 20
    const factor = at < 60_000 ? 1 : 4
    const ms = random.logNormal(300, 1500) * factor
    const cutOff = ms > 4400
    calls.push(bank(at, Math.min(ms, 4400), cutOff ? { result: 'failure', cutOff } : {}))
    answers.push({ payment: `pay_${at}`, at: at + Math.min(ms, 4400), told: cutOff ? 'unknown' : 'succeeded', spentMs: Math.min(ms, 4400), deadlineMs: 5000 })
  }
  return { calls: calls.toSorted((a, b) => a.at + a.ms - b.at - b.ms), refused: [], answers }
}

describe('advice', () => {
  it('a bank that becomes slow: it is noticed while it does, and settings are learnt from before it', () => {
    for (const seed of [1, 2, 3]) {
      const { services: [service], answers } = advise(slowed(seed), DEFAULTS)
      expect(service!.slow!.at).toBeGreaterThan(60_000)
      expect(service!.slow!.at).toBeLessThan(65_000)
      expect(answers.pending).toBeGreaterThan(50)
      const { well, settings } = service!
      expect(well.ratePerS).toBeCloseTo(50, 0)
      expect(well.latency.p50).toBeGreaterThan(270)
      expect(well.latency.p50).toBeLessThan(400)
      expect(settings!.bulkhead).toBe(Math.ceil(1.5 * well.ratePerS * well.latency.p50 / 1000))
      expect(settings!.minStartMs).toBe(10 * Math.ceil(well.latency.p95 / 10))
      expect(settings!.timeoutMs).toBeNull()
    }
  })

  it('says it in a page: when it became slow, when the first client was hurt, and the reckoning', () => {
    const traffic = slowed(1)
    const advice = advise(traffic, DEFAULTS)
    const page = adviceInWords(advice, DEFAULTS).join('\n')
    const [slow, pending] = [advice.services[0]!.slow!.at, advice.answers.firstPendingAt!].map((at) => ((at - advice.from) / 1000).toFixed(1)) as [string, string]
    expect(page).toContain(`the bank became slow at ${slow} s (`)
    expect(page).toContain(`the first pending payment was at ${pending} s`)
    expect(page).toMatch(/bulkhead +\d+: 1\.5 x 50\.\d\/s x 0\.\d{3} s/)
    expect(page).toMatch(/10 failures in a minute, open for 30 s, 1 probe +.*good refused/)
  })

  it('without fault nobody is warned, and no setting that looks at rates opens', () => {
    const calm = slowed(4)
    const traffic = { ...calm, calls: calm.calls.filter(({ at }) => at < 60_000), answers: calm.answers.filter(({ at }) => at < 55_000) }
    const advice = advise(traffic, DEFAULTS)
    expect(advice.services[0]!.slow).toBeNull()
    expect(advice.services[0]!.breakers.filter(({ setting }) => !setting.startsWith('10 failures')).map(({ openings }) => openings)).toEqual([0, 0, 0, 0, 0])
    expect(adviceInWords(advice, DEFAULTS)[1]).toMatch(/^no service became slow; /)
  })

  it('too few calls give no settings; nothing gives an empty page', () => {
    const few = advise({ calls: [bank(0, 10)], refused: [], answers: [] }, DEFAULTS)
    expect(few.services[0]!.settings).toBeNull()
    expect(adviceInWords(few, DEFAULTS).join('\n')).toContain('too few calls ended well')
    expect(advise({ calls: [], refused: [], answers: [] }, DEFAULTS)).toMatchObject({ from: 0, lastedMs: 0, services: [] })
  })

  it('fraud gets a time-out of its p99.9 within what it has, and its share of the deadline is told', () => {
    const calls = Array.from({ length: 2000 }, (_, n): Call => ({ ...bank(n * 10, n % 1000 === 0 ? 340 : 100), service: 'fraud', hop: 'fraud' }))
    const answers = calls.map(({ payment, at, ms }): Answer => ({ payment, at: at + ms + 1, told: 'succeeded', spentMs: ms + 1, deadlineMs: 5000 }))
    const [service] = advise({ calls, refused: [], answers }, DEFAULTS).services
    expect(service!.settings!.timeoutMs).toBe(100)
    expect(service!.deadlineShare!.mean).toBeCloseTo(0.02, 3)
    const slower = advise({ calls: calls.map((call, n) => (n % 100 === 0 ? { ...call, ms: 3000 } : call)), refused: [], answers }, DEFAULTS)
    expect(slower.services[0]!.settings!.timeoutMs).toBe(DEFAULTS.fraudTimeoutMs)
  })

  it('percentiles by nearest rank', () => {
    expect(percentiles(Array.from({ length: 1000 }, (_, n) => ({ ms: 1000 - n })))).toMatchObject({ p50: 500, p95: 950, p99: 990, p999: 999 })
    expect(percentiles([])).toEqual({ p50: 0, p95: 0, p99: 0, p999: 0, known: 0 })
  })

  it('calls that were cut off do not make a service look quick: the true percentiles are found again', () => {
    const random = Random.seeded(1)
    const whole = Array.from({ length: 20_000 }, () => ({ ms: random.logNormal(300, 1500) }))
    // Every second one had only 500 to 1000 ms.
    const cut = whole.map(({ ms }, n) => {
      const patienceMs = n % 2 === 0 ? 10_000 : 500 + 500 * random.next()
      return { ms: Math.min(ms, patienceMs), cutOff: ms > patienceMs }
    })
    expect(cut.filter(({ cutOff }) => cutOff).length).toBeGreaterThan(1000)
    const [truth, found] = [percentiles(whole), percentiles(cut)]
    for (const part of ['p50', 'p95', 'p99'] as const) expect(Math.abs(found[part] / truth[part] - 1)).toBeLessThan(0.06)
    expect(shareOver(cut, 1500)).toBeCloseTo(0.01, 2)
    expect(percentiles(Array.from({ length: 100 }, (_, n) => ({ ms: 100, cutOff: n >= 90 })))).toMatchObject({ p50: 100, p95: 100, known: expect.closeTo(0.9) })
  })
})

describe('traffic from events', () => {
  const ended = (fields: object): Said => ({ type: 'hop.ended', t: 1000, payment: 'pay_1', hop: 'bank', service: 'bank', attempt: 1, outcome: 'ok', status: 201, detail: '', ms: 300, ...fields })

  it.each([
    [{}, { result: 'ok', harmless: false, cutOff: false, at: 700 }],
    [{ status: 402 }, { result: 'ignored' }],
    [{ status: 429 }, { result: 'ignored', harmless: true }],
    [{ status: 500 }, { result: 'failure', harmless: false }],
    [{ status: 408 }, { result: 'failure' }],
    [{ outcome: 'failed', status: 0, detail: 'REFUSED' }, { result: 'failure', harmless: true }],
    [{ outcome: 'unknown', status: 0, detail: 'TIMEOUT' }, { result: 'failure', harmless: false, cutOff: true }],
    [{ outcome: 'unknown', status: 0, detail: 'ABORTED' }, { result: 'ignored' }],
    [{ service: undefined, hop: 'notify' }, { service: 'notification' }],
  ])('%j', (fields, call) => {
    expect(trafficOf([ended(fields)]).calls).toMatchObject([call])
  })

  it('passes over what it cannot read', () => {
    const odd = [ended({ ms: 'long' }), ended({ ms: -1 }), ended({ hop: 7 }), ended({ outcome: 'odd' }), { ...ended({}), t: Number.NaN }, { type: 'payment.answered', t: 1, spentMs: 'x', deadlineMs: 1 }, { type: 'bank.charged', t: 1 }]
    expect(trafficOf(odd)).toEqual({ calls: [], refused: [], answers: [] })
  })
})
