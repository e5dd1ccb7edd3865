/** A mock customer on a port of its own, for somebody else's sender: its moods, one after another, and its inbox at GET /ledger. */
import { SystemClock } from '../clock.ts'
import type { Clock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { EventLog } from '../events.ts'
import { HttpNetwork } from '../http-client.ts'
import { serveHttp } from '../http-server.ts'
import { EvilReceiver } from '../proxy/evil-receiver.ts'
import type { EvilMood } from '../proxy/evil-receiver.ts'
import { customer, CUSTOMER_BODY_LIMIT, lies, typicalLatency } from '../proxy/mocks/customer.ts'
import type { Mood } from '../proxy/mocks/customer.ts'
import { Random } from '../random.ts'
import { readLie } from './mock-alone.ts'
import type { MockWishes } from './mock-alone.ts'
import { readMoods } from './mood.ts'
import type { Stage } from './mood.ts'
import type { Voice } from './standing.ts'
import { openLog, untilTold } from './standing.ts'

/** How long an answer may take that is under way when the customer is told to go, ms. */
const DRAIN_MS = 2000
/** A whole acknowledgement, ms. */
const ACK_TIMEOUT_MS = 5000

export interface CustomerWishes extends MockWishes {
  /** See `readMoods`. */
  mood?: readonly string[]
  /** Secrets and keys; see the mock's `trust`. */
  secret?: readonly string[]
  /** Base URL of the sender, where deferred acknowledgements go; nowhere when absent. */
  acks?: string
  /** Every request is an effect. */
  naive?: boolean
}

interface Standing {
  url: string
  mood(mood: never): void | Promise<void>
  close(): Promise<void>
}

/** Stands until the signal aborts. Throws BAD_MOOD, INVALID_MOOD, INVALID_SECRET, INVALID_URL, PORT_BUSY, and what `readLie` and the lies throw. */
export async function standCustomer(wishes: CustomerWishes, voice: Voice, signal: AbortSignal): Promise<0> {
  const clock = new SystemClock()
  const log = openLog(clock, voice)
  const moods = readMoods(wishes.mood ?? [])
  const first = moods.stages[0]?.mood
  const standing = moods.evil ? await standEvil(wishes, clock, log, first as EvilMood) : await standMock(wishes, clock, log, first as Mood | undefined)
  voice.emit({ type: 'ready', mock: 'customer', url: standing.url })
  voice.answer(`mock customer on ${standing.url}, its ledger at ${standing.url}/ledger`)
  await Promise.race([untilTold(signal), follow(moods.stages, standing, clock, signal)])
  await standing.close()
  voice.emit({ type: 'stopped', ok: true })
  return 0
}

/** Each mood for its time; behind the last one it is healthy. Ends with the signal only, or rejects. */
async function follow(stages: readonly Stage<unknown>[], standing: Standing, clock: Clock, signal: AbortSignal): Promise<void> {
  for (const [n, { forMs }] of stages.entries()) {
    if (forMs === Number.POSITIVE_INFINITY) break
    await clock.sleep(forMs, signal)
    if (signal.aborted) return
    await standing.mood((stages[n + 1]?.mood ?? { kind: 'healthy' }) as never)
  }
  await untilTold(signal)
}

async function standMock(wishes: CustomerWishes, clock: Clock, log: EventLog, first: Mood | undefined): Promise<Standing> {
  const random = wishes.seed === undefined ? Random.system() : Random.seeded(wishes.seed)
  const latency = { p50: wishes.p50 ?? typicalLatency.p50, p99: wishes.p99 ?? typicalLatency.p99 }
  const mock = customer({ clock, random: random.fork('customer'), log: log.from('mock'), latency }, { secrets: wishes.secret, dedupe: !wishes.naive })
  for (const lie of wishes.lie ?? []) mock.lie(readLie(lie, lies))
  if (first) mock.mood(first)
  const network = wishes.acks === undefined ? undefined : new HttpNetwork({ clock, services: { acks: wishes.acks } })
  const silence = network && mock.webhooks((request) => network.call('acks', request, { timeoutMs: ACK_TIMEOUT_MS }))
  // A character has four bytes at most: whatever the mock would take reaches it.
  const server = await serveHttp(mock.handle, { clock, port: wishes.port, log: log.from('mock'), maxBodyBytes: 4 * CUSTOMER_BODY_LIMIT })
  return {
    url: server.url,
    mood: (mood: Mood) => mock.mood(mood),
    async close() {
      silence?.()
      mock.close?.()
      await server.close(DRAIN_MS)
      await network?.close()
    },
  }
}

/** Where the bytes are evil nothing is answered as a service would: what only a service knows is refused. */
async function standEvil(wishes: CustomerWishes, clock: Clock, log: EventLog, first: EvilMood): Promise<Standing> {
  const foreign = (['lie', 'p50', 'p99', 'acks', 'naive'] as const).find((flag) => wishes[flag] !== undefined && wishes[flag] !== false)
  if (foreign) throw new ResilError('BAD_MOOD', `--${foreign} means nothing to a receiver that is evil in bytes`, 'leave it out, or choose a mood of the mock customer, as in error:500')
  const receiver = new EvilReceiver({ clock, log: log.from('mock'), port: wishes.port, secrets: wishes.secret })
  await receiver.start(first)
  return { url: receiver.url, mood: (mood: EvilMood) => receiver.mood(mood), close: () => receiver.close() }
}
