/** Steps that payment scenarios have in common. */
import type { Event } from '../../events.ts'
import type { Random } from '../../random.ts'
import type { World } from '../../scenario.ts'
import type { PaymentAdapter, PayOrder } from './adapter.ts'
import type { AskOptions, Reply, Shop } from './shop.ts'

type PaymentWorld = World<PaymentAdapter>

/** Longest wait for something that must happen, ms: beyond the engine's lease, its settle time and a few of its back-offs. */
const PATIENCE_MS = 45_000
const ASK_EVERY_MS = 500

/** The next event of a type, within a patience that is beyond all the engine's waits. */
export function next(world: PaymentWorld, type: string, matches: (event: Event) => boolean = () => true): Promise<Event | undefined> {
  return world.until((event) => event.type === type && matches(event), PATIENCE_MS)
}

/** The next charge request that reaches the bank. */
export function nextCharge(world: PaymentWorld): Promise<Event | undefined> {
  return next(world, 'bank.received', (event) => event['ask'] === 'charge')
}

/** Counts from now on the requests that reach the bank, or only those of one kind. */
export function bankAsked(world: PaymentWorld, ask?: 'charge' | 'capture' | 'lookup' | 'refund' | 'void', bank?: string): () => number {
  return world.tally((event) => event.type === 'bank.received' && (ask === undefined || event['ask'] === ask) && (bank === undefined || (event['bank'] ?? 'bank') === bank))
}

/** Minor units that have left customers since now, less what was given back or voided. */
export function bankHolds(world: PaymentWorld): () => number {
  const charges = new Map<string, number>()
  world.tally((event) => {
    const charge = String(event['charge'])
    if (event.type === 'bank.charged') charges.set(charge, event['amount'])
    if (event.type === 'bank.refunded') charges.set(charge, charges.get(charge)! - event['amount'])
    if (event.type === 'bank.voided') charges.delete(charge)
    return false
  })
  return () => [...charges.values()].reduce((sum, amount) => sum + amount, 0)
}


/** Customers come for so long by chance, so many a second on average. A machine that falls behind catches up: it is the plan that says when they come. */
export async function arrivals({ clock }: PaymentWorld, chance: Random, perSecond: number, forMs: number, comes: () => void): Promise<void> {
  const begun = clock.monotonic()
  for (let at = 0; ; ) {
    at += (-Math.log(1 - chance.next()) * 1000) / perSecond
    const early = begun + Math.min(at, forMs) - clock.monotonic()
    if (early > 0) await clock.sleep(early)
    if (at >= forMs) return
    comes()
  }
}

/** Begins the work, waits until it has cost the node its life, and restarts the node. Answers what came of the work. */
export async function throughDeath<T>(world: PaymentWorld, work: () => Promise<T>): Promise<T> {
  const death = next(world, 'node.killed')
  const done = work()
  await death
  await world.restart()
  return done
}

/** Asks where the payment stands until told `word`, for as long as `next` waits. */
export async function askUntil(world: PaymentWorld, shop: Shop, order: PayOrder, word: Reply['told'], as = 'customer'): Promise<Reply> {
  const end = world.clock.monotonic() + PATIENCE_MS
  for (;;) {
    const reply = await shop.ask(order, as)
    if (reply.told === word || world.clock.monotonic() > end) return reply
    await world.clock.sleep(ASK_EVERY_MS)
  }
}

export function expectTold(world: PaymentWorld, name: string, reply: Reply, ...words: Reply['told'][]): void {
  world.expect(name, words.includes(reply.told), `told "${reply.told}"`)
}

/** Exactly `wanted` of what a tally counts. */
export function expectCount(world: PaymentWorld, name: string, count: () => number, wanted: number): void {
  world.expect(name, count() === wanted, `${count()} instead of ${wanted}`.replace(/^(\d+) instead of \1$/, '$1'))
}

export function expectAtMost(world: PaymentWorld, name: string, seen: number, most: number): void {
  world.expect(name, seen <= most, seen <= most ? `${seen} of at most ${most}` : `${seen}, and at most ${most} were allowed`)
}

/** How many were told one of the words. */
export function told(replies: readonly Reply[], ...words: Reply['told'][]): number {
  return replies.filter((reply) => words.includes(reply.told)).length
}

/** All of them were told one of the words. */
export function expectAllTold(world: PaymentWorld, name: string, replies: readonly Reply[], ...words: Reply['told'][]): void {
  const others = [...new Set(replies.filter((reply) => !words.includes(reply.told)).map((reply) => reply.told))]
  world.expect(name, others.length === 0, `${told(replies, ...words)} of ${replies.length} told "${words.join('" or "')}"${others.length > 0 ? `, others "${others.join('", "')}"` : ''}`)
}

/** So many of them at least were told one of the words, and the others that they were not charged. */
export function expectEnoughTold(world: PaymentWorld, name: string, replies: readonly Reply[], least: number, ...words: Reply['told'][]): void {
  const [went, turnedAway] = [told(replies, ...words), told(replies, 'not_charged')]
  world.expect(name, went >= least && went + turnedAway === replies.length, `${went} of ${replies.length} told "${words.join('" or "')}", ${turnedAway} turned away`)
}

/** Keeps the events from now on for which `wanted` says yes, in their order. */
export function collect(world: PaymentWorld, wanted: (event: Event) => boolean): Event[] {
  const seen: Event[] = []
  world.tally((event) => {
    const yes = wanted(event)
    if (yes) seen.push(event)
    return yes
  })
  return seen
}

const isCharge = (event: Event) => event.type === 'exchange.opened' && event['link'] === 'bank' && event['method'] === 'POST' && event['path'] === '/v1/charges'

/** Charge requests that leave for the bank from now on, whether they get there or not. */
export function chargesSent(world: PaymentWorld): Event[] {
  return collect(world, isCharge)
}

/** So many customers with an order each, `everyMs` apart (0: all at once). Answers what each was told, in the order of their coming. */
export async function crowd(world: PaymentWorld, shop: Shop, many: number, everyMs: number, options: AskOptions = {}): Promise<Reply[]> {
  const replies: Promise<Reply>[] = []
  for (let n = 0; n < many; n++) {
    if (n > 0 && everyMs > 0) await world.clock.sleep(everyMs)
    const order = shop.order()
    replies.push(shop.pay(order, `customer of ${order.order}`, options))
  }
  return Promise.all(replies)
}

/** The bank's front answers charge requests with this, and the bank never sees them. */
const TURNED_AWAY = { status: 503, retry_after: 1, method: 'POST', path: '/v1/charges' }

/** While the work goes on the bank turns charge requests away, with the proof that it did nothing. At least one must come. */
export async function whileTurnedAway<T>(world: PaymentWorld, work: () => Promise<T>, attributes: Record<string, number | string> = {}): Promise<T> {
  const wellAgain = world.toxic({ link: 'bank', type: 'http_error', attributes: { ...TURNED_AWAY, ...attributes } })
  const done = await work()
  wellAgain()
  return done
}

/**
 * Counts from now on the charge requests whose bank was promised more time than their client has left, or was not told how much.
 * Amounts tell the clients apart.
 */
export function overdrawn(world: PaymentWorld): () => number {
  const sentAt = new Map<number, number>()
  return world.tally((event) => {
    if (event.type === 'client.sent' && event['ask'] === 'pay') sentAt.set(event['amount'], event.t)
    if (event.type !== 'bank.received' || event['ask'] !== 'charge') return false
    const start = sentAt.get(event['amount'])
    return event['timeoutMs'] === null || start === undefined || event.t - start + event['timeoutMs'] > world.adapter.deadlineMs
  })
}
