/** Steps that payment scenarios have in common. */
import type { Event } from '../../events.ts'
import type { World } from '../../scenario.ts'
import type { PaymentAdapter, PayOrder } from './adapter.ts'
import type { Reply, Shop } from './shop.ts'

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
