/** What becomes of a message that is answered with a redirect to nowhere. */
import { answered, attemptsOf, tallied } from './attempts.ts'
import type { WebhookStage } from './stage.ts'

export async function pointless(world: WebhookStage, status: number): Promise<void> {
  const { id } = await world.subscribe('customer-1')
  world.mood('customer-1', { kind: 'redirect', status })
  await world.stream(3, 0)
  await answered(world, 'customer-1', status, 3)
  await world.clock.sleep(1000)
  const { delivered, pending } = await world.counts(id)
  world.expect(`${status} is no success`, delivered === 0 && pending === 3, `${delivered} count as delivered`)
  world.expect('it is a refusal', (await attemptsOf(world, id)).every(({ outcome, detail }) => outcome === 'refused' && detail === 'redirect'), tallied(await attemptsOf(world, id)))
  world.mood('customer-1', { kind: 'healthy' })
  world.expect('all arrives when it is mended', (await world.settled(60_000)) && world.processed('customer-1').length === 3, JSON.stringify(await world.counts(id)))
}
