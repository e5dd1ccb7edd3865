/** Crashes at the crossings of a payment node: each strikes where it was seen, the reference bears them, an engine without recovery does not. */
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { cut, cutCrowd, paymentCrossings } from '../../src/lab/payment-crossings.ts'

it('every crossing of a story is cut, each crash strikes, and nothing is violated', async () => {
  const { crossings, of } = await paymentCrossings('single')
  expect(crossings.length).toBe(of)
  expect(of).toBeGreaterThan(10)
  for (const crossing of crossings) expect(await cut(crossing), JSON.stringify(crossing)).toMatchObject({ struck: true, violations: [] })
}, 60_000)

it('an engine that recovers nothing is convicted by some of the same cuts', async () => {
  const subject = { kind: 'module' as const, file: fileURLToPath(new URL('../mutants/no-recovery.mjs', import.meta.url)) }
  const { crossings } = await paymentCrossings('single', subject)
  const convicted = []
  for (const crossing of crossings) convicted.push(...(await cut(crossing, subject)).violations)
  expect(convicted).toContainEqual(expect.stringMatching(/^no-lost-payment: /))
}, 60_000)

it('a crowd bears several crashes in one run', async () => {
  const { crossings, of } = await paymentCrossings('B15', undefined, 200)
  expect(of).toBeGreaterThan(crossings.length)
  const { crashes, violations } = await cutCrowd('B15', 1, crossings)
  expect(violations).toEqual([])
  expect(crashes).toBeGreaterThan(3)
}, 60_000)

it('a node that dies while it ends does not hold up whoever told it to', async () => {
  expect(await cut({ scenario: 'C11', node: 'n1', life: 1, point: { site: 'tx:sweep', nth: 2, when: 'after' } })).toMatchObject({ struck: true, violations: [] })
})
