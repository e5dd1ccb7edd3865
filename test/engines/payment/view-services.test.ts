import { describe, expect, test } from 'vitest'
import { lately } from '../../../src/engines/payment/tally.ts'
import type { ServiceLine } from '../../../src/engines/payment/view-services.ts'
import { foldService, latency, total, trafficOf, usualMs, worstBreaker } from '../../../src/engines/payment/view-services.ts'
import type { Event, Fields } from '../../../src/events.ts'
import { record } from '../../lab/reporters/runs.ts'

type Say = (t: number, type: string, fields?: Fields, node?: string) => void

function view(script: (say: Say) => void): Map<string, ServiceLine> {
  const events: Event[] = record((say) => script((t, type, fields, node = 'n1') => say(t, 'engine', type, fields, node)))
  const services = new Map<string, ServiceLine>()
  for (const event of events) foldService(services, event)
  return services
}
const call = (say: Say, t: number, ms: number, more: Fields = {}, node = 'n1') => {
  const about = { payment: `pay_${t}`, hop: 'bank', service: 'bank', attempt: 1 }
  say(t, 'hop.started', { ...about, timeoutMs: 4000, bankKey: 'bk' }, node)
  say(t + ms, 'hop.ended', { ...about, outcome: 'ok', status: 201, detail: '', ms, ...more }, node)
}

describe('what is under way', () => {
  test('is what began and has not ended; look-ups and voids are counted apart', () => {
    const bank = view((say) => {
      for (const hop of ['bank', 'capture', 'refund', 'lookup', 'void']) say(1, 'hop.started', { hop, service: 'bank' })
      say(2, 'hop.ended', { hop: 'refund', service: 'bank', outcome: 'ok', status: 200, ms: 1 })
      say(2, 'hop.ended', { hop: 'void', service: 'bank', outcome: 'ok', status: 200, ms: 1 })
    }).get('bank')!
    expect([total(bank.told.inFlight), total(bank.recovering)]).toEqual([2, 1])
  })

  test('ends with the node that dies, and only there', () => {
    const bank = view((say) => {
      for (const node of ['n1', 'n1', 'n2']) say(1, 'hop.started', { hop: 'bank', service: 'bank' }, node)
      say(1, 'bulkhead.limit_changed', { service: 'bank', limit: 40, inFlight: 2 }, 'n1')
      say(1, 'bulkhead.limit_changed', { service: 'bank', limit: 30, inFlight: 1 }, 'n2')
      say(2, 'node.killed', { incarnation: 1 }, 'n1')
    }).get('bank')!
    expect([total(bank.told.inFlight), total(bank.limits)]).toEqual([1, 30])
  })

  test('never falls under nothing, though the beginning of a call was lost', () => {
    const bank = view((say) => say(2, 'hop.ended', { hop: 'bank', service: 'bank', outcome: 'ok', status: 200, ms: 1 })).get('bank')!
    expect(total(bank.told.inFlight)).toBe(0)
  })

  test("the limit of the look-ups' bulkhead is not the bank's", () => {
    const services = view((say) => say(1, 'bulkhead.limit_changed', { service: 'bank/recovery', limit: 64, inFlight: 2 }))
    expect(services.size).toBe(0)
  })
})

describe('how long calls take', () => {
  test('is the median and the 95th percentile of the last seconds', () => {
    const bank = view((say) => {
      for (let n = 1; n <= 100; n++) call(say, n * 10, n)
    }).get('bank')!
    expect(latency(bank.told, 1200, 10_000)).toEqual({ medianMs: 50, p95Ms: 95 })
    expect(latency(bank.told, 60_000, 10_000)).toBeNull()
  })

  test('what is slow now does not become usual', () => {
    const bank = view((say) => {
      for (let n = 0; n < 200; n++) call(say, n * 10, 500)
      for (let n = 200; n < 600; n++) call(say, n * 10, 4000)
    }).get('bank')!
    expect(latency(bank.told, 10_000, 10_000)!.medianMs).toBe(4000)
    expect(usualMs(bank.told)).toBeLessThan(700)
  })

  test('a refusal at once says nothing of it, a time-out says that it is at least so long', () => {
    const bank = view((say) => {
      call(say, 0, 2, { status: 500 })
      call(say, 1, 1, { outcome: 'failed', status: 0, detail: 'REFUSED' })
      call(say, 2, 4000, { outcome: 'unknown', status: 0, detail: 'TIMEOUT' })
    }).get('bank')!
    expect(latency(bank.told, 5000, 10_000)).toEqual({ medianMs: 4000, p95Ms: 4000 })
    expect([bank.told.ended.all, bank.told.ill.all, bank.told.doubtful.all]).toEqual([3, 3, 1])
  })

  test('a decline, and a client that left, do not say that the bank is ill', () => {
    const bank = view((say) => {
      call(say, 0, 2, { status: 402 })
      call(say, 1, 1, { outcome: 'unknown', status: 0, detail: 'ABORTED' })
    }).get('bank')!
    expect(bank.told.ill.all).toBe(0)
  })
})

describe('the breaker', () => {
  const opened = { service: 'bank', why: 'failures', calls: 120, failures: 110, slow: 4, retryAfterMs: 5000 }

  test('tells its state, why, on what, and until when', () => {
    const bank = view((say) => say(1000, 'breaker.opened', opened)).get('bank')!
    expect(worstBreaker(bank)).toMatchObject({ node: 'n1', name: 'bank', state: 'open', why: 'failures', calls: 120, failures: 110, untilT: 6000, openings: 1 })
  })

  test('counts its openings, but not what another life has left', () => {
    const bank = view((say) => {
      say(0, 'breaker.opened', { ...opened, why: 'restored' })
      say(1000, 'breaker.opened', opened)
      say(6000, 'breaker.half_opened', { service: 'bank', retryAfterMs: 0 })
      say(6500, 'breaker.opened', { ...opened, why: 'probes' })
      say(13_000, 'breaker.closed', { service: 'bank', retryAfterMs: 3000 })
    }).get('bank')!
    expect(worstBreaker(bank)).toMatchObject({ state: 'closed', openings: 2, untilT: 16_000 })
  })

  test('of several, one a caller and node, the worst is shown', () => {
    const bank = view((say) => {
      say(1, 'breaker.opened', { ...opened, service: 'bank/acme' }, 'n1')
      say(2, 'breaker.half_opened', { ...opened, service: 'bank/zeta' }, 'n1')
      say(3, 'breaker.closed', { ...opened, service: 'bank/acme' }, 'n2')
    }).get('bank')!
    expect(bank.breakers.size).toBe(3)
    expect(worstBreaker(bank)).toMatchObject({ name: 'bank/acme', node: 'n1', state: 'open' })
  })

  test('calls that were turned away are counted by what refused them', () => {
    const bank = view((say) => {
      for (const by of ['breaker', 'bulkhead', 'bulkhead']) say(1, 'hop.refused', { hop: 'bank', service: 'bank', by, retryMs: 10 })
    }).get('bank')!
    expect([lately(bank.turnedAway.breaker, 5000), lately(bank.turnedAway.bulkhead, 5000)]).toEqual([1, 2])
  })
})

test('a retry budget that ran dry, and an early warning, are kept with their time', () => {
  const bank = view((say) => {
    say(5, 'retry_budget.emptied', { service: 'bank', inFlight: 50, retrying: 5 })
    say(9, 'retry_budget.emptied', { service: 'bank', inFlight: 40, retrying: 4 })
    say(11, 'dependency.warned', { service: 'bank', recentMs: 1300, usualMs: 500, budgetShare: 0.3 })
    say(12, 'hop.retried', { hop: 'bank', attempt: 2, waitMs: 10, why: 'refused' })
  }).get('bank')!
  expect(bank).toMatchObject({ emptied: { t: 9, times: 2, inFlight: 40, retrying: 4 }, warning: { t: 11, recentMs: 1300 }, retries: 1 })
})

test("a stranger's service tells nothing, and its links are looked at instead; its own front door is no service", () => {
  const services = view((say) => {
    say(0, 'exchange.opened', { link: 'payments', exchange: 1 })
    say(0, 'exchange.opened', { link: 'bank', exchange: 1 })
    say(0, 'exchange.opened', { link: 'bank', exchange: 2 })
    say(40, 'exchange.answered', { link: 'bank', exchange: 1, status: 201, ms: 40 })
    say(50, 'exchange.cut', { link: 'bank', exchange: 2, how: 'rst', by: 'toxic' })
    say(60, 'exchange.opened', { link: 'bank', exchange: 3 })
  })
  expect([...services.keys()]).toEqual(['bank'])
  const traffic = trafficOf(services.get('bank')!)
  expect([total(traffic.inFlight), traffic.ended.all, traffic.ill.all, latency(traffic, 60, 10_000)!.medianMs]).toEqual([1, 2, 1, 40])
})

test('services and breakers are bounded', () => {
  const services = view((say) => {
    for (let n = 0; n < 400; n++) {
      say(n, 'hop.started', { hop: 'bank', service: `bank-${n}` })
      say(n, 'breaker.closed', { service: `acquirer/caller-${n}` })
    }
  })
  expect(services.size).toBeLessThanOrEqual(50)
  for (const { breakers } of services.values()) expect(breakers.size).toBeLessThanOrEqual(100)
})
