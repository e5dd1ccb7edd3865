import { expect, test } from 'vitest'
import { VIRTUAL_EPOCH_MS, VirtualClock } from '../src/clock.ts'
import { type Event, EventLog } from '../src/events.ts'

function open() {
  const clock = new VirtualClock()
  const log = new EventLog('7f3a', clock)
  const seen: Event[] = []
  log.subscribe((event) => void seen.push(event))
  return { clock, log, seen }
}

test('an event is its envelope, in this order, and its fields', async () => {
  const { clock, log, seen } = open()
  await clock.run(clock.sleep(12.3456))
  log.from('mock').emit('bank.charged', { key: 'bk_1', amount: 9900 })
  log.from('engine', 'node-1').emit('payment.moved')
  expect(seen.map((event) => JSON.stringify(event))).toEqual([
    `{"run":"7f3a","seq":1,"t":12.346,"at":${VIRTUAL_EPOCH_MS + 12},"src":"mock","node":null,"type":"bank.charged","key":"bk_1","amount":9900}`,
    `{"run":"7f3a","seq":2,"t":12.346,"at":${VIRTUAL_EPOCH_MS + 12},"src":"engine","node":"node-1","type":"payment.moved"}`,
  ])
})

test('the order is total: seq counts from 1 without a gap, whoever speaks', () => {
  const { log, seen } = open()
  const speakers = [log.from('client'), log.from('mock'), log.from('engine', 'a')]
  for (let i = 0; i < 30; i++) speakers[i % 3]!.emit('thing.happened')
  expect(seen.map(({ seq }) => seq)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1))
})

test('every sink sees that order, even when another sink speaks in between', () => {
  const { log } = open()
  const orders: number[][] = [[], []]
  log.subscribe(({ seq }) => void orders[0]!.push(seq))
  log.subscribe((event) => {
    if (event.type === 'bank.charged') log.emit('lab', 'invariant.violated', { witness: [event.seq] })
  })
  log.subscribe(({ seq }) => void orders[1]!.push(seq))
  log.emit('mock', 'bank.charged')
  log.emit('mock', 'bank.charged')
  expect(orders).toEqual([[1, 2, 3, 4], [1, 2, 3, 4]])
})

test('a sink that throws is heard by the speaker and does not silence the log', () => {
  const { log, seen } = open()
  const stop = log.subscribe(() => {
    throw new Error('a bug')
  })
  expect(() => log.emit('mock', 'bank.charged')).toThrow('a bug')
  stop()
  log.emit('mock', 'bank.declined')
  expect(seen.map(({ type }) => type)).toEqual(['bank.charged', 'bank.declined'])
})

test('an event from elsewhere keeps its speaker\'s wall time, and t is the log\'s', async () => {
  const { clock, log } = open()
  await clock.run(clock.sleep(50))
  expect(log.emit('engine', 'payment.moved', {}, 'a', 1_000)).toMatchObject({ at: 1_000, t: 50 })
})

test('t counts from the opening of the log, not from the beginning of time', async () => {
  const clock = new VirtualClock()
  await clock.run(clock.sleep(1_000))
  const log = new EventLog('r', clock)
  await clock.run(clock.sleep(5))
  expect(log.emit('lab', 'run.started').t).toBe(5)
})

test('who has unsubscribed hears no more', () => {
  const { log } = open()
  let heard = 0
  const stop = log.subscribe(() => void heard++)
  log.emit('lab', 'run.started')
  stop()
  log.emit('lab', 'run.ended')
  expect(heard).toBe(1)
})

test('until gives the next event of that type, or for which the question says yes, and only that one', async () => {
  const { log } = open()
  log.emit('mock', 'bank.charged', { amount: 1 })
  const byType = log.until('bank.charged')
  const byQuestion = log.until(({ amount }) => amount > 5)
  log.emit('mock', 'bank.declined', { amount: 2 })
  log.emit('mock', 'bank.charged', { amount: 3 })
  log.emit('mock', 'bank.charged', { amount: 9 })
  expect((await byType).amount).toBe(3)
  expect((await byQuestion).amount).toBe(9)
})
