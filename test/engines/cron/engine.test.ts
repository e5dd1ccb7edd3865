import { describe, expect, test } from 'vitest'
import { CronWorld, judgeCron } from '../../../src/lab/cron-world.ts'
import type { CronWorldSetup } from '../../../src/lab/cron-world.ts'

const SETTINGS = { ttlMs: 3000, watchMs: 300, pollMs: 500, beatMs: 1000, workerLeaseMs: 5000, drainMs: 2000 }

const open = (setup: Partial<CronWorldSetup> = {}) => CronWorld.open({ seed: 1, nodes: 3, ...setup, settings: { ...SETTINGS, ...setup.settings } })


test('three nodes, one leader, every slot once', async () => {
  const world = await open()
  await world.live((async () => {
    await world.put('tick', '* * * * * *', 'ms=50')
    await world.put('steps', '*/5 * * * * *', 'ms=200,steps=4')
    await world.startAll()
    await world.clock.sleep(30_000)
    await world.heal(30_000)
  })())
  expect(await world.live(judgeCron(world))).toEqual([])
  expect(world.of('leader.elected')).toHaveLength(1)
  const history = await world.live(world.registry.history(100))
  expect(history.filter((tick) => tick.state === 'succeeded').length).toBeGreaterThan(30)
  await world.live(world.close())
})

describe('a leader', () => {
  test('that is killed is followed after its TTL, and no slot is lost', async () => {
    const world = await open()
    await world.live((async () => {
      await world.put('tick', '* * * * * *', 'ms=50', { overlap: 'queue_all' })
      await world.startAll()
      await world.clock.sleep(5000)
      const killedAt = world.clock.monotonic()
      await world.body.kill(world.leader!, 'test')
      await world.until('leader.elected')
      expect(world.clock.monotonic() - killedAt).toBeLessThanOrEqual(3000 * 1.15)
      await world.clock.sleep(10_000)
      await world.heal(30_000)
    })())
    expect(await world.live(judgeCron(world))).toEqual([])
    expect(new Set((await world.live(world.registry.history(1000))).map((tick) => tick.state))).toEqual(new Set(['succeeded']))
    await world.live(world.close())
  })

  test('that stands still for three TTLs is fenced when it wakes up', async () => {
    const world = await open()
    await world.live((async () => {
      await world.put('tick', '* * * * * *', 'ms=50', { overlap: 'queue_all' })
      await world.startAll()
      await world.clock.sleep(5000)
      const first = world.leader!
      world.body.pause(first)
      await world.clock.sleep(9000)
      expect(world.leader).not.toBe(first)
      world.body.resume(first)
      await world.clock.sleep(5000)
      expect(world.leader).not.toBe(first)
      await world.heal(30_000)
    })())
    expect(world.of('leader.lost').length + world.of('leader.fenced').length).toBeGreaterThan(0)
    expect(await world.live(judgeCron(world))).toEqual([])
    await world.live(world.close())
  })
})

test('a worker that dies in the middle is followed by one that goes on behind its last step', async () => {
  const world = await open({ nodes: 2 })
  await world.live((async () => {
    await world.startAll()
    await world.put('long', '@every 1h', 'ms=1000,steps=10')
    await world.registry.trigger('long')
    const started = await world.until('attempt.started')
    await world.until((event) => event.type === 'attempt.checkpointed' && event['step'] === 5)
    await world.body.kill(started.node!, 'test')
    const again = await world.until('attempt.started')
    expect(again).toMatchObject({ step: 5, attempt: 2 })
    expect(again.node).not.toBe(started.node)
    await world.until('attempt.ended')
    await world.heal(10_000)
  })())
  expect(await world.live(judgeCron(world))).toEqual([])
  expect(world.mock.ledger.effects).toHaveLength(10)
  await world.live(world.close())
})

test('SIGTERM hands the lead over at once and lets what runs end', async () => {
  const world = await open({ settings: { watchMs: 50 } })
  await world.live((async () => {
    await world.put('tick', '* * * * * *', 'ms=700', { overlap: 'queue_all' })
    await world.startAll()
    await world.clock.sleep(5000)
    const before = world.clock.monotonic()
    const gone = world.body.terminate(world.leader!)
    await world.until('leader.elected')
    expect(world.clock.monotonic() - before).toBeLessThanOrEqual(100)
    await gone
    await world.clock.sleep(3000)
    await world.heal(10_000)
  })())
  expect(await world.live(judgeCron(world))).toEqual([])
  await world.live(world.close())
})

describe('the queue', () => {
  test('jobs that a node does not know do not hide those behind them', async () => {
    const world = await open({ nodes: 1 })
    await world.live((async () => {
      await world.startAll()
      for (let n = 0; n < 3; n++) await world.registry.put(`unknown-${n}`, { expr: '@every 24h', overlap: 'allow', job: { kind: 'command', argv: ['true'] } })
      for (let n = 0; n < 150; n++) await world.registry.trigger(`unknown-${n % 3}`)
      await world.put('z-known', '@every 24h', 'ms=0') // behind the others in the order of names too
      await world.registry.trigger('z-known')
      await world.until((event) => event.type === 'attempt.ended' && event['schedule'] === 'z-known')
    })())
    expect((await world.live(world.registry.history(1000, 'unknown-0'))).every(({ state }) => state === 'queued')).toBe(true)
    await world.live(world.close())
  })

  test.each([
    ['skip', { succeeded: 2, skipped_overlap: 8 }],
    ['queue_one', { succeeded: 3, coalesced: 7 }],
    ['queue_all', { succeeded: 10 }],
    ['allow', { succeeded: 10 }],
    ['cancel_other', { cancelled: 9, succeeded: 1 }],
  ] as const)('a job that takes five periods, overlap %s', async (overlap, wanted) => {
    const world = await open({ nodes: 1, settings: { slots: 20, pollMs: 100, beatMs: 100 }, startAt: Date.UTC(2030, 0, 1, 0, 0, 0, 500) })
    await world.live((async () => {
      await world.put('slow', '* * * * * *', 'ms=4900', { overlap })
      await world.startAll()
      await world.clock.sleep(10_000)
      await world.heal(120_000)
    })())
    const states: Record<string, number> = {}
    for (const { state } of await world.live(world.registry.history(100))) if (state !== 'skipped_paused') states[state] = (states[state] ?? 0) + 1
    expect(states).toEqual(wanted)
    await world.live(world.close())
  })
})

describe('what was missed', () => {
  /** All nodes are down for so long; what the ledger says of a schedule of every minute. */
  const down = async (minutes: number, misfire: 'once' | 'skip' | 'all') => {
    const world = await open({ nodes: 1, settings: { slots: 50 } })
    await world.live((async () => {
      await world.put('minutes', '* * * * *', 'ms=10', { misfire, overlap: 'allow' })
      await world.startAll()
      await world.clock.sleep(90_000)
      await world.body.kill('n1', 'test')
      await world.clock.sleep(minutes * 60_000)
      await world.body.start('n1')
      await world.clock.sleep(60_000)
      await world.heal(60_000)
    })())
    const rows = (await world.live(world.registry.history(2000))).toReversed()
    expect(await world.live(judgeCron(world))).toEqual([])
    await world.live(world.close())
    const counted: Record<string, number> = {}
    for (const { state, reason, slots } of rows) counted[`${state}${reason === '' ? '' : `: ${reason}`}`] = (counted[`${state}${reason === '' ? '' : `: ${reason}`}`] ?? 0) + slots
    return { counted, rows }
  }

  test('once: the newest runs, the others are coalesced into it', async () => {
    expect((await down(10, 'once')).counted).toEqual({ succeeded: 3, 'succeeded: made up for once': 1, 'coalesced: a newer one runs in its place': 8 })
  })

  test('skip: none runs, and each says so', async () => {
    expect((await down(10, 'skip')).counted).toEqual({ succeeded: 3, 'skipped_late: more than 60000 ms late': 9 })
  })

  test('all: eight hours of minutes, the newest hundred in order, ten a second, the rest coalesced', async () => {
    const { counted, rows } = await down(480, 'all')
    expect(counted).toEqual({ succeeded: 3, 'succeeded: made up for': 100, 'coalesced: more than 100 were missed': 379 })
    const made = rows.filter(({ reason }) => reason === 'made up for')
    const starts = made.map(({ started_at }) => started_at!)
    expect(starts.toSorted((a, b) => a - b)).toEqual(starts)
    for (let i = 0; i + 10 < starts.length; i++) expect(starts[i + 10]! - starts[i]!).toBeGreaterThanOrEqual(900)
  })

  test('a year of seconds: no row for each, the cap holds, and it is accounted for at once', async () => {
    const world = await open({ nodes: 1 })
    await world.live((async () => {
      await world.put('seconds', '* * * * * *', 'ms=0', { misfire: 'all', overlap: 'allow' })
      await world.startAll()
      await world.clock.sleep(3000)
      await world.body.kill('n1', 'test')
      await world.clock.sleep(365 * 86_400_000)
      await world.body.start('n1')
      await world.clock.sleep(20_000)
    })())
    const rows = await world.live(world.registry.history(5000))
    expect(rows.length).toBeLessThan(1200)
    expect(rows.filter(({ reason }) => reason === 'made up for').length).toBe(100)
    expect(rows.find(({ slots }) => slots > 1)).toMatchObject({ state: 'coalesced', slots: 100_000, reason: expect.stringContaining('more than 100000') })
    await world.live(world.close())
  })
})

test('old rows leave the ledger, the newest of each schedule stay', async () => {
  const world = await open({ nodes: 1, settings: { keepMs: 3_600_000, keepTicks: 50, slots: 10, ttlMs: 120_000, watchMs: 10_000, pollMs: 30_000, beatMs: 30_000, workerLeaseMs: 120_000 } })
  await world.live((async () => {
    await world.put('minutes', '* * * * *', 'ms=0,steps=1', { overlap: 'allow' })
    await world.put('hours', '0 * * * *', 'ms=0', { overlap: 'allow' })
    await world.startAll()
    await world.clock.sleep(6 * 3_600_000)
  })())
  const minutes = await world.live(world.registry.history(2000, 'minutes'))
  // An hour, and what came since it was last searched.
  expect(minutes.length).toBeGreaterThanOrEqual(60)
  expect(minutes.length).toBeLessThanOrEqual(72)
  expect((await world.live(world.registry.history(2000, 'hours'))).length).toBe(6)
  const [steps] = await world.live(world.store.transaction('count', (tx) => tx.query<{ n: number }>('SELECT COUNT(*) AS n FROM checkpoint')))
  expect(steps!.n).toBe(minutes.length)
  await world.live(world.close())
})
