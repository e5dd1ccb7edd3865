import { describe, expect, test } from 'vitest'
import type { Event } from '../../../../src/events.ts'
import { noTraffic } from '../../../../src/proxy/traffic.ts'
import { empty, fold, SECONDS_KEPT, story } from '../../../../src/lab/proxy-view.ts'
import type { ProxyView, WatchedFacts } from '../../../../src/lab/proxy-view.ts'
import type { Frame } from '../../../../src/lab/reporters/screens/parts.ts'
import { proxyLines } from '../../../../src/lab/reporters/screens/proxy.ts'
import { lineText, toText, width } from '../../../../src/lab/reporters/screens/lines.ts'

const EPOCH = 1_893_456_000_000

const event = (type: string, t: number, fields: object): Event => ({ run: 'watch', seq: 0, t, at: EPOCH + t, src: 'lab', node: null, type, ...fields })
const polled = (uptimeMs: number, proxies: WatchedFacts[]): Event => event('watch.polled', uptimeMs, { url: 'http://127.0.0.1:8474', seed: 7, uptimeMs, proxies })
const hit = (seq: number, t: number, link: string, toxic: string): Event => ({ ...event('toxic.hit', t, { link, toxic, toxicType: 'latency', connection: 1, exchange: null, action: 'bytes delayed' }), seq })

/** After so many requests of 1 kB up and 9 kB down, each answered in 20 ms. */
function bank(requests: number, more: Partial<WatchedFacts> = {}): WatchedFacts {
  const traffic = { ...noTraffic(), connectionsTotal: 1, connectionsOpen: 3, requestsTotal: requests, upstream: { received: requests * 1000, sent: 0 }, downstream: { received: requests * 9000, sent: 0 } }
  return {
    name: 'bank', listen: '127.0.0.1:7001', upstream: '10.0.0.5:5432', enabled: true,
    toxics: [{ name: 'latency_downstream', type: 'latency', stream: 'downstream', toxicity: 1, attributes: { latency: 200, jitter: 0 }, hits: 12 }, { name: 'tea', type: 'http_error', stream: 'upstream', toxicity: 0.5, attributes: { status: 503 }, hits: 0 }],
    ...more,
    traffic: { ...traffic, latency: { ...traffic.latency, count: requests, sumMs: requests * 20 }, ...more.traffic },
  }
}

/** 30 s of a proxy under a load that grows by 4 requests a second. */
function loaded(more: WatchedFacts[] = []): ProxyView {
  let view = empty()
  let requests = 0
  for (let second = 0; second <= 30; second++) {
    view = fold(view, polled(second * 1000 + 500, [bank((requests += second * 4)), ...more]))
    if (second % 10 === 0) view = fold(view, hit(second + 1, second * 1000 + 600, 'bank', 'latency_downstream'))
  }
  return view
}

const frame = (columns: number, more: Partial<Frame> = {}): Frame => ({
  columns, rows: 40, title: 'resil proxy watch', now: 31_000, walk: null, hint: [{ text: '? keys   q leave', look: 'quiet' }],
  switches: [{ key: '1', label: 'bank: latency_downstream', link: 'bank', toxic: 'latency_downstream', on: true }, { key: '2', label: 'bank: tea', link: 'bank', toxic: 'tea', on: true }],
  ...more,
})
const drawn = (view: ProxyView, columns: number, more: Partial<Frame> = {}) => toText(proxyLines(view, frame(columns, more)))
const others = (count: number) => Array.from({ length: count }, (_, n) => ({ ...bank(0), name: `proxy-${n + 1}` }))

describe('the screen of a watched proxy', () => {
  test('at 100 columns it tells where bytes go, how many, and what the toxics do', () => {
    expect(drawn(loaded(), 100)).toMatchInlineSnapshot(`
      " resil proxy watch   http://127.0.0.1:8474   seed 7   up 31.0 s                                LIVE

       bank           127.0.0.1:7001 > 10.0.0.5:5432   3 open   112 requests/s   1.1 MB/s   mean 20 ms
                      ·····························▁▁▁▂▂▂▂▃▃▃▃▄▄▄▄▅▅▅▆▆▆▆▇▇▇▇████  at most 120 a second
                      [1] × latency downstream   struck 12 times, now   latency 200
                      [2] × http error tea upstream   never struck   toxicity 0.5, status 503

       events         00:00.600  bank         × latency: bytes delayed
                      00:10.600  bank         × latency: bytes delayed
                      00:20.600  bank         × latency: bytes delayed
                      00:30.600  bank         × latency: bytes delayed
      ────────────────────────────────────────────────────────────────────────────────────────────────────
       3 connections are open on 1 proxy, 112 requests a second. 1 toxic struck in the last 10 s; 1 has
       never struck.
       ? keys   q leave
      "
    `)
  })

  test.each([40, 59, 60, 79, 80, 100, 160])('at %i columns no line is wider, and the facts are there', (columns) => {
    for (const view of [loaded(), loaded(others(3)), loaded(others(30)), empty(), fold(loaded(), event('watch.lost', 31_000, { why: 'no proxy answers at http://127.0.0.1:8474: it refused the connection' }))]) {
      for (const rows of [10, 24, 40, 80]) {
        const lines = proxyLines(view, frame(columns, { rows }))
        expect(lines.length).toBeLessThan(rows)
        for (const line of lines) expect(width(lineText(line))).toBeLessThanOrEqual(columns)
      }
    }
    const text = drawn(loaded(), columns).replaceAll(/\s+/g, ' ')
    for (const fact of ['LIVE', 'bank', '127.0.0.1:7001 > 10.0.0.5:5432', '3 open', '112 requests/s', '1.1 MB/s', 'mean 20 ms', '[1] × latency', 'struck 12 times', '[2] × http error tea', 'never struck', 'status 503', 'q leave']) expect(text).toContain(fact)
  })

  test('what the proxy said last is marked as stale, since when, and nothing of it moves on', () => {
    const lost = fold(loaded(), event('watch.lost', 31_000, { why: 'no proxy answers' }))
    const text = drawn(lost, 100, { now: 42_500 })
    expect(text).toMatch(/ STALE\n STALE since 00:00:30 UTC, for 12\.0 s: no proxy answers\n/)
    expect(text).not.toContain('LIVE')
    expect(text).toMatch(/up 30\.5 s/)
    expect(text).toContain('At its last word: 3 connections are open on 1 proxy')
    const bars = (drawing: string) => /[·▁-█]{10,}/.exec(drawing)?.[0]
    expect(bars(text)).toBe(bars(drawn(lost, 100, { now: 90_000 })))
    expect(drawn(fold(lost, polled(43_000, [bank(2000)])), 100, { now: 43_000 })).toContain('LIVE')
  })

  test('each second has its bar, the highest at the second of the most requests', () => {
    const bars = /[·▁-█]{10,}/.exec(drawn(loaded(), 100))![0]
    expect(bars).toMatch(/^·+▁▁▁/)
    expect(bars).toHaveLength(100 - 16 - 24 - 1)
    expect(drawn(loaded(), 100)).toContain('at most 120 a second')
  })

  test('a connection that speaks no HTTP is drawn by its bytes', () => {
    let view = fold(empty(), polled(1000, [bank(0)]))
    view = fold(view, polled(2000, [bank(0, { traffic: { ...noTraffic(), connectionsTotal: 1, connectionsOpen: 1, upstream: { received: 2_500_000, sent: 0 } } })]))
    expect(drawn(view, 100, { now: 3100 })).toContain('at most 2.5 MB/s')
    expect(drawn(view, 100, { now: 3100 })).not.toContain('requests/s')
  })

  test('of too many proxies each has a line, then as many as fit, and the rest are counted', () => {
    const text = drawn(loaded(others(20)), 160)
    expect(text).toMatch(/proxy-20 .*× 2 toxics/)
    expect(drawn(loaded(others(60)), 160)).toMatch(/and \d\d more, which need more rows/)
    expect(drawn(loaded(others(60)), 160, { rows: 100 })).toContain('proxy-60')
  })

  test('a toxic that a key took away keeps its key; a proxy that is off says so; a refusal is told', () => {
    const view = fold(fold(empty(), polled(1000, [bank(0, { enabled: false, toxics: [] })])), event('watch.refused', 1000, { why: 'bank: tea stays off: no' }))
    const text = drawn(view, 100, { switches: [{ key: '4', label: 'bank: tea', link: 'bank', toxic: 'tea', on: false }] })
    expect(text).toMatch(/\[4\] × tea +off; 4 puts it back/)
    expect(text).toContain('OFF: refuses connections')
    expect(text).toContain('bank: tea stays off: no')
  })

  test('no name and no attribute reaches the terminal as it is', () => {
    const bad = '\u001b[2J\u202e\n'
    const view = fold(fold(empty(), polled(1000, [bank(0, { name: bad, upstream: bad, toxics: [{ name: bad, type: bad, stream: 'upstream', toxicity: 1, attributes: { [bad]: bad.repeat(1000) } }] })])), event('watch.lost', 1000, { why: bad }))
    const text = drawn(view, 100, { switches: [{ key: '1', label: 'x', link: bad, toxic: bad, on: false }] })
    for (const sign of '\u001b\u202e') expect(text).not.toContain(sign)
    for (const line of text.split('\n')) expect(width(line)).toBeLessThanOrEqual(100)
  })

  test('without a proxy it says how to make one', () => {
    expect(drawn(fold(empty(), polled(1000, [])), 100)).toContain('none yet; resil proxy create makes one')
  })

  test('the walked event is shown in full', () => {
    expect(drawn(loaded(), 100, { walk: 11 })).toMatch(/› #11 .*latency: bytes delayed\n(?:.*\n)*.*toxic\.hit {2}from lab/)
  })
})

describe('what is remembered of a watched proxy', () => {
  test('no more seconds than are drawn, however long it is watched', () => {
    let view = empty()
    for (let second = 0; second < 1000; second++) view = fold(fold(view, polled(second * 1000, [bank(second)])), hit(second, second * 1000, 'bank', 'latency_downstream'))
    expect(view.proxies[0]!.seconds.length).toBeLessThanOrEqual(SECONDS_KEPT)
    expect([...view.strikes.values()].every((seconds) => seconds.length <= SECONDS_KEPT)).toBe(true)
    expect(view.events.length).toBeLessThanOrEqual(500)
  })

  test('another proxy on the same port begins at nothing', () => {
    const view = fold(loaded(), polled(200, [bank(3)]))
    expect([view.events, view.proxies[0]!.seconds]).toEqual([[], []])
  })

  test('the story counts toxics that strike and those that never did', () => {
    expect(story(loaded())).toBe('3 connections are open on 1 proxy, 112 requests a second. 1 toxic struck in the last 10 s; 1 has never struck.')
  })
})
