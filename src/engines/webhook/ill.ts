/** A customer whose machines misbehave for a while: what comes of messages that are sent meanwhile, and after. */
import type { Attempt } from './attempts.ts'
import { attemptsOf } from './attempts.ts'
import type { Endpoint } from './endpoints.ts'
import type { Evil, WebhookStage } from './stage.ts'

/** Of each mood: fewer than make an outage, so that each is tried by itself. */
const EACH = 3
/** From the end of the trouble to the last arrival, ms: the schedule's second delay, a probe and more. */
const WELL_AGAIN_MS = 120_000

/** Answers the first attempts that were made in that mood, when all has arrived after it. */
export async function ill(world: WebhookStage, endpoint: Endpoint, customer: string, mood: Evil): Promise<Attempt[]> {
  const before = (await attemptsOf(world, endpoint.id)).length
  world.evil(customer, mood)
  const ids = await world.stream(EACH, 0)
  await world.clock.sleep(world.settings.deadlineMs + 500)
  world.evil(customer, null)
  const arrives = (await world.settled(WELL_AGAIN_MS)) && ids.every((id) => world.processed(customer).includes(id))
  world.expect(`${mood}: all arrives after it`, arrives, JSON.stringify(await world.counts(endpoint.id)))
  return (await attemptsOf(world, endpoint.id)).slice(before).filter(({ n }) => n === 1)
}

/** `TIMEOUT after 15000 ms`. */
export function ends(attempts: readonly Attempt[]): string {
  return attempts.map(({ status, detail, ms }) => `${[status, detail].filter((word) => word !== null).join(' ')} after ${ms} ms`).join(', ')
}
