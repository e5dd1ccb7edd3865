/** A customer whose machines misbehave for a while: what comes of messages that are sent meanwhile, and after. */
import type { Attempt } from './attempts.ts'
import { attemptsOf } from './attempts.ts'
import type { Endpoint } from './endpoints.ts'
import type { WebhookSettings } from './settings.ts'
import type { Evil, WebhookStage } from './stage.ts'

/** Of each mood: fewer than make an outage, so that each is tried by itself. */
const EACH = 3
/** How long the end of the last of them may be waited for beyond that, ms: a machine that is busy may begin late. */
const TRIED_WITHIN_MS = 30_000
const LOOK_EVERY_MS = 250
/** From the end of the trouble to the last arrival, ms: the schedule's second delay, a probe and more. */
const WELL_AGAIN_MS = 120_000

/** An attempt may end so much after its deadline, ms: in real time the machine has other things to do. */
const LATE_MS = 500
const LATE_IN_REAL_TIME_MS = 1500

/** In real time: an attempt ends, and it is well again, before what failed is tried once more. */
export const ILL_IN_REAL_TIME: Partial<WebhookSettings> = { deadlineMs: 3000, schedule: [6000] }

/** The longest that an attempt may take, ms. */
export function longest(world: WebhookStage): number {
  return world.settings.deadlineMs + (world.inRealTime ? LATE_IN_REAL_TIME_MS : LATE_MS)
}

/** Answers the first attempts that were made in that mood, when all has arrived after it. */
export async function ill(world: WebhookStage, endpoint: Endpoint, customer: string, mood: Evil): Promise<Attempt[]> {
  const before = (await attemptsOf(world, endpoint.id)).length
  await world.evil(customer, mood)
  const ids = await world.stream(EACH, 0)
  await world.clock.sleep(longest(world))
  const until = world.clock.monotonic() + TRIED_WITHIN_MS
  while ((await attemptsOf(world, endpoint.id)).length < before + EACH && world.clock.monotonic() < until) await world.clock.sleep(LOOK_EVERY_MS)
  await world.evil(customer, null)
  const arrives = (await world.settled(WELL_AGAIN_MS)) && ids.every((id) => world.processed(customer).includes(id))
  world.expect(`${mood}: all arrives after it`, arrives, JSON.stringify(await world.counts(endpoint.id)))
  return (await attemptsOf(world, endpoint.id)).slice(before).filter(({ n }) => n === 1)
}

/** `TIMEOUT after 15000 ms`. */
export function ends(attempts: readonly Attempt[]): string {
  return attempts.map(({ status, detail, ms }) => `${[status, detail].filter((word) => word !== null).join(' ')} after ${ms} ms`).join(', ')
}
