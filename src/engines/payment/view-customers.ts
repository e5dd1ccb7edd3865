/**
 * What all customers together see: who has been told what, how fast, how the deadline of their payments is spent, and what is still in doubt.
 *
 *   client.told ──▶ who has which word, now and over time
 *   hop.*       ──▶ where the time of a payment went: fraud, waiting for a place, the bank
 *   moved       ──▶ outcomes that became unknown, and were resolved
 */
import type { Event } from '../../events.ts'
import type { ToldWord } from './adapter.ts'
import type { Tally } from './tally.ts'
import { count, tally } from './tally.ts'

/** What a customer can do with what was said: `paid` is done, `later` may pay again, `pending` may not, `failed` was told nothing of use. */
export type Word = 'paid' | 'later' | 'pending' | 'declined' | 'failed'
export const WORDS: readonly Word[] = ['paid', 'later', 'pending', 'declined', 'failed']

/** As it stands before a number of customers. */
export const SAID: Record<Word, string> = { paid: 'paid', later: 'try later', pending: 'pending', declined: 'declined', failed: 'no answer' }

/** More customers than this are looked at together: no table has room for them. */
export const CROWD = 20

const WORD_OF: Record<ToldWord, Word> = {
  charged: 'paid', authorised: 'paid', not_charged: 'later', pending: 'pending', review: 'pending', conflict: 'pending', declined: 'declined', refused: 'failed', not_found: 'failed', nothing: 'failed',
}

/** Payments whose time is followed, and outcomes in doubt; the oldest go first. */
const OPEN_KEPT = 20_000
/** Faults whose strikes are counted, each by its name. */
const FAULTS_KEPT = 50
/** Answers over which the spending of the deadline is averaged; of those that asked a bank, for the others spent next to nothing. */
const SPENDINGS_KEPT = 500
/** What a customer is promised where nobody says it, ms. */
const USUAL_DEADLINE_MS = 5000

/** How one payment spent its deadline until it was answered, ms. */
export interface Spending {
  fraudMs: number
  /** Behind fraud and between two calls of the bank: for a place, for a back-off. */
  waitingMs: number
  bankMs: number
  /** All of it, our own work and look-ups included. */
  spentMs: number
  deadlineMs: number
}

/** A payment that is not answered yet. */
interface Way {
  claimedAt: number
  fraudMs: number
  waitingMs: number
  bankMs: number
  /** Since when, while it does. */
  waitsSince: number | null
  askedBank: boolean
  atBankSince: number | null
}

export interface Customers {
  /** Orders that somebody asked to pay, over time. */
  asked: Tally
  /** Who has which word now; an order counts once. */
  now: Record<Word, number>
  /** Orders that came to have that word, over time. */
  came: Record<Word, Tally>
  /** Answers that took more than half of what was promised. */
  slow: Tally
  deadlineMs: number
  /** Faults that struck, over time, by name: `bank: slow`. */
  strikes: Map<string, Tally>
  ways: Map<string, Way>
  /** Of `ways`, those that wait for a place at a bank. */
  waiting: number
  spendings: Spending[]
  /** Of the deadline what is kept back for the answer's way, ms, as the bank's time-out shows it; null until one was seen. */
  reserveMs: number | null
  /** Charge requests that reached a bank. */
  chargesAsked: number
  unknown: {
    made: number
    resolved: number
    /** Given to an operator. */
    handed: number
    /** Since when, by payment, the oldest first. */
    open: Map<string, number>
    longestMs: number
  }
}

export function customers(): Customers {
  return {
    asked: tally(),
    now: { paid: 0, later: 0, pending: 0, declined: 0, failed: 0 },
    came: { paid: tally(), later: tally(), pending: tally(), declined: tally(), failed: tally() },
    slow: tally(), deadlineMs: USUAL_DEADLINE_MS, strikes: new Map(), ways: new Map(), waiting: 0, spendings: [], reserveMs: null, chargesAsked: 0,
    unknown: { made: 0, resolved: 0, handed: 0, open: new Map(), longestMs: 0 },
  }
}

/** One answer to a client. `before` is the order's word so far; the answer is its word from now on. */
export function heard(of: Customers, { t, told: word, ms, ask }: Event, before: Word | null): Word {
  const next = WORD_OF[word as ToldWord] ?? 'failed'
  if (ask === 'pay' && ms > of.deadlineMs / 2) count(of.slow, t)
  if (next === before) return next
  if (before !== null) of.now[before]--
  of.now[next]++
  count(of.came[next], t)
  return next
}

/** Takes the event into the view of the customers, if it is about their payments. */
export function foldCustomers(of: Customers, event: Event): void {
  if (Object.hasOwn(FOLDS, event.type)) FOLDS[event.type]!(of, event)
}

const FOLDS: Record<string, (of: Customers, event: Event) => unknown> = {
  'run.started': (of, { options }) => {
    if (typeof options?.deadlineMs === 'number') of.deadlineMs = options.deadlineMs
  },
  'payment.claimed': (of, { t, payment }) => {
    const known = of.ways.get(payment)
    if (known) rest(of, known)
    of.ways.set(payment, { claimedAt: t, fraudMs: 0, waitingMs: 0, bankMs: 0, waitsSince: null, askedBank: false, atBankSince: null })
    if (of.ways.size > OPEN_KEPT) forget(of, of.ways.keys().next().value!)
  },
  'hop.started': (of, { t, payment, hop, timeoutMs }) => {
    const way = of.ways.get(payment)
    if (!way || hop !== 'bank') return
    rest(of, way, t)
    way.askedBank = true
    way.atBankSince = t
    of.reserveMs = Math.max(0, Math.round(of.deadlineMs - (t - way.claimedAt) - timeoutMs))
  },
  'hop.ended': (of, { t, payment, hop, ms }) => {
    const way = of.ways.get(payment)
    if (!way) return
    if (hop === 'fraud') way.fraudMs += ms ?? 0
    else if (hop === 'bank') {
      way.bankMs += ms ?? 0
      way.atBankSince = null
    } else return
    wait(of, way, t)
  },
  'hop.refused': (of, { t, payment, hop }) => {
    const way = of.ways.get(payment)
    if (way && hop === 'fraud') wait(of, way, t)
  },
  'payment.moved': (of, { t, payment, from, to }) => {
    const way = of.ways.get(payment)
    if (way && to !== 'sent') rest(of, way, t)
    doubt(of, t, payment, from, to)
  },
  'payment.answered': (of, { t, payment, spentMs, deadlineMs }) => {
    const way = of.ways.get(payment)
    if (!way) return
    rest(of, way, t)
    if (way.atBankSince !== null) way.bankMs += t - way.atBankSince
    of.ways.delete(payment)
    if (!way.askedBank) return
    of.spendings.push({ fraudMs: way.fraudMs, waitingMs: way.waitingMs, bankMs: way.bankMs, spentMs: spentMs ?? t - way.claimedAt, deadlineMs: deadlineMs ?? of.deadlineMs })
    if (of.spendings.length > SPENDINGS_KEPT) of.spendings.shift()
  },
  'bank.received': (of, { ask }) => {
    if (ask === 'charge') of.chargesAsked++
  },
  'toxic.hit': (of, { t, link, toxic }) => struck(of, `${link}: ${toxic}`, t),
  'bank.lied': (of, { t, lie }) => struck(of, `bank: ${lie}`, t),
  'fraud.lied': (of, { t, lie }) => struck(of, `fraud: ${lie}`, t),
  'notification.lied': (of, { t, lie }) => struck(of, `notification: ${lie}`, t),
  'bank.worked': (of, { t, outcome }) => outcome !== 'done' && struck(of, 'bank: weather', t),
  'fraud.worked': (of, { t, outcome }) => outcome !== 'done' && struck(of, 'fraud: weather', t),
  'notification.worked': (of, { t, outcome }) => outcome !== 'done' && struck(of, 'notification: weather', t),
}

function struck(of: Customers, fault: string, t: number): void {
  let strikes = of.strikes.get(fault)
  if (!strikes) of.strikes.set(fault, (strikes = tally()))
  count(strikes, t)
  if (of.strikes.size > FAULTS_KEPT) of.strikes.delete(of.strikes.keys().next().value!)
}

function wait(of: Customers, way: Way, t: number): void {
  if (way.waitsSince === null) of.waiting++
  way.waitsSince ??= t
}

/** It waits no longer. */
function rest(of: Customers, way: Way, t = way.waitsSince ?? 0): void {
  if (way.waitsSince === null) return
  of.waiting--
  way.waitingMs += Math.max(0, t - way.waitsSince)
  way.waitsSince = null
}

function forget(of: Customers, payment: string): void {
  const way = of.ways.get(payment)
  if (way) rest(of, way)
  of.ways.delete(payment)
}

function doubt(of: Customers, t: number, payment: string, from: unknown, to: unknown): void {
  const { unknown } = of
  if (to === 'unknown') {
    if (unknown.open.has(payment)) return
    unknown.made++
    unknown.open.set(payment, t)
    if (unknown.open.size > OPEN_KEPT) unknown.open.delete(unknown.open.keys().next().value!)
    return
  }
  // Sent again is still in doubt.
  const since = unknown.open.get(payment)
  if (to === 'sent' || (since === undefined && from !== 'unknown')) return
  unknown.open.delete(payment)
  unknown.longestMs = Math.max(unknown.longestMs, since === undefined ? 0 : t - since)
  if (to === 'review') unknown.handed++
  else unknown.resolved++
}

// ── what it comes to ────────────────────────────────────────────────────────────────────────────────────────────

/** Customers who have not been told anything yet. */
export function waiting({ asked, now }: Customers): number {
  return Math.max(0, asked.all - WORDS.reduce((sum, word) => sum + now[word], 0))
}

/** The mean spending of the latest answers, and the longest of them; null before the first. */
export function spent({ spendings }: Customers): { mean: Spending; longest: Spending; answers: number } | null {
  const [first] = spendings
  if (!first) return null
  const mean: Spending = { fraudMs: 0, waitingMs: 0, bankMs: 0, spentMs: 0, deadlineMs: 0 }
  let longest = first
  for (const one of spendings) {
    if (one.spentMs > longest.spentMs) longest = one
    for (const part of Object.keys(mean) as (keyof Spending)[]) mean[part] += one[part] / spendings.length
  }
  return { mean, longest, answers: spendings.length }
}

/** Outcomes in doubt: how many, and for how long the oldest has been, ms. */
export function inDoubt({ unknown: { open } }: Customers, now: number): { open: number; oldestMs: number } {
  const [oldest] = open.values()
  return { open: open.size, oldestMs: oldest === undefined ? 0 : Math.max(0, now - oldest) }
}
