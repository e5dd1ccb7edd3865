import { expect, test } from 'vitest'
import { VirtualClock } from '../../src/clock.ts'
import { openLog } from '../../src/lab/standing.ts'

test('a service tells people what changes for all, calls endpoints as they do, and spares them what went well; programs are told everything', () => {
  const said: string[] = []
  const emitted: string[] = []
  const log = openLog(new VirtualClock(), { json: true, say: (line) => said.push(line), answer: () => {}, emit: (record) => emitted.push((record as { type: string }).type) })
  log.emit('lab', 'endpoint.added', { endpoint: 'ep_1', customer: 'customer-1' })
  log.emit('engine', 'delivery.attempted', { endpoint: 'ep_1', event: 'evt_1', n: 1, meaning: 'delivered', status: 204, detail: null, ms: 3 })
  log.emit('engine', 'lane.parked', { endpoint: 'ep_1', failures: 5 })
  log.emit('engine', 'breaker.opened', { service: 'bank', why: 'failures', calls: 20, failures: 12, retryAfterMs: 5000 })
  log.emit('proxy', 'exchange.opened', { link: 'bank', method: 'POST', path: '/' })
  expect(said.map((line) => line.slice('2030-01-01T00:00:00.353Z  '.length))).toEqual([
    'customer-1   is told at endpoint ep_1',
    'customer-1   PARKED after 5 failures in a row: nothing but a probe goes there, and no message pays for it',
    'bank         breaker OPENS: 12 of 20 calls failed (60 %); asks again in 5.0 s',
  ])
  expect(emitted).toEqual(['endpoint.added', 'delivery.attempted', 'lane.parked', 'breaker.opened', 'exchange.opened'])
})
