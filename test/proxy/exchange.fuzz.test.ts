import { expect, test } from 'vitest'
import { SystemClock } from '../../src/clock.ts'
import { EventLog } from '../../src/events.ts'
import { Proxies } from '../../src/proxy/proxies.ts'
import { Random } from '../../src/random.ts'
import { fuzzExchanges } from './exchange-fuzz.js'
import { toxics } from './wire.ts'

const MIB = 1024 * 1024

test('2,000 mutated exchanges arrive as they were sent, or as the toxics say, and leave the proxy alive, its memory flat and no socket open', { timeout: 120_000 }, async () => {
  const { kinds, exact, told, early, late, close } = await fuzzExchanges({ runs: 2000, seed: 'exchanges', modules: { EventLog, Proxies, Random, SystemClock, toxics } })
  expect(await close()).toBe(0)
  expect((late.heapUsed - early.heapUsed) / MIB).toBeLessThan(8)
  for (const kind of ['plain', 'indifferent', 'gentle', 'any', 'hop']) expect(kinds[kind], kind).toBeGreaterThan(100) // all of them were there
  expect(exact).toBeGreaterThan(800)
  expect(told['toxic.hit']).toBeGreaterThan(300)
})
