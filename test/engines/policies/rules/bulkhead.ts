import { expect } from 'vitest'
import type { BulkheadOptions } from '../../../../src/engines/policies/bulkhead.ts'
import type { Pass } from '../../../../src/engines/policies/library.ts'
import type { Library, Rule } from './world.ts'
import { feed, world } from './world.ts'

function make(lib: Library, options: BulkheadOptions = {}) {
  const around = world(lib)
  return { ...around, bulkhead: lib.bulkhead({ ...around, ...options }) }
}

const NEVER = Number.POSITIVE_INFINITY

/** What an entry has become by the end of the turn. */
async function now(entry: Promise<Pass | string>): Promise<string> {
  const entered = await Promise.race([entry, new Promise<string>((resolve) => setImmediate(() => resolve('waits')))])
  return typeof entered === 'string' ? entered : 'in'
}

export const rules: Rule[] = [
  ['so many are in flight and no more; a place that ends twice frees one place', (lib) => {
    const { bulkhead, events } = make(lib, { limit: 3 })
    const places = [bulkhead.tryEnter(), bulkhead.tryEnter(), bulkhead.tryEnter()]
    expect(bulkhead.tryEnter()).toBeUndefined()
    expect(events).toEqual([{ type: 'bulkhead.rejected', policy: 'bulkhead', why: 'full', priority: 'normal', inFlight: 3, limit: 3, queued: 0 }])
    places[0]!.end('ok', 10)
    places[0]!.end('ok', 10)
    expect(bulkhead.inFlight).toBe(2)
    expect(bulkhead.tryEnter()).toBeDefined()
    expect(bulkhead.tryEnter()).toBeUndefined()
  }],
  ['who waits gets the next place, in order of arrival', async (lib) => {
    const { bulkhead } = make(lib, { limit: 1, queue: 10 })
    const first = bulkhead.tryEnter()!
    const [second, third] = [bulkhead.enter(NEVER), bulkhead.enter(NEVER)]
    expect(bulkhead.queued).toBe(2)
    first.end('ok', 10)
    expect(await now(second)).toBe('in')
    expect(await now(third)).toBe('waits')
    ;((await second) as Pass).end('ok', 10)
    expect(await now(third)).toBe('in')
    expect(bulkhead.queued).toBe(0)
    expect(bulkhead.inFlight).toBe(1)
  }],
  ['K2 who waits is turned away at the deadline, and its room is free', async (lib) => {
    const { bulkhead, clock, pass } = make(lib, { limit: 1, queue: 1 })
    const first = bulkhead.tryEnter()!
    const late = bulkhead.enter(clock.monotonic() + 500)
    expect(await bulkhead.enter(NEVER)).toBe('full')
    await pass(499)
    expect(await now(late)).toBe('waits')
    await pass(1)
    expect(await now(late)).toBe('expired')
    expect(bulkhead.queued).toBe(0)
    const next = bulkhead.enter(NEVER)
    first.end('ok', 600)
    expect(await now(next)).toBe('in')
    expect(await bulkhead.enter(clock.monotonic())).toBe('expired') // nobody waits for nothing
  }],
  ['K3 who leaves while waiting frees its room in the same turn, and gets no place', async (lib) => {
    const { bulkhead } = make(lib, { limit: 1, queue: 1 })
    const first = bulkhead.tryEnter()!
    const leaver = new AbortController()
    const left = bulkhead.enter(NEVER, 'normal', leaver.signal)
    leaver.abort()
    expect(bulkhead.queued).toBe(0)
    const next = bulkhead.enter(NEVER)
    first.end('ok', 10)
    expect(await left).toBe('aborted')
    expect(await now(next)).toBe('in')
    expect(bulkhead.inFlight).toBe(1)
    expect(await bulkhead.enter(NEVER, 'normal', leaver.signal)).toBe('aborted')
  }],
  ['more important callers go first, and when there is no room the least important one goes', async (lib) => {
    const { bulkhead } = make(lib, { limit: 1, queue: 3 })
    const first = bulkhead.tryEnter()!
    const low = bulkhead.enter(NEVER, 'low')
    const normal = bulkhead.enter(NEVER, 'normal')
    const other = bulkhead.enter(NEVER, 'normal')
    const high = bulkhead.enter(NEVER, 'high')
    expect(await low).toBe('shed')
    expect(await bulkhead.enter(NEVER, 'low')).toBe('full')
    expect(await bulkhead.enter(NEVER, 'normal')).toBe('full')
    first.end('ok', 10)
    expect(await now(high)).toBe('in')
    ;((await high) as Pass).end('ok', 10)
    expect(await now(normal)).toBe('in')
    expect(await now(other)).toBe('waits')
  }],
  ['of equals the one that came last goes first when it is told so, and else the one that came first; who leaves from the middle is missed by nobody', async (lib) => {
    let newest = true
    const { bulkhead } = make(lib, { limit: 1, queue: 5, newestFirst: () => newest })
    const leaver = new AbortController()
    let place = bulkhead.tryEnter()!
    const [a, b, c, d] = [bulkhead.enter(NEVER), bulkhead.enter(NEVER, 'normal', leaver.signal), bulkhead.enter(NEVER), bulkhead.enter(NEVER)]
    leaver.abort()
    expect(await b).toBe('aborted')
    const next = async (of: ReturnType<typeof bulkhead.enter>) => {
      place.end('ok', 10)
      expect(await now(of)).toBe('in')
      place = (await of) as Pass
    }
    await next(d!)
    newest = false
    await next(a!)
    newest = true
    await next(c!)
    expect(bulkhead.queued).toBe(0)
  }],
  ['of five places one is kept from callers of low priority', (lib) => {
    const { bulkhead } = make(lib, { limit: 10 })
    expect(Array.from({ length: 20 }, () => bulkhead.tryEnter('low')).filter(Boolean)).toHaveLength(8)
    expect(Array.from({ length: 20 }, () => bulkhead.tryEnter('high')).filter(Boolean)).toHaveLength(2)
  }],
  ['its limit is one and a half times what is in flight when all is well, within floor and ceiling', async (lib) => {
    const { bulkhead, pass, events } = make(lib, { limit: { floor: 5, ceiling: 200 } })
    expect(bulkhead.limit).toBe(200) // until something is known
    await arrivals(bulkhead, pass, 10_000, 100, 500)
    expect(bulkhead.limit).toBeGreaterThanOrEqual(75) // 1.5 x 100/s x 0.5 s
    expect(bulkhead.limit).toBeLessThanOrEqual(83) // the median is right to ten per cent
    expect(events[0]).toMatchObject({ type: 'bulkhead.limit_changed', limit: bulkhead.limit })
    await arrivals(bulkhead, pass, 30_000, 300, 500)
    expect(bulkhead.limit).toBe(200)
    await arrivals(bulkhead, pass, 60_000, 4, 50)
    expect(bulkhead.limit).toBe(5)
  }],
  ['it does not grow because calls take longer in an incident', async (lib) => {
    const failing = make(lib, { limit: { floor: 5, ceiling: 1000 } })
    await arrivals(failing.bulkhead, failing.pass, 10_000, 100, 500)
    const healthy = failing.bulkhead.limit
    await arrivals(failing.bulkhead, failing.pass, 180_000, 100, 2000, 0.5)
    expect(failing.bulkhead.limit).toBe(healthy) // half of the calls fail: nothing is learned

    const slow = make(lib, { limit: { floor: 5, ceiling: 1000 } })
    await arrivals(slow.bulkhead, slow.pass, 10_000, 100, 500)
    await arrivals(slow.bulkhead, slow.pass, 180_000, 100, 2000)
    expect(slow.bulkhead.limit).toBeLessThanOrEqual(healthy * 1.45) // 12 % a minute
  }],
  ['callers who come back in an incident do not make it grow either', async (lib) => {
    const { bulkhead, pass } = make(lib, { limit: { floor: 5, ceiling: 1000 } })
    await arrivals(bulkhead, pass, 10_000, 100, 500)
    const healthy = bulkhead.limit
    await arrivals(bulkhead, pass, 30_000, 400, 500, 0.5)
    expect(bulkhead.limit).toBe(healthy)
  }],
  ['a ceiling may follow the time of day of a zone, also over midnight', async (lib) => {
    const day = lib.profile([{ from: '09:00', to: '17:00', zone: 'Europe/Berlin', limit: 40 }, { from: '22:00', to: '06:00', limit: 80 }], 20)
    const at = (text: string) => day(Date.parse(text))
    expect([at('2030-01-15T07:59Z'), at('2030-01-15T08:00Z'), at('2030-01-15T15:59Z'), at('2030-01-15T16:00Z')]).toEqual([20, 40, 40, 20])
    expect([at('2030-07-15T07:00Z'), at('2030-07-15T15:00Z')]).toEqual([40, 20]) // summer time
    expect([at('2030-01-15T22:00Z'), at('2030-01-15T00:00Z'), at('2030-01-15T05:59Z'), at('2030-01-15T06:00Z')]).toEqual([80, 80, 80, 20])
    for (const row of [{ from: '9', to: '17:00', limit: 1 }, { from: '09:00', to: '17:00', zone: 'Mars/Base', limit: 1 }]) {
      expect(() => lib.profile([row], 1)).toThrow(expect.objectContaining({ code: 'INVALID_POLICY' }))
    }
    const { bulkhead, pass } = make(lib, { limit: lib.profile([{ from: '00:01', to: '24:00', limit: 7 }], 3) })
    expect(bulkhead.limit).toBe(3)
    await pass(60_000)
    feed(bulkhead, 'ok', 1)
    expect(bulkhead.limit).toBe(7)
  }],
  ['a limit that grows lets in those who wait', async (lib) => {
    const { bulkhead, pass } = make(lib, { limit: (at) => (at % 60_000 < 30_000 ? 1 : 3), queue: 5 })
    bulkhead.tryEnter()
    const waiting = [bulkhead.enter(NEVER), bulkhead.enter(NEVER)]
    await pass(30_000)
    const last = bulkhead.enter(NEVER)
    expect(await Promise.all([...waiting, last].map(now))).toEqual(['in', 'in', 'waits'])
  }],
]

/** So many callers a second, evenly, each in flight for `latencyMs`; a share of them fails. */
async function arrivals(bulkhead: ReturnType<Library['bulkhead']>, pass: (ms: number) => Promise<void>, forMs: number, perSecond: number, latencyMs: number, failing = 0) {
  const gapMs = 1000 / perSecond
  const running: { until: number; pass: Pass; failure: boolean }[] = []
  let failed = 0
  for (let t = 0; t < forMs; t += gapMs) {
    while (running[0] && running[0].until <= t) {
      const { pass, failure } = running.shift()!
      pass.end(failure ? 'failure' : 'ok', latencyMs)
    }
    const place = bulkhead.tryEnter()
    failed += failing
    if (place) running.push({ until: t + latencyMs, pass: place, failure: failed >= 1 })
    if (failed >= 1) failed -= 1
    await pass(gapMs)
  }
  for (const { pass, failure } of running) pass.end(failure ? 'failure' : 'ok', latencyMs)
}
