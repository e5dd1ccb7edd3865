import { expect, test } from 'vitest'
import { SystemClock } from '../../src/clock.ts'
import { EventLog } from '../../src/events.ts'
import { openAdmin } from '../../src/proxy/admin.ts'
import { Proxies } from '../../src/proxy/proxies.ts'
import { Random } from '../../src/random.ts'
import { fuzzControl } from './admin-fuzz.js'
import { toxics } from './wire.ts'

const MIB = 1024 * 1024

test('2,000 mutated requests get answers of the API, and leave it alive, its memory flat and no socket open', { timeout: 120_000 }, async () => {
  const { statuses, early, late, close } = await fuzzControl({ runs: 2000, seed: 'control', modules: { EventLog, openAdmin, Proxies, Random, SystemClock, toxics } })
  expect(await close()).toBe(0)
  expect((late.heapUsed - early.heapUsed) / MIB).toBeLessThan(8)
  for (const status of ['200', '201', '204', '400', '404', '409']) expect(statuses[status], `of ${status}`).toBeGreaterThan(10) // it reached the handlers
})
