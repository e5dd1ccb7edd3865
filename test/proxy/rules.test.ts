import { describe, expect, test } from 'vitest'
import { VirtualClock } from '../../src/clock.ts'
import { EventLog } from '../../src/events.ts'
import type { Event } from '../../src/events.ts'
import { MAX_RULES, Rules } from '../../src/proxy/rules.ts'
import type { RulesChange } from '../../src/proxy/rules.ts'
import type { ToxicSpec } from '../../src/scenario.ts'
import { toxics } from './wire.ts'

function setup(seed: number | string = 1) {
  const clock = new VirtualClock()
  const log = new EventLog('test', clock)
  const events: Event[] = []
  log.subscribe((event) => events.push(event))
  return { rules: new Rules({ link: 'bank', seed, toxics, clock, log: log.from('proxy') }), events, clock }
}

const spec = (type: string, attributes?: Record<string, number | string>, rest: Partial<ToxicSpec> = {}): ToxicSpec => ({ link: 'bank', type, attributes, ...rest })

const subject = (n: number, path = '/v1/charges', method = 'POST') => ({ connection: n, client: '10.1.2.3', exchange: n as number | null, method, path, header: (name: string): string | undefined => (name === 'idempotency-key' ? `key-${n}` : name === 'x-tenant' ? 'acme' : undefined) })

/** Numbers of the requests, of `count`, that the rules act on. */
function acted(rules: Rules, count: number, path?: string): number[] {
  const numbers: number[] = []
  for (let n = 1; n <= count; n++) if (rules.request(subject(n, path)).length > 0) numbers.push(n)
  return numbers
}

describe('a wrong toxic is refused and says how to mend it', () => {
  test.each<[string, ToxicSpec, RegExp, RegExp]>([
    ['an unknown type with a near match', spec('lost_respons'), /no toxic "lost_respons"/, /did you mean lost_response\?/],
    ['an unknown type like no other', spec('zzzzzzzzzz'), /no toxic/, /there are bandwidth, connect_delay/],
    ['a name that every object has', spec('constructor'), /no toxic/, /there are/],
    ['an unknown attribute', spec('latency', { latncy: 1 }), /no attribute "latncy"/, /did you mean latency\?/],
    ['an attribute that every object has', spec('latency', { toString: 1 }), /no attribute "toString"/, /there are/],
    ['NaN', spec('latency', { latency: Number.NaN }), /latency is NaN/, /whole number of ms/],
    ['infinity', spec('latency', { latency: Number.POSITIVE_INFINITY }), /latency is Infinity/, /whole number/],
    ['a negative number', spec('bandwidth', { rate: -1 }), /rate is -1/, /at least 0/],
    ['a fraction for a whole number', spec('latency', { latency: 1.5 }), /latency is 1.5/, /250ms, 2s/],
    ['a word for a number', spec('latency', { latency: 'soon' }), /latency is "soon"/, /250ms/],
    ['a duration where there is no time', spec('bandwidth', { rate: '2s' }), /rate is "2s"/, /whole number in KB\/s/],
    ['a number for a text', spec('lost_response', { then: 1 }), /then is 1/, /text/],
    ['a word that is no choice', spec('lost_response', { then: 'explode' }), /then is "explode"/, /fin, rst, hang/],
    ['a number that is too large', spec('partial_response', { fraction: 1.01 }), /fraction is 1.01/, /between 0 and 1/],
    ['a probability over 1', spec('latency', { probability: 2 }), /probability is 2/, /between 0 and 1/],
    ['every 0', spec('latency', { every: 0 }), /every is 0/, /at least 1/],
    ['a toxicity over 1', spec('latency', {}, { toxicity: 5 }), /toxicity is 5/, /between 0 and 1/],
    ['a stream of its own', spec('latency', {}, { stream: 'sideways' as 'upstream' }), /stream is "sideways"/, /upstream or downstream/],
    ['another link', { link: 'fraud', type: 'latency' }, /for link fraud, this is bank/, /link/],
    ['an empty name', spec('latency', {}, { name: '' }), /name is empty/, /leave/],
  ])('%s', (_, wrong, message, hint) => {
    const { rules, events } = setup()
    expect(() => rules.add(wrong)).toThrow(expect.objectContaining({ code: 'BAD_TOXIC', message: expect.stringMatching(message), hint: expect.stringMatching(hint) }))
    expect(rules.list()).toEqual([])
    expect(events).toEqual([])
  })

  test('a name that is taken', () => {
    const { rules } = setup()
    rules.add(spec('latency'))
    expect(() => rules.add(spec('latency'))).toThrow(expect.objectContaining({ code: 'TOXIC_EXISTS' }))
    rules.add(spec('latency', {}, { stream: 'upstream' }))
    expect(rules.list().map((rule) => rule.name)).toEqual(['latency_downstream', 'latency_upstream'])
  })

  test('more than a link may have', () => {
    const { rules } = setup()
    for (let i = 0; i < MAX_RULES; i++) rules.add(spec('latency', {}, { name: `n${i}` }))
    expect(() => rules.add(spec('latency'))).toThrow(expect.objectContaining({ code: 'BAD_TOXIC' }))
  })
})

test('durations and digits are read; what is not given has its default', () => {
  const { rules } = setup()
  expect(rules.add(spec('latency', { latency: '2s', jitter: '10' })).attributes).toEqual({ latency: 2000, jitter: 10 })
  expect(rules.add(spec('timeout', { timeout: '250ms' })).attributes).toEqual({ timeout: 250 })
  expect(rules.add(spec('lost_response')).attributes).toEqual({ then: 'rst' })
})

test.each<[Record<string, number | string>, number[]]>([
  [{}, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]],
  [{ first: 2 }, [1, 2]],
  [{ after: 7 }, [8, 9, 10]],
  [{ after: 2, first: 3 }, [3, 4, 5]],
  [{ every: 3 }, [3, 6, 9]],
  [{ after: 1, every: 3 }, [4, 7, 10]],
  [{ every: 2, times: 2 }, [2, 4]],
  [{ probability: 0 }, []],
  [{ path: '/v1/*' }, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]],
  [{ path: '/*' }, []],
  [{ path: '/**' }, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]],
  [{ path: '/v1/charge' }, []],
  [{ path: '/v1.charges' }, []],
  [{ method: 'post', first: 1 }, [1]],
  [{ method: 'GET' }, []],
])('%j acts on %j of ten', (attributes, expected) => {
  const { rules } = setup()
  rules.add(spec('lost_request', attributes))
  expect(acted(rules, 10, '/v1/charges?expand=1')).toEqual(expected)
})

test('only matches are counted', () => {
  const { rules } = setup()
  rules.add(spec('lost_request', { path: '/a', every: 2 }))
  const hit = ['/a', '/b', '/b', '/a', '/b', '/a', '/a'].map((path, i) => rules.request(subject(i, path)).length > 0)
  expect(hit).toEqual([false, false, false, true, false, false, true])
})

test('a decision depends on the seed, the rule and its own count, not on what other rules decide', () => {
  const decide = (seed: number, ...others: ToxicSpec[]) => {
    const { rules } = setup(seed)
    rules.add(spec('lost_request', { probability: 0.3, path: '/a' }, { name: 'mine' }))
    for (const other of others) rules.add(other)
    const numbers: number[] = []
    for (let n = 1; n <= 300; n++) {
      if (others.length > 0) rules.request(subject(n, '/b'))
      if (rules.request(subject(n, '/a'))[0]?.decision.rule.name === 'mine') numbers.push(n)
    }
    return numbers
  }
  const alone = decide(1)
  expect(alone.length).toBeGreaterThan(60)
  expect(alone.length).toBeLessThan(120)
  expect(decide(1, spec('lost_request', { probability: 0.5 }, { name: 'other' }))).toEqual(alone)
  expect(decide(2)).not.toEqual(alone)
})

test('toxicity and probability multiply', () => {
  const { rules } = setup()
  rules.add(spec('lost_request', { probability: 0.5 }, { toxicity: 0.5 }))
  const share = acted(rules, 4000).length / 4000
  expect(share).toBeGreaterThan(0.22)
  expect(share).toBeLessThan(0.28)
})

test('the first rule that acts on a request has it, and the later ones do not count it', () => {
  const { rules } = setup()
  rules.add(spec('lost_request', { first: 1 }))
  rules.add(spec('http_error', { first: 1 }))
  expect([1, 2, 3].map((n) => rules.request(subject(n))[0]?.decision.rule.toxic.name)).toEqual(['lost_request', 'http_error', undefined])
})

test('what was hit is journalled in a few words, once for a whole connection, and the rest is unfired', () => {
  const { rules, events } = setup()
  const latency = rules.add(spec('latency', { latency: 5 }))
  rules.add(spec('bandwidth', { rate: 1 }))
  const decision = rules.decide(latency, { ...subject(7, '', ''), exchange: null })!
  for (let i = 0; i < 3; i++) expect(decision.chunk(100, 0, null)).toEqual({ do: 'delay', ms: 5 })
  expect(latency).toMatchObject({ hits: 1, chunks: 3 })
  expect(rules.unfired()).toEqual(['bandwidth_downstream'])
  expect(events.at(-1)).toMatchObject({ src: 'proxy', type: 'toxic.hit', link: 'bank', toxic: 'latency_downstream', toxicType: 'latency', connection: 7, exchange: null, action: 'bytes delayed', ms: 5 })
})

test('rules are told when they come and go', () => {
  const { rules, events } = setup()
  const seen: string[] = []
  const stop = rules.watch((change: RulesChange) => seen.push('added' in change ? `+${change.added.name}` : 'removed' in change ? `-${change.removed.name}` : `~${change.updated.name}`))
  rules.add(spec('latency', { latency: 5, path: '/a' }, { name: 'slow' }))
  expect(rules.needsExchanges).toBe(true)
  expect(rules.remove('slow')).toBe(true)
  expect(rules.remove('slow')).toBe(false)
  expect(rules.needsExchanges).toBe(false)
  stop()
  rules.add(spec('latency'))
  expect(rules.needsExchanges).toBe(false)
  rules.removeAll()
  expect(seen).toEqual(['+slow', '-slow'])
  expect(events.map((event) => event.type)).toEqual(['toxic.added', 'toxic.removed', 'toxic.added', 'toxic.removed'])
  expect(events[0]).toMatchObject({ link: 'bank', toxic: 'slow', toxicType: 'latency', stream: 'downstream', attributes: { latency: 5, jitter: 0, path: '/a' } })
})

test.each<[Record<string, string>, boolean]>([
  [{ header: 'X-Tenant' }, true],
  [{ header: 'x-tenant: ac*' }, true],
  [{ header: 'X-Tenant: other' }, false],
  [{ header: 'X-Other' }, false],
  [{ key: 'key-*' }, true],
  [{ key: 'order-*' }, false],
  [{ client: '10.0.0.0/8' }, true],
  [{ client: '10.1.2.3' }, true],
  [{ client: '10.1.2.4' }, false],
  [{ client: '192.168.0.0/16' }, false],
  [{ client: 'fd00::/8' }, false],
  [{ window: '..10s' }, true],
  [{ window: '0..1ms' }, true],
  [{ window: '1s..' }, false],
])('%j: acts is %j', (attributes, expected) => {
  const { rules } = setup()
  rules.add(spec('lost_request', attributes))
  expect(rules.request(subject(1)).length > 0).toBe(expected)
})

test.each([
  [{ header: ': x' }, /header is/],
  [{ header: 'a b' }, /header is/],
  [{ client: '10.0.0.0/33' }, /client is/],
  [{ client: 'localhost' }, /client is/],
  [{ client: '1.2.3.4/8/8' }, /client is/],
  [{ window: '10s' }, /window is/],
  [{ window: '20s..10s' }, /window is/],
  [{ window: '1s..2s..3s' }, /window is/],
  [{ window: 'soon..' }, /window is/],
])('%j is refused', (attributes, message) => {
  expect(() => setup().rules.add(spec('lost_request', attributes as Record<string, string>))).toThrow(message)
})

test('a window opens and closes with time', async () => {
  const { rules, clock } = setup()
  rules.add(spec('lost_request', { window: '10ms..20ms' }))
  const acts: number[] = []
  for (let ms = 0; ms < 30; ms += 5) {
    if (rules.request(subject(1)).length > 0) acts.push(ms)
    await clock.run(clock.sleep(5))
  }
  expect(acts).toEqual([10, 15])
})

describe('an update', () => {
  test('merges attributes, keeps ordinals and hits, and is told', () => {
    const { rules, events } = setup()
    const rule = rules.add(spec('http_error', { status: 500, every: 2 }))
    rules.request(subject(1))
    expect(rules.update(rule.name, { attributes: { status: 418 } })).toBe(rule)
    expect(rule.attributes).toMatchObject({ status: 418, every: 2 })
    const [fate] = rules.request(subject(2))
    expect(fate).toMatchObject({ action: { do: 'answer', response: { status: 418 } } })
    expect(rule.matches).toBe(2)
    expect(events.at(-1)).toMatchObject({ type: 'toxic.updated', toxic: rule.name, attributes: { status: 418 } })
  })

  test('that is refused changes nothing', () => {
    const { rules } = setup()
    const rule = rules.add(spec('latency', { latency: 5, jitter: 1 }))
    expect(() => rules.update(rule.name, { attributes: { latency: 7, jitter: -1 } })).toThrow(/jitter/)
    expect(() => rules.update(rule.name, { attributes: { latency: 7 }, toxicity: 2 })).toThrow(/toxicity/)
    expect(rule.attributes).toEqual({ latency: 5, jitter: 1 })
    expect(() => rules.update('other', {})).toThrow(/no toxic "other"/)
  })

  test('moves a toxic to its other place', () => {
    const { rules } = setup()
    rules.add(spec('hang', {}, { name: 'h' }))
    expect([rules.request(subject(1)).length, rules.response(subject(1)).length]).toEqual([1, 0])
    rules.update('h', { attributes: { where: 'response' } })
    expect([rules.request(subject(1)).length, rules.response(subject(1)).length]).toEqual([0, 1])
  })
})

test('toxicity is decided once for each connection, whatever happens on it, and anew after an update', () => {
  const { rules } = setup()
  const rule = rules.add(spec('lost_request', {}, { toxicity: 0.5 }))
  const connections = Array.from({ length: 200 }, (_, i) => i + 1)
  const chosen = () => connections.filter((n) => rules.request({ ...subject(n), exchange: 1 }).length > 0)
  const first = chosen()
  expect(first.length).toBeGreaterThan(70)
  expect(first.length).toBeLessThan(130)
  expect(chosen()).toEqual(first)
  rules.update(rule.name, { toxicity: 0.5 })
  expect(chosen()).not.toEqual(first)
})

test('actions that let a message go on add up, until one that does not', () => {
  const { rules } = setup()
  rules.add(spec('http_delay', { ms: 5, where: 'forward' }))
  rules.add(spec('header_edit', { set: 'x-a: 1' }))
  rules.add(spec('lost_request', { first: 1 }))
  const last = rules.add(spec('http_error'))
  expect(rules.request(subject(1)).map(({ action }) => action.do)).toEqual(['hold', 'edit', 'lose'])
  expect(last.matches).toBe(0)
  expect(rules.request(subject(2)).map(({ action }) => action.do)).toEqual(['hold', 'edit', 'answer'])
})

test('the same requests get the same decisions in whatever order rules of others are asked in between', () => {
  const run = (interleaved: boolean) => {
    const { rules } = setup(9)
    rules.add(spec('lost_request', { probability: 0.4, path: '/a' }, { name: 'a' }))
    rules.add(spec('http_error', { probability: 0.4, path: '/b' }, { name: 'b' }))
    const hits: Record<'/a' | '/b', boolean[]> = { '/a': [], '/b': [] }
    const ask = (path: '/a' | '/b', n: number) => hits[path].push(rules.request(subject(n, path)).length > 0)
    if (interleaved) for (let n = 0; n < 100; n++) (['/b', '/a'] as const).forEach((path) => ask(path, n))
    else (['/a', '/b'] as const).forEach((path) => Array.from({ length: 100 }, (_, n) => ask(path, n)))
    return hits
  }
  expect(run(true)).toEqual(run(false))
})
