import { afterEach, describe, expect, it } from 'vitest'
import type { AttemptFact, Facts } from '../../../src/engines/webhook/doctor.ts'
import { diagnose, examine } from '../../../src/engines/webhook/doctor.ts'
import { DEFAULTS } from '../../../src/engines/webhook/settings.ts'
import type { House, Receiver } from './house.ts'
import { openHouse } from './house.ts'

const NOW = 1_900_000_000_000
const well: Facts = { now: NOW, state: 'enabled', reason: null, ordering: 'none', waiting: 0, delivered: 100, dead: 0, failures: 0, failingSince: null, succeededAt: NOW, probeAt: null, quietUntil: null, places: 8, placesMost: 64, perSecond: 0, deadlineMs: 15_000, arrivals: 1, attempts: attempts(20, {}), skewMs: 200, receipts: false, largestBody: 300, secrets: [null] }

function attempts(n: number, fact: Partial<AttemptFact>): AttemptFact[] {
  return Array.from({ length: n }, (_, i) => ({ at: NOW - i * 1000, ms: 40, outcome: 'delivered', status: 204, detail: null, ...fact }))
}

const refused = (status: number) => attempts(20, { outcome: 'refused', status, detail: status < 400 ? 'redirect' : null })
const unreachable = (detail: string) => attempts(20, { outcome: 'unreachable', status: null, detail })

it.each<[string, Partial<Facts>, string[], RegExp]>([
  ['one that is well', {}, ['healthy'], /takes what it is sent/],
  ['one that nothing was sent to', { attempts: [], delivered: 0 }, ['healthy'], /Nothing has been sent/],
  ['an outage', { probeAt: NOW + 30_000, failingSince: NOW - 600_000, failures: 25, waiting: 700 }, ['parked'], /Parked since 2030-03-17T17:36:40.000Z, after 25 failures in a row; probed again in 30 s; 700 held, none lost\./],
  ['one that was disabled', { state: 'disabled', reason: 'the endpoint answered 410 Gone', probeAt: NOW }, ['disabled'], /410 Gone/],
  ['Retry-After', { quietUntil: NOW + 120_000 }, ['quiet'], /another 2 min/],
  ['Little’s law', { arrivals: 2.8, attempts: attempts(20, { ms: 10_000 }), placesMost: 16 }, ['too_few_places'], /needs 28 in flight .* may have 16: the backlog grows by 1\.2\/s/],
  ['places that are not found yet', { arrivals: 2.8, attempts: attempts(20, { ms: 10_000 }), places: 16, waiting: 5 }, ['few_places'], /needs 28 in flight .* has 16: the backlog grows by 1\.2\/s/],
  ['a strict order', { ordering: 'fifo', arrivals: 50, attempts: attempts(20, { ms: 100 }) }, ['too_few_places'], /may have 1 because its order is fifo/],
  ['a rate below what arrives', { arrivals: 12, perSecond: 10 }, ['rate_too_low'], /12\/s arrive .* grows by 2\/s/],
  ['401', { attempts: refused(401) }, ['status_401'], /credential/],
  ['404, always, from the first', { attempts: refused(404), delivered: 0 }, ['never_succeeded', 'status_404'], /check the URL/],
  ['redirects', { attempts: refused(308) }, ['redirects'], /308 .* not followed/],
  ['some 404 among many that are well', { attempts: [...refused(404).slice(0, 6), ...well.attempts] }, ['healthy'], /takes/],
  ['a certificate that is over', { attempts: unreachable('TLS_EXPIRED') }, ['tls_expired'], /certificate has expired/],
  ['a name that is none', { attempts: unreachable('DNS_NOT_FOUND') }, ['dns_name'], /host name does not exist/],
  ['nobody there', { attempts: unreachable('REFUSED') }, ['refused_connections'], /nothing listens/],
  ['timeouts', { attempts: unreachable('TIMEOUT').map((each) => ({ ...each, ms: 15_000 })) }, ['timeouts'], /within 15 s/],
  ['answers that are nearly too late', { attempts: attempts(20, { ms: 13_000 }), arrivals: 0.1 }, ['close_to_deadline'], /13 s and more/],
  ['receipts that are missing', { receipts: true, attempts: attempts(20, { outcome: 'not_proven', status: 200, detail: 'no receipt' }) }, ['receipts_missing'], /without a receipt/],
  ['a login page', { attempts: attempts(20, { outcome: 'not_proven', status: 200, detail: '/ok is not as agreed' }) }, ['answer_not_as_agreed'], /\/ok is not as agreed/],
  ['a clock 4:59 behind', { skewMs: -299_000 }, ['clock_skew'], /5 min behind: beyond 300 s/],
  ['a clock 5:01 ahead', { skewMs: 301_000 }, ['clock_skew'], /ahead: it must refuse/],
  ['no secret', { secrets: [] }, ['no_secret'], /Rotate/],
  ['a secret that ends', { secrets: [NOW + 3_600_000] }, ['secret_expires'], /in 60 min/],
  ['a rotation', { secrets: [null, NOW + 7_200_000] }, ['rotating'], /another 2 h/],
  ['large bodies', { largestBody: 30_000 }, ['large_bodies'], /30000 bytes/],
  ['the dead', { dead: 3 }, ['dead'], /3 deliveries are dead/],
])('%s', (_, facts, words, sentence) => {
  const found = diagnose({ ...well, ...facts })
  expect(found.map(({ word }) => word)).toEqual(words)
  expect(found.map((each) => each.sentence).join(' ')).toMatch(sentence)
})

describe('examined', () => {
  let house: House
  afterEach(() => house.close())

  async function after(receiver: Receiver, many: number, spec: object = {}, perSecond = 0) {
    house = await openHouse()
    house.receivers.set('http://one.example', receiver)
    const { engine } = house.engine()
    const { endpoint } = await house.live(engine.endpoints.add({ url: 'http://one.example/hook', ...spec }))
    await house.live(house.clock.sleep(2000))
    for (let n = 0; n < many; n++) {
      await house.live(engine.events.take({ type: 'a.b', data: n }))
      if (perSecond > 0) await house.live(house.clock.sleep(1000 / perSecond))
    }
    if (perSecond === 0) await house.live(house.clock.sleep(40_000))
    const facts = await house.live(examine(house.store, house.clock, DEFAULTS, endpoint.id))
    return { facts, words: diagnose(facts).map(({ word }) => word) }
  }

  it('a receiver that nobody can reach is parked, though a thousand wait behind', async () => {
    const { facts, words } = await after(() => ({ code: 'REFUSED' }), 1000)
    expect(words).toEqual(['parked', 'never_succeeded', 'refused_connections'])
    expect(facts).toMatchObject({ waiting: 1000, delivered: 0 })
  })

  it('a receiver of 2 s with 4 places and 3/s needs 6', async () => {
    const { facts, words } = await after(() => ({ status: 204, ms: 2000 }), 300, { places: 4 }, 3)
    expect(words).toEqual(['too_few_places'])
    expect(facts.arrivals).toBeCloseTo(3, 1)
    // Of two hundred and more attempts, the latest.
    expect(facts.attempts).toHaveLength(100)
    expect(house.clock.now() - facts.attempts[0]!.at).toBeLessThan(6000)
  })

  it('a receiver whose clock is six minutes behind is told so', async () => {
    const { facts, words } = await after(() => ({ status: 401, headers: { date: new Date(house.clock.now() - 360_000).toUTCString() } }), 8)
    expect(words).toContain('clock_skew')
    expect(Math.abs(facts.skewMs! + 360_000)).toBeLessThan(1000)
    expect(words).toContain('status_401')
  })
})
