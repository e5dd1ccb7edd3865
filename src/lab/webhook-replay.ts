/** Follows a replay to its end; where no engine runs on the database, carries it out. */
import type { Clock } from '../clock.ts'
import { silentLog } from '../events.ts'
import type { Replay, Replays } from '../engines/webhook/replay.ts'
import { DEFAULTS } from '../engines/webhook/settings.ts'
import type { Store } from '../engines/store/store.ts'
import type { WebhookPlace } from './webhook-alone.ts'
import { runWebhookNode } from './webhook-alone.ts'

export interface FollowReplay {
  replays: Replays
  store: Store
  clock: Clock
  id: string
  db: string
  place: WebhookPlace
  signal: AbortSignal
  /** Told at most each LOOK_MS, and whenever something has changed. */
  onProgress(replay: Replay, here: boolean): void
}

/** Between two looks. */
const LOOK_MS = 250
/** Nobody beats here: whoever was killed a moment ago is not waited for as long as a node that may be slow. */
const LEASE_MS = 6 * DEFAULTS.beatMs
/** A node that beats has done so within this. */
const BEATS_WITHIN_MS = 2.5 * DEFAULTS.beatMs

/** Resolves when all that was asked for has arrived or died again, when the job was cancelled or paused, or when the signal aborts: the job goes on wherever an engine runs. */
export async function followReplay({ replays, store, clock, id, db, place, signal, onProgress }: FollowReplay): Promise<Replay> {
  const here = !(await isServed(store, clock, signal))
  const node = here && !signal.aborted ? await runWebhookNode({ clock, log: silentLog, db, node: `replay-${process.pid}`, port: 0, place, settings: { replaysOnly: true, leaseMs: LEASE_MS } }) : undefined
  try {
    let said = ''
    for (;;) {
      const replay = await replays.show(id)
      const now = `${replay.state} ${replay.queued} ${replay.delivered} ${replay.failed}`
      if (now !== said) onProgress(replay, here)
      said = now
      if (signal.aborted || isOver(replay)) return replay
      await Promise.race([clock.sleep(LOOK_MS, signal), ...(node ? [node.failed] : [])])
    }
  } finally {
    await node?.close(DEFAULTS.drainMs)
  }
}

export function isOver({ state, queued, delivered, failed }: Replay): boolean {
  return state === 'paused' || (state !== 'running' && delivered + failed >= queued)
}

/** Whether some node's beat changes. */
async function isServed(store: Store, clock: Clock, signal: AbortSignal): Promise<boolean> {
  const beats = async () => JSON.stringify(await store.transaction('beats', (tx) => tx.query('SELECT name, life, beat FROM node ORDER BY name')))
  const before = await beats()
  if (before === '[]') return false
  await clock.sleep(BEATS_WITHIN_MS, signal)
  return (await beats()) !== before
}
