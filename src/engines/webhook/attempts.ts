/** What the store says of attempts, for scenarios: when they were made, how they ended, and what lies between them. */
import { ResilError } from '../../errors.ts'
import { ANSWER_CUT } from './dispatcher.ts'
import type { Arrival, WebhookStage } from './stage.ts'

export interface Attempt {
  event: string
  endpoint: string
  n: number
  /** Wall ms when it began, and how long it took. */
  at: number
  ms: number
  outcome: string
  status: number | null
  detail: string | null
  body: string | null
}

/** All of them, or one endpoint's, in the order in which they began. */
export function attemptsOf(world: WebhookStage, endpoint?: string): Promise<Attempt[]> {
  return world.store.transaction('look', (tx) =>
    tx.query<Attempt>(
      `SELECT e.id AS event, p.id AS endpoint, a.n, a.at, a.ms, a.outcome, a.status, a.detail, a.body
       FROM attempt a JOIN delivery d ON d.id = a.delivery JOIN event e ON e.seq = d.event JOIN endpoint p ON p.lane = d.lane
       WHERE :endpoint IS NULL OR p.id = :endpoint
       ORDER BY a.at, a.delivery, a.n`,
      { endpoint: endpoint ?? null },
    ),
  )
}

/** ms from the end of each attempt to the begin of the next one of the same delivery, by the number of the former, from 1. */
export function delays(attempts: readonly Attempt[], n: number): number[] {
  const nameOf = (attempt: Attempt, number: number) => `${attempt.endpoint}/${attempt.event}/${number}`
  const byName = new Map(attempts.map((attempt) => [nameOf(attempt, attempt.n), attempt]))
  return attempts.flatMap((attempt) => {
    const next = attempt.n === n ? byName.get(nameOf(attempt, n + 1)) : undefined
    return next ? [next.at - attempt.at - attempt.ms] : []
  })
}

/** How many attempts were under way at most at the same time. One that ends within `slackMs` of the begin of the next is before it: times are whole ms, and where they are real an attempt has waited for its turn to be sent. */
export function atOnce(attempts: readonly Attempt[], slackMs = 1): number {
  const changes = attempts.flatMap(({ at, ms }): [number, number][] => [[at, 1], [Math.max(at, at + ms - slackMs), -1]]).toSorted(([a, up], [b, down]) => a - b || up - down)
  let now = 0
  let most = 0
  for (const [, change] of changes) most = Math.max(most, (now += change))
  return most
}

/** The most of these times that lie in any stretch of `ms`, its end excluded. `times` ascend. */
export function mostWithin(times: readonly number[], ms: number): number {
  let most = 0
  for (let first = 0, last = 0; last < times.length; last++) {
    while (times[last]! - times[first]! >= ms) first++
    most = Math.max(most, last - first + 1)
  }
  return most
}

/** `200 (3), TIMEOUT (1)`: statuses and codes, and how often. */
export function tallied(attempts: readonly Attempt[]): string {
  const counts = new Map<string, number>()
  for (const { status, detail } of attempts) {
    const word = detail ?? String(status)
    counts.set(word, (counts.get(word) ?? 0) + 1)
  }
  return [...counts].map(([word, n]) => `${word} (${n})`).join(', ')
}

/** How many deliveries are marked as answered in part. */
export async function cutAnswers(world: WebhookStage): Promise<number> {
  const [row] = await world.store.transaction('look', (tx) => tx.query<{ n: number }>(`SELECT COUNT(*) AS n FROM delivery WHERE flags & ${ANSWER_CUT}`))
  return row!.n
}

/** Between two looks, ms. */
const LOOK_EVERY_MS = 10
/** How long a scenario waits for what customers must have seen, ms: longer than the first delays of the schedule. */
const SEEN_WITHIN_MS = 600_000

/** Waits until that holds. Throws SCENARIO_STUCK. */
export async function eventually(world: WebhookStage, what: string, holds: () => boolean): Promise<void> {
  const until = world.clock.monotonic() + SEEN_WITHIN_MS
  while (!holds()) {
    if (world.clock.monotonic() >= until) throw new ResilError('SCENARIO_STUCK', `what the scenario waits for did not come within ${SEEN_WITHIN_MS} ms: ${what}`, 'run it again with --json and look at the last events')
    await world.clock.sleep(LOOK_EVERY_MS)
  }
}

/** Waits until a customer has answered so many requests with that status; answers the last of them. */
export async function answered(world: WebhookStage, customer: string, status: number, many = 1): Promise<Arrival> {
  const these = () => world.inbox(customer).filter((arrival) => arrival.status === status)
  await eventually(world, `${customer} answers ${status}`, () => these().length >= many)
  return these()[many - 1]!
}
