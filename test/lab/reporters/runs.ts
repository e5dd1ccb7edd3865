/** Runs written by hand, as the event stream tells them: what the view, the screens and the reports are tested with. */
import type { Event, Fields, Source } from '../../../src/events.ts'

export const KEY = 'key_0gmy7qgwp9tzs80v'
export const BANK_KEY = 'bk_zz8cecc0m5t46nda'
export const PAYMENT = 'pay_9x0gbbw9654nxrxh'
export const CHARGE = 'ch_1ywc2tcfvkgy6g1p'

const ORDER = { key: KEY, order: 'order-1', amount: 9900, currency: 'USD' }

type Script = (say: (t: number, src: Source, type: string, fields?: Fields, node?: string | null) => void) => void

export function record(script: Script): Event[] {
  const events: Event[] = []
  script((t, src, type, fields = {}, node = null) => events.push({ run: '7f3a', seq: events.length + 1, t, at: 1_893_456_000_000 + Math.floor(t), src, node, type, ...fields }))
  return events
}

const sent = (client: string, more: Fields = {}) => ({ client, ask: 'pay', ...ORDER, changed: false, ...more })
const told = (client: string, more: Fields = {}) => ({ client, ask: 'pay', ...ORDER, changed: false, outcome: 'ok', status: 201, told: 'charged', payment: PAYMENT, safeNewKey: false, digest: 'd1', replayed: false, ms: 430, ...more })
const charged = (more: Fields = {}) => ({ charge: CHARGE, key: BANK_KEY, reference: PAYMENT, amount: 9900, currency: 'USD', ...more })
const finding = (invariant: string, looked: string, verdict = 'held', violations: Fields[] = []) => ({ invariant, verdict, looked, violations })
const INVARIANTS = ['at-most-one-charge', 'same-key-same-answer', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline']
const LOST_RESPONSE = { link: 'bank', toxic: 'lost_response_downstream', toxicType: 'lost_response' }
const started = (scenario: string, more: Fields = {}) => ({ scenario, summary: 'what happens when this fails', mode: 'sim', seed: 7, subject: 'reference', toxics: [], invariants: INVARIANTS, options: { clicks: 2, amountMinor: 9900, currency: 'USD', deadlineMs: 5000 }, ...more })
const ended = (verdict: string, exit: number, story: string, findings: Fields[], more: Fields = {}) => ({ verdict, exit, story, findings, unfired: [], seed: 7, again: 'resil pay --double-click --seed 7', ms: 440, ...more })

/** The answer of the bank is lost after it charged; look-up finds the charge; both clicks are told the same. */
export const doubleClick = () =>
  record((say) => {
    say(0, 'lab', 'run.started', started('double-click', { toxics: [{ link: 'bank', type: 'lost_response', attributes: { method: 'POST', first: 1 } }] }))
    say(0, 'lab', 'node.started', { incarnation: 1 }, 'n1')
    say(0, 'lab', 'world.opened', { urls: {} })
    say(0, 'proxy', 'toxic.added', { ...LOST_RESPONSE, stream: 'downstream', attributes: { then: 'rst', method: 'POST', first: 1 } })
    say(0, 'client', 'client.sent', sent('click 1'))
    say(0, 'proxy', 'exchange.opened', { link: 'payments', connection: 1, exchange: 1, method: 'POST', path: '/v1/payments', key: KEY })
    say(0, 'engine', 'payment.claimed', { payment: PAYMENT, ...ORDER, deadlineMs: 5000, epoch: 1 }, 'n1')
    say(0, 'engine', 'hop.started', { payment: PAYMENT, hop: 'fraud', attempt: 1, timeoutMs: 500, bankKey: null }, 'n1')
    say(30, 'mock', 'fraud.assessed', { reference: PAYMENT, amount: 9900, decision: 'allow' })
    say(31, 'engine', 'hop.ended', { payment: PAYMENT, hop: 'fraud', attempt: 1, outcome: 'ok', status: 200, detail: '', ms: 31 }, 'n1')
    say(31, 'engine', 'hop.started', { payment: PAYMENT, hop: 'bank', attempt: 1, timeoutMs: 4469, bankKey: BANK_KEY }, 'n1')
    say(31, 'proxy', 'exchange.opened', { link: 'bank', connection: 1, exchange: 1, method: 'POST', path: '/v1/charges', key: BANK_KEY })
    say(32, 'mock', 'bank.received', { ask: 'charge', key: BANK_KEY, reference: PAYMENT, amount: 9900, currency: 'USD' })
    say(40, 'client', 'client.sent', sent('click 2'))
    say(40, 'engine', 'payment.joined', { payment: PAYMENT, key: KEY }, 'n1')
    say(118, 'mock', 'bank.charged', charged())
    say(118, 'proxy', 'toxic.hit', { ...LOST_RESPONSE, connection: 1, exchange: 1, action: 'answer dropped, connection reset' })
    say(118, 'proxy', 'exchange.cut', { link: 'bank', exchange: 1, how: 'rst', by: 'toxic' })
    say(119, 'engine', 'hop.ended', { payment: PAYMENT, hop: 'bank', attempt: 1, outcome: 'unknown', status: 0, detail: 'RESET', ms: 88 }, 'n1')
    say(119, 'engine', 'payment.moved', { payment: PAYMENT, from: 'sent', to: 'unknown', epoch: 1, why: 'RESET' }, 'n1')
    say(119, 'engine', 'hop.started', { payment: PAYMENT, hop: 'lookup', attempt: 1, timeoutMs: 2500, bankKey: BANK_KEY }, 'n1')
    say(150, 'mock', 'bank.looked_up', { by: 'key', value: BANK_KEY, found: 0 })
    say(151, 'engine', 'hop.ended', { payment: PAYMENT, hop: 'lookup', attempt: 1, outcome: 'ok', status: 200, detail: '', ms: 32 }, 'n1')
    say(151, 'engine', 'payment.waiting', { payment: PAYMENT, ms: 200, why: 'not found; it proves nothing for another 9880 ms' }, 'n1')
    say(351, 'engine', 'hop.started', { payment: PAYMENT, hop: 'lookup', attempt: 2, timeoutMs: 2500, bankKey: BANK_KEY }, 'n1')
    say(429, 'mock', 'bank.looked_up', { by: 'key', value: BANK_KEY, found: 1 })
    say(430, 'engine', 'hop.ended', { payment: PAYMENT, hop: 'lookup', attempt: 2, outcome: 'ok', status: 200, detail: '', ms: 79 }, 'n1')
    say(430, 'engine', 'payment.moved', { payment: PAYMENT, from: 'unknown', to: 'succeeded', epoch: 1, why: CHARGE }, 'n1')
    say(430, 'engine', 'hop.started', { payment: PAYMENT, hop: 'notify', attempt: 1, timeoutMs: 1000, bankKey: null }, 'n1')
    say(430, 'engine', 'payment.answered', { payment: PAYMENT, status: 201, told: 'succeeded', spentMs: 430, deadlineMs: 5000 }, 'n1')
    say(430, 'client', 'client.told', told('click 1'))
    say(430, 'client', 'client.told', told('click 2', { replayed: true, ms: 390 }))
    say(439, 'mock', 'notification.received', { id: 'evt_66ske0gk2dghtgqa', payment: PAYMENT, duplicate: false })
    say(440, 'engine', 'hop.ended', { payment: PAYMENT, hop: 'notify', attempt: 1, outcome: 'ok', status: 202, detail: '', ms: 10 }, 'n1')
    say(440, 'lab', 'run.ended', ended('held', 0, '2 clicks, 1 charge of $99.00. Both clicks were told the same, and it is true.', [
      finding('at-most-one-charge', '1 charge, 1 order'),
      finding('same-key-same-answer', '2 answers'),
      finding('answer-matches-ledger', '2 answers'),
      finding('no-lost-payment', 'final 0.3 s after the charge'),
      finding('within-deadline', '0.4 of 5.0 s'),
    ]))
  })

/** A service of a stranger that sends the charge again with a new bank key: two charges, and both clicks told of one. */
export const doubleCharge = () =>
  record((say) => {
    const why = 'order-1 has 2 charges that stand: $198.00 in all'
    say(0, 'lab', 'run.started', started('double-click', { mode: 'wire', subject: 'http://127.0.0.1:3000' }))
    say(5, 'client', 'client.sent', sent('click 1'))
    say(45, 'client', 'client.sent', sent('click 2'))
    say(50, 'proxy', 'exchange.opened', { link: 'bank', connection: 1, exchange: 1, method: 'POST', path: '/v1/charges', key: 'a' })
    say(90, 'mock', 'bank.charged', charged({ key: 'a', reference: 'order-1' }))
    say(90, 'proxy', 'toxic.hit', { ...LOST_RESPONSE, connection: 1, exchange: 1, action: 'answer dropped, connection reset' })
    say(91, 'proxy', 'exchange.cut', { link: 'bank', exchange: 1, how: 'rst', by: 'toxic' })
    say(95, 'proxy', 'exchange.opened', { link: 'bank', connection: 2, exchange: 2, method: 'POST', path: '/v1/charges', key: 'b' })
    say(140, 'mock', 'bank.charged', charged({ charge: 'ch_2', key: 'b', reference: 'order-1' }))
    say(140, 'lab', 'invariant.violated', { invariant: 'at-most-one-charge', why, witness: [5, 9] })
    say(141, 'proxy', 'exchange.answered', { link: 'bank', exchange: 2, status: 201, ms: 46 })
    say(150, 'client', 'client.told', told('click 1', { payment: null, ms: 145 }))
    say(151, 'client', 'client.told', told('click 2', { payment: null, ms: 106 }))
    say(200, 'lab', 'run.ended', ended('violated', 1, '2 clicks, 2 charges of $99.00: the customer paid twice. Both clicks were told of one charge.', [
      finding('at-most-one-charge', '2 charges, 1 order', 'violated', [{ why, witness: [5, 9] }]),
      finding('same-key-same-answer', '2 answers'),
      finding('no-lost-payment', 'the service has no look-up', 'undecided'),
    ]))
  })

/** The bank declines; the client is told so. */
export const declined = () =>
  record((say) => {
    say(0, 'lab', 'run.started', started('single'))
    say(0, 'client', 'client.sent', sent('client'))
    say(0, 'engine', 'payment.claimed', { payment: PAYMENT, ...ORDER, deadlineMs: 5000, epoch: 1 }, 'n1')
    say(1, 'engine', 'hop.started', { payment: PAYMENT, hop: 'bank', attempt: 1, timeoutMs: 4469, bankKey: BANK_KEY }, 'n1')
    say(60, 'mock', 'bank.declined', { key: BANK_KEY, reference: PAYMENT, amount: 9900, currency: 'USD', reason: 'insufficient_funds' })
    say(61, 'engine', 'hop.ended', { payment: PAYMENT, hop: 'bank', attempt: 1, outcome: 'ok', status: 402, detail: '', ms: 60 }, 'n1')
    say(61, 'engine', 'payment.moved', { payment: PAYMENT, from: 'sent', to: 'declined', epoch: 1, why: 'insufficient_funds' }, 'n1')
    say(62, 'client', 'client.told', told('client', { status: 402, told: 'declined', ms: 62 }))
  })

/** The bank is silent: the client is told that it is pending, and the look-up tells nothing yet. */
export const pending = () =>
  record((say) => {
    say(0, 'lab', 'run.started', started('bank-silent', { toxics: [{ link: 'bank', type: 'timeout', name: 'never', attributes: {} }] }))
    say(0, 'client', 'client.sent', sent('client'))
    say(0, 'engine', 'payment.claimed', { payment: PAYMENT, ...ORDER, deadlineMs: 5000, epoch: 1 }, 'n1')
    say(1, 'engine', 'hop.started', { payment: PAYMENT, hop: 'bank', attempt: 1, timeoutMs: 4000, bankKey: BANK_KEY }, 'n1')
    say(4001, 'engine', 'hop.ended', { payment: PAYMENT, hop: 'bank', attempt: 1, outcome: 'unknown', status: 0, detail: 'TIMEOUT', ms: 4000 }, 'n1')
    say(4001, 'engine', 'payment.moved', { payment: PAYMENT, from: 'sent', to: 'unknown', epoch: 1, why: 'TIMEOUT' }, 'n1')
    say(4002, 'engine', 'payment.waiting', { payment: PAYMENT, ms: 10_000, why: 'the look-up told nothing' }, 'n1')
    say(4750, 'engine', 'payment.answered', { payment: PAYMENT, status: 202, told: 'unknown', spentMs: 4750, deadlineMs: 5000 }, 'n1')
    say(4751, 'client', 'client.told', told('client', { status: 202, told: 'pending', ms: 4751 }))
  })

/** Many orders, each charged once, but for the one that was charged twice. */
export const crowd = (orders = 40, twice = 7) =>
  record((say) => {
    say(0, 'lab', 'run.started', started('crowd', { mode: 'wire' }))
    say(0, 'lab', 'world.opened', { urls: { payments: 'http://127.0.0.1:41001', bank: 'http://127.0.0.1:41002', fraud: 'http://127.0.0.1:41003', notification: 'http://127.0.0.1:41004' } })
    for (let n = 1; n <= orders; n++) {
      const order = { key: `key_${n}`, order: `order-${n}`, amount: 9900 + n * 100, currency: 'USD' }
      const t = n * 10
      say(t, 'client', 'client.sent', { client: `client ${n}`, ask: 'pay', ...order, changed: false })
      say(t, 'engine', 'payment.claimed', { payment: `pay_${n}`, ...order, deadlineMs: 5000, epoch: 1 }, 'n1')
      for (let copy = 0; copy < (n === twice ? 2 : 1); copy++) say(t + 5, 'mock', 'bank.charged', { charge: `ch_${n}_${copy}`, key: `bk_${n}`, reference: `pay_${n}`, amount: order.amount, currency: 'USD' })
      say(t + 6, 'engine', 'payment.moved', { payment: `pay_${n}`, from: 'sent', to: 'succeeded', epoch: 1, why: `ch_${n}` }, 'n1')
      say(t + 7, 'client', 'client.told', { client: `client ${n}`, ask: 'pay', ...order, changed: false, outcome: 'ok', status: 201, told: 'charged', payment: `pay_${n}`, safeNewKey: false, digest: `d${n}`, replayed: false, ms: 7 })
    }
  })
