import { attemptsOf, delays } from '../attempts.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const MESSAGES = 2000
const BUCKET_MS = 10
/** Of so many retries over 2 s, 5 fall into 10 ms on average; 20 do by chance once in 30,000 runs. */
const CROWD = 20
/** Variance by mean of the counts in 200 buckets: 1 by chance, above this once in 100,000 runs. */
const DISPERSION = 1.45

export const scenario: WebhookScenario = {
  name: 'W-500',
  summary: 'a customer answers 500 to every second message: each is tried again on the schedule, no two of them together by more than chance, and arrives',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'omission' }],
  async drive(world) {
    const { schedule, jitter } = world.settings
    const { id } = await world.subscribe('customer-1')
    world.mood('customer-1', { kind: 'reject_every', every: 2 })
    const ids = await world.stream(MESSAGES, 500)
    world.mood('customer-1', { kind: 'healthy' })
    world.expect('all arrives', (await world.settled(60_000)) && world.processed('customer-1').length === ids.length, JSON.stringify(await world.counts()))
    const attempts = await attemptsOf(world, id)
    const waits = delays(attempts, 1)
    const failed = attempts.filter(({ outcome }) => outcome === 'failed').length
    world.expect('each failure is followed by one more attempt', failed >= MESSAGES * 0.45 && attempts.length === MESSAGES + failed, `${failed} failed, ${attempts.length} attempts`)
    const [least, most] = [Math.min(...waits), Math.max(...waits)]
    const base = schedule[0]!
    // Times are written down in whole ms.
    world.expect('what is tried again waits as the schedule says, give or take a fifth', least >= base * (1 - jitter) - 2 && most <= base * (1 + jitter) + 250, `${least} to ${most} ms`)
    world.expect('the whole of that is used', least <= base * (1 - jitter * 0.9) && most >= base * (1 + jitter * 0.9), `${least} to ${most} ms`)
    const buckets = new Map<number, number>()
    for (const ms of waits) buckets.set(Math.floor(ms / BUCKET_MS), (buckets.get(Math.floor(ms / BUCKET_MS)) ?? 0) + 1)
    const crowd = Math.max(...buckets.values())
    const width = (2 * jitter * base) / BUCKET_MS
    const mean = waits.length / width
    const dispersion = ([...buckets.values()].reduce((sum, n) => sum + (n - mean) ** 2, 0) + (width - buckets.size) * mean ** 2) / width / mean
    world.expect('no more of them fall together than by chance', crowd <= CROWD && dispersion <= DISPERSION, `${crowd} of ${waits.length} in the same ${BUCKET_MS} ms at most, dispersion ${dispersion.toFixed(2)}`)
  },
}
