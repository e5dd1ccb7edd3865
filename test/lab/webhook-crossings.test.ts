/** Crashes at the crossings of a webhook node: each strikes where it was seen, the reference bears them, an engine that forgets does not. */
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { cut, webhookCrossings } from '../../src/lab/webhook-crossings.ts'
import { plant } from '../mutants/plant.ts'

const SMALL = fileURLToPath(new URL('two-webhooks.ts', import.meta.url))

it('every crossing of a small story is cut, each crash strikes, and nothing is violated', async () => {
  const { crossings, of } = await webhookCrossings(SMALL)
  expect(crossings.length).toBe(of)
  expect(of).toBeGreaterThan(20)
  expect(crossings.map(({ point }) => point.site)).toEqual(expect.arrayContaining(['tx:beat', 'tx:claim', 'tx:enqueue', 'tx:finish', 'call:customer-1', 'answer']))
  for (const crossing of crossings) expect(await cut(crossing), JSON.stringify(crossing)).toMatchObject({ struck: true, violations: [] })
}, 240_000)

it('a script that cannot go on after a crash sends nothing more: all that was taken has come to rest', async () => {
  const { crossings } = await webhookCrossings('W-KILL-LOOP')
  const stuck = crossings.filter(({ life, point: { site, nth, when } }) => life === 1 && site === 'tx:claim' && nth === 50 && when === 'after')
  expect(stuck).toHaveLength(1)
  expect(await cut(stuck[0]!)).toMatchObject({ struck: true, violations: [] })
}, 240_000)

it('an engine that acknowledges an event before it has its deliveries is convicted by some of the same cuts', async () => {
  const planted = plant(['webhook', 'policies'], 'forgets-at-a-death', [
    ['webhook/events.ts', "return this.#store.transaction('enqueue', (tx) => this.enqueue(tx, event))", "return this.#store.transaction('enqueue', (tx) => this.enqueue(tx, event)).then(async (taken) => (taken.replayed ? { ...taken, deliveries: 1 } : { ...taken, deliveries: await this.#store.transaction('fan-out', (tx) => fanOut(tx, event.tenant ?? DEFAULT_TENANT, event.type, taken.seq, event.key ?? null, this.#clock.now())) }))"],
    ['webhook/events.ts', 'deliveries: await fanOut(tx, tenant, type, seq, key ?? null, now), replayed: false', 'deliveries: 0, replayed: false'],
  ])
  try {
    const subject = { kind: 'module' as const, file: planted.file }
    const { crossings } = await webhookCrossings(SMALL, subject)
    const convicted = []
    for (const crossing of crossings.filter(({ point }) => point.site === 'tx:enqueue' || point.site === 'tx:fan-out')) convicted.push(...(await cut(crossing, subject)).violations)
    expect(convicted).toContainEqual(expect.stringMatching(/^w1-none-lost: /))
  } finally {
    planted.forget()
  }
}, 240_000)
