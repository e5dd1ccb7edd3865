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

/** A crash there, and what of it the laboratory or a judge once took for the engine's fault. */
const ONCE = [
  { scenario: 'W-KILL-LOOP', site: 'tx:claim', nth: 50, when: 'after', fault: 'a script that could not go on sent events to the end of the run' },
  { scenario: 'W-4XX', site: 'tx:claim', nth: 37, when: 'after', fault: 'a failure that the crash kept from the store was counted' },
  { scenario: 'W-CLOCK', site: 'tx:claim', nth: 1387, when: 'before', fault: "the machine's clock was right again, and the next step set it wrong" },
] as const

it.each(ONCE)('$scenario bears a crash at $site $nth ($fault)', async ({ scenario, ...point }) => {
  expect(await cut({ scenario, node: 'n1', life: 1, point: { site: point.site, nth: point.nth, when: point.when } })).toMatchObject({ struck: true, violations: [] })
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
