/** What an operator may change, and what it is when he does not. */
export interface WebhookSettings {
  /** One attempt, from connecting to the last byte of the answer; an endpoint may ask for up to `deadlineMaxMs`. */
  deadlineMs: number
  deadlineMaxMs: number
  /** Delays after a message's own failures, ms; the last one repeats. */
  schedule: readonly number[]
  /** Share of a delay that is added or taken away by chance. */
  jitter: number
  /** A delivery older than this is dead. 72 h: a Friday bug is found on Monday. */
  maxAgeMs: number
  /** Failures of its own after which a message is dead while others of its lane arrive. */
  poisonStrikes: number
  /** Share of the lane's other attempts that must succeed for that. */
  poisonShare: number
  /** The most that a receiver may ask for with Retry-After. */
  retryAfterMaxMs: number
  /** When a receiver says 429 and not for how long. */
  throttledMs: number
  /** Failures of the endpoint in a row that open its breaker. */
  breakerFailures: number
  probeMs: number
  probeMaxMs: number
  /** An outage as long as this is told to the endpoint's owner. */
  failingMs: number
  /** Without one success for so long, and failures over at least `disableSpanMs`, an endpoint is disabled. */
  disableMs: number
  disableSpanMs: number
  /** Concurrency of a lane: to begin with, and at most. */
  placesFirst: number
  placesMost: number
  /** In flight on this node. */
  inFlightMost: number
  /** How long events are collected for one commit at most, after the one before; whoever comes after a silence does not wait. See gathering.ts. */
  gatherMs: number
  /** How long ends of attempts are collected for one commit, and what is new for one look. */
  flushMs: number
  /** How often the store is asked for what other processes wrote. */
  pollMs: number
  beatMs: number
  /** A node silent for so long is dead: others take its lanes. Longer than an attempt, so that a node that is only slow sends nothing twice. */
  leaseMs: number
  /** How long a node that ends lets its attempts go on. */
  drainMs: number
  /** A receiver that answers "later" has so long. */
  ackMs: number
  /** Delivered and cancelled ones are kept for so long, dead ones longer. */
  keepMs: number
  keepDeadMs: number
  /** How often the keeper looks for what is too old. */
  keeperMs: number
  /** Only what replays ask for is sent: a node beside an engine that was stopped. */
  replaysOnly: boolean
  /** With a beat it says how its lanes stand: for a screen, which somebody has to want. */
  observed: boolean
}

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

export const DEFAULTS: WebhookSettings = {
  deadlineMs: 15 * SECOND,
  deadlineMaxMs: 30 * SECOND,
  schedule: [5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR],
  jitter: 0.2,
  maxAgeMs: 72 * HOUR,
  poisonStrikes: 8,
  poisonShare: 0.95,
  retryAfterMaxMs: HOUR,
  throttledMs: 5 * SECOND,
  breakerFailures: 5,
  probeMs: 5 * SECOND,
  probeMaxMs: MINUTE,
  failingMs: 5 * MINUTE,
  disableMs: 5 * DAY,
  disableSpanMs: 12 * HOUR,
  placesFirst: 4,
  placesMost: 64,
  inFlightMost: 4096,
  gatherMs: 20,
  flushMs: 20,
  pollMs: 200,
  beatMs: SECOND,
  leaseMs: 35 * SECOND,
  drainMs: 10 * SECOND,
  ackMs: 10 * MINUTE,
  keepMs: 7 * DAY,
  keepDeadMs: 30 * DAY,
  keeperMs: SECOND,
  replaysOnly: false,
  observed: false,
}
