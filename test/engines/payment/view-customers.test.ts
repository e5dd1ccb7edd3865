import { describe, expect, test } from 'vitest'
import { customers, foldCustomers, inDoubt, spent } from '../../../src/engines/payment/view-customers.ts'
import type { Customers } from '../../../src/engines/payment/view-customers.ts'
import { empty, fold, story } from '../../../src/engines/payment/view.ts'
import type { Fields, Source } from '../../../src/events.ts'
import { record } from '../../lab/reporters/runs.ts'
import { storm, until } from '../../lab/reporters/screens/storms.ts'

type Say = (t: number, src: Source, type: string, fields?: Fields) => void

function view(script: (say: Say) => void): Customers {
  const of = customers()
  for (const event of record(script)) foldCustomers(of, event)
  return of
}

const ORDER = { key: 'k', order: 'o', amount: 1, currency: 'USD', changed: false, ask: 'pay', client: 'c' }
const told = (word: string, ms = 5) => ({ ...ORDER, outcome: 'ok', status: 200, told: word, payment: null, digest: null, replayed: false, ms })

describe('words', () => {
  test.each([
    [['charged'], 'paid'], [['authorised'], 'paid'], [['not_charged'], 'later'], [['pending'], 'pending'], [['review'], 'pending'], [['conflict'], 'pending'], [['declined'], 'declined'], [['refused'], 'failed'], [['nothing'], 'failed'],
    [['pending', 'pending', 'charged'], 'paid'], [['nothing', 'not_charged'], 'later'],
  ])('told %j, a customer is one who is %s', (words, expected) => {
    const folded = record((say) => {
      words.forEach((word, n) => {
        say(n * 10, 'client', 'client.sent', ORDER)
        say(n * 10 + 5, 'client', 'client.told', told(word))
      })
    }).reduce(fold, empty()).customers
    expect(Object.entries(folded.now).filter(([, n]) => n > 0)).toEqual([[expected, 1]])
    expect(folded.asked.all).toBe(1)
  })

  test('asking again and again does not make more of one customer', () => {
    const folded = record((say) => {
      for (let n = 0; n < 50; n++) {
        say(n, 'client', 'client.sent', ORDER)
        say(n, 'client', 'client.told', told('pending'))
      }
    }).reduce(fold, empty()).customers
    expect(folded.came.pending.all).toBe(1)
  })

  test('slow is what took more than half of what was promised', () => {
    const folded = record((say) => {
      say(0, 'lab', 'run.started', { options: { deadlineMs: 2000 } })
      say(1, 'client', 'client.sent', ORDER)
      say(2, 'client', 'client.told', told('charged', 1000))
      say(3, 'client', 'client.sent', ORDER)
      say(4, 'client', 'client.told', told('charged', 1001))
    }).reduce(fold, empty()).customers
    expect(folded.slow.all).toBe(1)
  })
})

describe('the deadline', () => {
  const about = { payment: 'pay_1', attempt: 1 }

  test('is spent on fraud, on waiting and at the bank; what is kept back shows in the time-out of the bank', () => {
    const of = view((say) => {
      say(0, 'engine', 'payment.claimed', { payment: 'pay_1' })
      say(1, 'engine', 'hop.started', { ...about, hop: 'fraud', timeoutMs: 500 })
      say(41, 'engine', 'hop.ended', { ...about, hop: 'fraud', outcome: 'ok', status: 200, ms: 40 })
      say(941, 'engine', 'hop.started', { ...about, hop: 'bank', timeoutMs: 3459 })
      say(1941, 'engine', 'hop.ended', { ...about, hop: 'bank', outcome: 'ok', status: 201, ms: 1000 })
      say(1950, 'engine', 'payment.moved', { payment: 'pay_1', from: 'sent', to: 'succeeded' })
      say(1951, 'engine', 'payment.answered', { payment: 'pay_1', spentMs: 1951, deadlineMs: 5000 })
    })
    expect(spent(of)!.mean).toEqual({ fraudMs: 40, waitingMs: 909, bankMs: 1000, spentMs: 1951, deadlineMs: 5000 })
    expect(of).toMatchObject({ reserveMs: 600, waiting: 0 })
    expect(of.ways.size).toBe(0)
  })

  test('a bank that has not answered when the client is, has had its time until then', () => {
    const of = view((say) => {
      say(0, 'engine', 'payment.claimed', { payment: 'pay_1' })
      say(1000, 'engine', 'hop.started', { ...about, hop: 'bank', timeoutMs: 3400 })
      say(4500, 'engine', 'payment.answered', { payment: 'pay_1', spentMs: 4500, deadlineMs: 5000 })
    })
    expect(spent(of)!.mean.bankMs).toBe(3500)
  })

  test('who waits for a place is counted, and no longer once turned away; who never asked the bank spoils no mean', () => {
    const waits = (say: Say) => {
      say(0, 'engine', 'payment.claimed', { payment: 'pay_1' })
      say(41, 'engine', 'hop.ended', { ...about, hop: 'fraud', outcome: 'ok', status: 200, ms: 40 })
    }
    expect(view(waits).waiting).toBe(1)
    const of = view((say) => {
      waits(say)
      say(50, 'engine', 'hop.refused', { ...about, hop: 'bank', by: 'bulkhead', retryMs: 1 })
      say(51, 'engine', 'payment.moved', { payment: 'pay_1', from: 'claimed', to: 'released' })
      say(52, 'engine', 'payment.answered', { payment: 'pay_1', spentMs: 52, deadlineMs: 5000 })
    })
    expect(of.waiting).toBe(0)
    expect(spent(of)).toBeNull()
  })
})

describe('doubt', () => {
  const move = (say: Say, t: number, payment: string, from: string, to: string) => say(t, 'engine', 'payment.moved', { payment, from, to })

  test('lasts from the unknown outcome until it rests, also while the same key is sent again', () => {
    const script = (say: Say) => {
      move(say, 100, 'a', 'sent', 'unknown')
      move(say, 200, 'b', 'sent', 'unknown')
      move(say, 900, 'a', 'unknown', 'sent')
      move(say, 950, 'a', 'sent', 'unknown')
    }
    const of = view(script)
    expect(of.unknown).toMatchObject({ made: 2, resolved: 0 })
    expect(inDoubt(of, 1100)).toEqual({ open: 2, oldestMs: 1000 })
    const later = view((say) => {
      script(say)
      move(say, 1300, 'a', 'unknown', 'succeeded')
      move(say, 1400, 'b', 'unknown', 'review')
    })
    expect(later.unknown).toMatchObject({ made: 2, resolved: 1, handed: 1, longestMs: 1200 })
    expect(inDoubt(later, 2000)).toEqual({ open: 0, oldestMs: 0 })
  })
})

describe('of a whole storm', () => {
  const whole = storm(6000)
  const folded = whole.reduce(fold, empty())

  test('nobody is lost between the words', () => {
    const { asked, now } = folded.customers
    expect(Object.values(now).reduce((sum, n) => sum + n, 0)).toBe(asked.all)
    const mid = until(whole, 26_000).reduce(fold, empty())
    expect(Object.values(mid.customers.now).reduce((sum, n) => sum + n, 0)).toBe(mid.counts.answers)
  })

  test('its story counts all of them, those that are no longer kept included', () => {
    expect(story(folded)).toBe('6,000 orders, 6,000 clicks: 5,000 charged once ($645,040.00 in all), 1,000 not charged, 0 charged twice. What the clients were told of the money is true.')
  })

  test('the counts are those of a count anew', () => {
    const small = until(storm(2600, { lie: 2500 }), 26_500).reduce(fold, empty())
    const again: Record<string, number> = {}
    for (const { fate } of small.orders.values()) again[fate] = (again[fate] ?? 0) + 1
    expect(Object.fromEntries(Object.entries(small.fates).filter(([, n]) => n > 0))).toEqual(again)
    expect([...small.differing.keys()]).toEqual(['order-2500'])
  })

  test('an event costs a few microseconds, and as much among many orders as among few', () => {
    const took = new Float64Array(whole.length)
    const view = empty()
    whole.forEach((event, n) => {
      const begun = performance.now()
      fold(view, event)
      took[n] = (performance.now() - begun) * 1000
    })
    const median = (from: number, to: number) => took.slice(from, to).toSorted()[(to - from) >> 1]!
    // Ten times what it takes on an idle machine: this is about scans of all orders, which cost hundreds.
    expect(median(0, whole.length)).toBeLessThan(30)
    expect(median(whole.length - 20_000, whole.length)).toBeLessThan(10 * Math.max(1, median(10_000, 30_000)))
  })

  test('a warning that comes back every second is one moment in ten seconds', () => {
    const view = record((say) => {
      for (let n = 0; n < 20; n++) for (const service of ['bank', 'bank-2']) say(n * 1000, 'engine', 'retry_budget.emptied', { service, inFlight: 10, retrying: 3 })
    }).reduce(fold, empty())
    expect(view.moments.map(({ t, service }) => [t, service])).toEqual([[0, 'bank'], [0, 'bank-2'], [10_000, 'bank'], [10_000, 'bank-2']])
    expect(view.services.get('bank')!.emptied!.times).toBe(20)
  })

  test('what is kept is bounded', () => {
    const { ways, spendings, unknown } = folded.customers
    expect(ways.size).toBe(0)
    expect(unknown.open.size).toBe(0)
    expect(spendings.length).toBeLessThanOrEqual(500)
    expect(folded.calling.size).toBe(0)
    expect(folded.moments.length).toBeLessThanOrEqual(100)
  })
})
