import { describe, expect, test } from 'vitest'
import { auditCron, CronWorld } from '../../../src/lab/cron-world.ts'
import type { CronWorldSetup } from '../../../src/lab/cron-world.ts'

const SETTINGS = { ttlMs: 3000, watchMs: 300, pollMs: 500, beatMs: 1000, workerLeaseMs: 5000, drainMs: 2000 }

const open = (setup: Partial<CronWorldSetup> = {}) => CronWorld.open({ seed: 1, nodes: 3, ...setup, settings: { ...SETTINGS, ...setup.settings } })

/** Whole seconds that are multiples. */
const everySeconds = (seconds: number) => (from: number, to: number) => {
  const slots: number[] = []
  for (let at = (Math.floor(from / (seconds * 1000)) + 1) * seconds * 1000; at <= to; at += seconds * 1000) slots.push(at)
  return slots
}

test('three nodes, one leader, every slot once', async () => {
  const world = await open()
  await world.live((async () => {
    await world.put('tick', '* * * * * *', 'ms=50')
    await world.put('steps', '*/5 * * * * *', 'ms=200,steps=4')
    await world.startAll()
    await world.clock.sleep(30_000)
    await world.heal(30_000)
  })())
  const slots = (name: string, from: number, to: number) => everySeconds(name === 'tick' ? 1 : 5)(from, to)
  expect(await world.live(auditCron(world, { slots, steps: (name) => (name === 'steps' ? 4 : 0) }))).toEqual([])
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
    expect(await world.live(auditCron(world, { slots: (_, from, to) => everySeconds(1)(from, to) }))).toEqual([])
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
    expect(await world.live(auditCron(world, { slots: (_, from, to) => everySeconds(1)(from, to) }))).toEqual([])
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
  expect(await world.live(auditCron(world, { slots: () => [], steps: () => 10 }))).toEqual([])
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
  expect(await world.live(auditCron(world, { slots: (_, from, to) => everySeconds(1)(from, to) }))).toEqual([])
  await world.live(world.close())
})
