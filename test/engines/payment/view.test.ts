import { describe, expect, test } from 'vitest'
import { budget, differences, empty, EVENTS_KEPT, fold, money, ORDERS_KEPT, story } from '../../../src/engines/payment/view.ts'
import type { Event } from '../../../src/events.ts'
import { BANK_KEY, CHARGE, crowd, declined, doubleCharge, doubleClick, KEY, PAYMENT, pending, record } from '../../lab/reporters/runs.ts'

const view = (events: Event[]) => events.reduce(fold, empty())
const until = (events: Event[], type: string) => events.slice(0, events.findIndex((event) => event.type === type))
const ORDER = { key: KEY, order: 'order-1', amount: 9900, currency: 'USD', changed: false, ask: 'pay' }

/** One order: each client as [name, what it was told, when]; charges of $99.00 at the given times. */
function told(clients: [name: string, told: string | null, t: number][], charges: number[] = [], more: { undone?: number; why?: string } = {}): Event[] {
  return record((say) => {
    for (const [client] of clients) say(0, 'client', 'client.sent', { client, ...ORDER })
    const moments = [
      ...charges.map((t, n) => ({ t, do: () => say(t, 'mock', 'bank.charged', { charge: `ch_${n}`, key: `bk_${n}`, reference: 'order-1', amount: 9900, currency: 'USD' }) })),
      ...clients.flatMap(([client, word, t]) => (word === null ? [] : [{ t, do: () => say(t, 'client', 'client.told', { client, ...ORDER, outcome: word === 'nothing' ? 'unknown' : 'ok', status: word === 'nothing' ? 0 : 200, told: word, payment: null, digest: null, replayed: false, why: more.why, ms: t }) }])),
    ].sort((a, b) => a.t - b.t)
    for (const moment of moments) moment.do()
    if (more.undone !== undefined) say(more.undone, 'mock', 'bank.refunded', { refund: 'rf_1', charge: 'ch_0', reference: 'order-1', amount: 9900 })
  })
}

describe('the story', () => {
  test.each([
    ['one charge, both told so', told([['click 1', 'charged', 20], ['click 2', 'charged', 21]], [10]), '2 clicks, 1 charge of $99.00. Both clicks were told the same, and it is true.'],
    ['one click', told([['client', 'charged', 20]], [10]), '1 click, 1 charge of $99.00. The click was told so, and it is true.'],
    ['three clicks', told([['a', 'charged', 20], ['b', 'charged', 20], ['c', 'charged', 20]], [10]), '3 clicks, 1 charge of $99.00. All 3 clicks were told the same, and it is true.'],
    ['two charges', told([['click 1', 'charged', 20], ['click 2', 'charged', 21]], [10, 12]), '2 clicks, 2 charges of $99.00: the customer paid twice. Both clicks were told of one charge.'],
    ['three charges', told([['client', 'charged', 20]], [10, 11, 12]), '1 click, 3 charges of $99.00: the customer paid 3 times. The click was told of one charge.'],
    ['charged and told not', told([['client', 'not_charged', 20]], [10]), '1 click, 1 charge of $99.00. The click was told that it was not charged, and that is false.'],
    ['told charged without a charge', told([['client', 'charged', 20]]), '1 click, no charge. The click was told that it was charged, and that is false.'],
    ['told not charged, and charged afterwards', told([['client', 'declined', 20]], [30]), '1 click, 1 charge of $99.00. The click was told that it was declined, and that is false.'],
    ['told differently', told([['click 1', 'charged', 20], ['click 2', 'declined', 21]], [10]), '2 clicks, 1 charge of $99.00. They were told differently: click 1 was told charged $99.00; click 2 was told declined (false). What click 2 was told is false.'],
    ['one told to wait for the other', told([['click 1', 'charged', 20], ['click 2', 'conflict', 5]], [10]), '2 clicks, 1 charge of $99.00. Click 1 was told charged $99.00; click 2 was told that another request is at work. What they were told of the money is true.'],
    ['no answer', told([['client', 'nothing', 20]], [10], { why: 'TIMEOUT' }), '1 click, 1 charge of $99.00. The click got no answer (TIMEOUT): the client cannot know that it was charged.'],
    ['still waiting', told([['click 1', null, 0], ['click 2', null, 0]]), '2 clicks, no charge. Both clicks still wait for an answer.'],
    ['given back', told([['client', 'charged', 20]], [10], { undone: 30 }), '1 click, 1 charge of $99.00, given back: nothing stands. The click was told so, and it is true.'],
    ['many told alike, one otherwise', told([['a', 'refused', 5], ['b', 'refused', 5], ['c', 'refused', 5], ['d', 'refused', 5], ['e', 'charged', 20]], [10]), '5 clicks, 1 charge of $99.00. A, b and 2 others were refused: their requests are wrong; e was told charged $99.00. What they were told of the money is true.'],
    ['refused', told([['client', 'refused', 20]]), '1 click, no charge. The click was refused: its request is wrong.'],
    ['pending', told([['client', 'pending', 20]]), '1 click, no charge. The click was told that it is pending: not known yet, do not pay again.'],
  ])('tells the truth: %s', (_, events, expected) => {
    expect(story(view(events))).toBe(expected)
  })

  test('a double click with a lost response comes to one charge', () => {
    expect(story(view(doubleClick()))).toBe('2 clicks, 1 charge of $99.00. Both clicks were told the same, and it is true.')
  })

  test('a decline names its reason', () => {
    expect(story(view(declined()))).toBe('1 click, no charge: the bank declined (insufficient_funds). The click was told that it was declined, and it is true.')
  })

  test('an unknown outcome is told as unknown', () => {
    expect(story(view(pending()))).toBe('1 click, no charge. The click was told that it is pending: not known yet, do not pay again. The engine does not know yet what the bank did.')
  })

  test('of many orders the one that paid twice is named', () => {
    expect(story(view(crowd(40, 7)))).toBe('40 orders, 40 clicks: 39 charged once ($4,886.00 in all), 1 charged twice. The bank has 2 charges of $106.00 for order-7: the customer paid twice.')
    expect(story(view(crowd(40, 0)))).toBe('40 orders, 40 clicks: 40 charged once ($4,780.00 in all), 0 charged twice. What the clients were told of the money is true.')
  })

  test('a world in which nobody paid says so', () => {
    expect(story(empty())).toBe('Nobody asked to pay, and nothing was charged.')
  })

  test('a killed service is mentioned', () => {
    const events = record((say) => {
      say(0, 'client', 'client.sent', { client: 'client', ...ORDER })
      say(1, 'lab', 'node.killed', { incarnation: 1, site: 'tx:claim' }, 'n1')
    })
    expect(story(view(events))).toContain('The service was killed once on the way.')
  })
})

describe('the fold', () => {
  test('a payment has its path, its hops and what it waited for', () => {
    const payment = view(doubleClick()).payments.get(PAYMENT)!
    expect(payment.steps.map(({ label, times }) => (times > 1 ? `${label} ×${times}` : label))).toEqual(['claimed', 'fraud cleared', 'bank sent', 'UNKNOWN', 'looked up ×2', 'charged', 'notified'])
    expect(payment.hops.map(({ hop, outcome, startedAt, endedAt, learnt }) => ({ hop, outcome, startedAt, endedAt, learnt }))).toEqual([
      { hop: 'fraud', outcome: 'ok', startedAt: 0, endedAt: 31, learnt: 'allow' },
      { hop: 'bank', outcome: 'unknown', startedAt: 31, endedAt: 119, learnt: '' },
      { hop: 'lookup', outcome: 'ok', startedAt: 119, endedAt: 151, learnt: 'no charge found' },
      { hop: 'lookup', outcome: 'ok', startedAt: 351, endedAt: 430, learnt: 'found 1 charge' },
      { hop: 'notify', outcome: 'ok', startedAt: 430, endedAt: 440, learnt: '' },
    ])
    expect(payment.waits).toMatchObject([{ startedAt: 151, endsAt: 351 }])
    expect(payment).toMatchObject({ state: 'succeeded', joined: 1, notified: true, bankKey: BANK_KEY, restedAt: 430 })
  })

  test('a toxic belongs to the hop that it struck', () => {
    const { payments, links } = view(doubleClick())
    const struck = payments.get(PAYMENT)!.hops.filter((hop) => hop.strikes.length > 0)
    expect(struck.map(({ hop, strikes }) => [hop, strikes[0]!.toxicType, strikes[0]!.action, strikes[0]!.t])).toEqual([['bank', 'lost_response', 'answer dropped, connection reset', 118]])
    expect(links.get('bank')!.toxics).toMatchObject([{ toxic: 'lost_response_downstream', hits: 1, live: true }])
  })

  test('what is held, turned away, captured and given back stands in the path', () => {
    const folded = view(record((say) => {
      const move = (t: number, from: string, to: string) => say(t, 'engine', 'payment.moved', { payment: 'pay_1', from, to, epoch: 1, why: '' })
      say(0, 'engine', 'payment.claimed', { payment: 'pay_1', ...ORDER, deadlineMs: 5000, epoch: 1 })
      say(1, 'engine', 'hop.refused', { payment: 'pay_1', hop: 'bank', service: 'bank', attempt: 1, by: 'breaker', retryMs: 100 })
      move(2, 'claimed', 'queued')
      move(3, 'queued', 'claimed')
      say(4, 'engine', 'hop.started', { payment: 'pay_1', hop: 'bank', service: 'bank', attempt: 1, timeoutMs: 1000, bankKey: 'bk' })
      say(5, 'mock', 'bank.authorised', { charge: 'ch_1', key: 'bk', reference: 'pay_1', amount: 9900, currency: 'USD' })
      move(6, 'sent', 'authorised')
      say(7, 'mock', 'bank.charged', { charge: 'ch_1', key: 'bk', reference: 'pay_1', amount: 9900, currency: 'USD' })
      move(8, 'authorised', 'succeeded')
      say(9, 'engine', 'payment.cancelled', { payment: 'pay_1', state: 'succeeded' })
      say(10, 'engine', 'refund.moved', { payment: 'pay_1', refund: 'ref_1', from: 'sent', to: 'unknown', amount: 9900, why: '' })
      say(11, 'engine', 'refund.moved', { payment: 'pay_1', refund: 'ref_1', from: 'unknown', to: 'succeeded', amount: 9900, why: '' })
    }))
    expect(folded.payments.get('pay_1')!.steps.map(({ label }) => label)).toEqual(['claimed', 'bank turned away by the breaker', 'queued', 'bank sent', 'held', 'charged', 'cancelled', 'refund UNKNOWN', 'refunded'])
    expect(folded.ledger.map(({ what, order }) => [what, order])).toEqual([['authorised', 'order-1'], ['charged', 'order-1']])
    expect(story(folded)).toContain('1 charge of $99.00')
  })

  test('only a word that it was charged is a receipt', () => {
    const folded = view(record((say) => {
      for (const what of ['payment.succeeded', 'payment.refunded', 'payment.not_charged', undefined]) say(1, 'mock', 'notification.received', { id: 'evt', payment: 'pay_1', duplicate: false, ...(what === undefined ? {} : { what }) })
    }))
    expect(folded.notifications).toEqual({ received: 2, duplicates: 0 })
  })

  test('what is queued or held does not rest', () => {
    for (const to of ['queued', 'authorised', 'succeeded']) {
      const { payments } = view(record((say) => {
        say(0, 'engine', 'payment.claimed', { payment: 'pay_1', ...ORDER, deadlineMs: 5000, epoch: 1 })
        say(6, 'engine', 'payment.moved', { payment: 'pay_1', from: 'sent', to, epoch: 1, why: '' })
      }))
      expect(payments.get('pay_1')!.restedAt).toBe(to === 'succeeded' ? 6 : null)
    }
  })

  test("of two hops at once the exchange's key decides", () => {
    const hop = { hop: 'bank', attempt: 1, timeoutMs: 1000 }
    const { payments } = view(record((say) => {
      for (const n of [1, 2]) {
        say(n, 'engine', 'payment.claimed', { payment: `pay_${n}`, key: `key_${n}`, order: `order-${n}`, amount: 1, currency: 'USD', deadlineMs: 5000, epoch: 1 })
        say(n, 'engine', 'hop.started', { payment: `pay_${n}`, ...hop, bankKey: `bk_${n}` })
        say(n, 'proxy', 'exchange.opened', { link: 'bank', connection: n, exchange: n, method: 'POST', path: '/', key: `bk_${n}` })
      }
      say(5, 'proxy', 'toxic.hit', { link: 'bank', toxic: 'x', toxicType: 'latency', connection: 1, exchange: 1, action: 'bytes delayed' })
    }))
    expect([...payments.values()].map((payment) => payment.hops[0]!.strikes.length)).toEqual([1, 0])
  })

  test('a toxic that strikes before the engine is heard is kept for its hop', () => {
    const { payments } = view(record((say) => {
      say(0, 'engine', 'payment.claimed', { payment: 'pay_1', key: 'k', order: 'o', amount: 1, currency: 'USD', deadlineMs: 5000, epoch: 1 })
      say(5, 'proxy', 'toxic.hit', { link: 'bank', toxic: 'x', toxicType: 'latency', connection: 1, exchange: null, action: 'bytes delayed' })
      say(7, 'engine', 'hop.started', { payment: 'pay_1', hop: 'bank', attempt: 1, timeoutMs: 1000, bankKey: 'bk' })
    }))
    expect(payments.get('pay_1')!.hops[0]!.strikes).toHaveLength(1)
  })

  test('the deadline is spent hop by hop', () => {
    const folded = view(doubleClick())
    expect(budget(folded, folded.payments.get(PAYMENT)!)).toEqual({ deadlineMs: 5000, spentMs: 430, fraudMs: 31, bankMs: 88, recoveryMs: 311 })
  })

  test('clients, ledger, invariants and verdict are all there', () => {
    const folded = view(doubleClick())
    expect(folded.clicks.map(({ client, sentAt, toldAt, told: word, replayed }) => [client, sentAt, toldAt, word, replayed])).toEqual([['click 1', 0, 430, 'charged', false], ['click 2', 40, 430, 'charged', true]])
    expect(folded.ledger).toMatchObject([{ t: 118, what: 'charged', id: CHARGE, key: BANK_KEY, order: 'order-1', amount: 9900 }])
    expect(folded).toMatchObject({ verdict: 'held', ended: true, seed: '7', mode: 'sim', again: 'resil pay --double-click --seed 7', notifications: { received: 1, duplicates: 0 } })
    expect(folded.invariants[4]).toEqual({ invariant: 'within-deadline', verdict: 'held', looked: '0.4 of 5.0 s', violations: [] })
  })

  test('before it ends, a run is violated as soon as one invariant is', () => {
    const folded = view(until(doubleCharge(), 'run.ended'))
    expect(folded).toMatchObject({ verdict: 'violated', ended: false })
    expect(folded.invariants.map(({ verdict }) => verdict)).toEqual(['violated', null, null, null, null])
  })

  test('told, believed and true are compared', () => {
    expect(differences(view(doubleClick()))).toEqual([])
    expect(differences(view(doubleCharge()))).toEqual([{ order: 'order-1', who: 'bank', words: 'the bank has 2 charges of $99.00 for one order: the customer paid twice' }])
    const believes = record((say) => {
      say(0, 'engine', 'payment.claimed', { payment: 'pay_1', ...ORDER, deadlineMs: 5000, epoch: 1 })
      say(5, 'mock', 'bank.charged', { charge: 'ch_1', key: 'b', reference: 'pay_1', amount: 9900, currency: 'USD' })
      say(6, 'engine', 'payment.moved', { payment: 'pay_1', from: 'sent', to: 'declined', epoch: 1, why: '' })
    })
    expect(differences(view(believes))).toEqual([{ order: 'order-1', who: 'engine', words: 'the engine believes that nothing was charged, and the bank has 1 charge of $99.00' }])
  })

  test('a client that was told "not charged" and asked again was told the truth', () => {
    const events = record((say) => {
      const answer = { client: 'client', ...ORDER, outcome: 'ok', payment: null, digest: null, replayed: false }
      say(0, 'client', 'client.sent', { client: 'client', ...ORDER })
      say(5, 'client', 'client.told', { ...answer, status: 503, told: 'not_charged', ms: 5 })
      say(6, 'client', 'client.sent', { client: 'client', ...ORDER })
      say(8, 'mock', 'bank.charged', { charge: 'ch_1', key: 'b', reference: 'order-1', amount: 9900, currency: 'USD' })
      say(9, 'client', 'client.told', { ...answer, status: 201, told: 'charged', ms: 3 })
    })
    expect(differences(view(events))).toEqual([])
    expect(story(view(events))).toBe('1 client asked twice, 1 charge of $99.00. The client was told so, and it is true.')
  })

  test('a charge of an unknown reference goes to the order with its amount', () => {
    const events = [...crowd(2, 0)].filter((event) => event.src === 'client')
    const folded = view([...events, { ...events[0]!, seq: 99, src: 'mock', type: 'bank.charged', charge: 'ch', reference: 'theirs', key: 'k', amount: 10_100, currency: 'USD' }])
    expect(folded.orders.get('order-2')!.charges).toHaveLength(1)
  })

  test('lists are bounded, counts are not', () => {
    const folded = view(crowd(ORDERS_KEPT + 50, 7))
    expect(folded.orders.size).toBe(ORDERS_KEPT)
    expect(folded.events).toHaveLength(EVENTS_KEPT)
    expect(folded.counts).toMatchObject({ clicks: ORDERS_KEPT + 50, charges: ORDERS_KEPT + 51 })
    expect(story(folded)).toMatch(/^5,050 orders, 5,050 clicks: 5,049 charged once \(\$13,253,831\.00 in all\), 1 charged twice\. 1 earlier orders differ\./)
  })

  test('what a terminal would obey is made visible before it is kept', () => {
    const folded = view(record((say) => say(0, 'client', 'client.sent', { client: 'c\u001b[2J', ...ORDER, order: 'a\nb\u202e' })))
    expect(folded.clicks[0]).toMatchObject({ client: 'c\\e[2J', order: 'a\\nb\\u202e' })
    expect(JSON.stringify(folded.events)).not.toMatch(/\\u001b|\\u202e(?!")/)
  })

  test('events without any of their fields, and of no known type, break nothing', () => {
    const types = [...new Set([...doubleClick(), ...doubleCharge(), ...declined()].map((event) => event.type)), 'bank.refunded', 'bank.voided', 'bank.replayed', 'payment.alarmed', 'node.paused', '__proto__', 'no.such_thing']
    expect(() => story(view(record((say) => types.forEach((type) => say(1, 'lab', type)))))).not.toThrow()
  })

  test('the same events make the same view', () => {
    expect(view(doubleClick())).toEqual(view(doubleClick()))
  })
})

test('money has the decimals of its currency, and survives a currency that is none', () => {
  expect([money(9900, 'USD'), money(9900, 'JPY'), money(9900, 'KWD'), money(9900, 'zorkmids')]).toEqual(['$99.00', '¥9,900', 'KWD\u00a09.900', '9900 zorkmids'])
})
