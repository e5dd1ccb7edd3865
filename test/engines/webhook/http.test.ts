/** The face, asked as a client would, in virtual time. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { z } from 'zod'
import { ResilError } from '../../../src/errors.ts'
import { WebhookEngine } from '../../../src/engines/webhook/engine.ts'
import { REQUEST_MOST } from '../../../src/engines/webhook/http.ts'
import { acknowledge, readHeaders } from '../../../src/engines/webhook/receiver.ts'
import type { Route } from '../../../src/engines/webhook/routes.ts'
import { ROUTES } from '../../../src/engines/webhook/routes.ts'
import type { Store } from '../../../src/engines/store/store.ts'
import { silentLog } from '../../../src/events.ts'
import type { HttpResponse } from '../../../src/network.ts'
import { Random } from '../../../src/random.ts'
import { parsePrometheus } from '../payment/prometheus.ts'
import type { House } from './house.ts'
import { openHouse } from './house.ts'

let house: House
let engine: WebhookEngine
beforeEach(async () => {
  house = await openHouse()
  engine = house.engine().engine
})
afterEach(() => house.close())

const URL_1 = 'http://one.example/hook'

type Answer = HttpResponse & { json: any }

async function ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}, of = engine): Promise<Answer> {
  const answer = await house.live(of.handle({ method, path, headers, body: body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body) }))
  return { ...answer, json: answer.headers['content-type']?.includes('json') ? JSON.parse(answer.body) : undefined }
}

/** Another engine on the same outside, that runs no loops. */
function another(own: { token?: string; store?: Store }): WebhookEngine {
  return new WebhookEngine({ clock: house.clock, random: Random.seeded(9), network: { call: () => Promise.reject(new Error('not called')) }, store: house.store, log: silentLog, node: 'n9', incarnation: 9, masterKeys: [Buffer.alloc(32, 7)], allow: [], plainHttp: true, version: '0.0.0', ...own })
}

const event = { type: 'order.created', data: { order: 7 } }

describe('events', () => {
  it('an event is taken in once under one key, and the second answer says that it is the first one again', async () => {
    const key = { 'idempotency-key': 'k-1' }
    const first = await ask('POST', '/v1/events', event, key)
    expect(first).toMatchObject({ status: 202, json: { deliveries: 0, replayed: false }, headers: { 'webhook-id': first.json.id, location: `/v1/events/${first.json.id}` } })
    expect(first.headers).not.toHaveProperty('idempotent-replayed')
    const again = await ask('POST', '/v1/events', event, { 'idempotency-key': '"k-1"' })
    expect(again).toMatchObject({ status: 202, json: { id: first.json.id, replayed: true }, headers: { 'idempotent-replayed': 'true' } })
    expect(await ask('POST', '/v1/events', { ...event, data: {} }, key)).toMatchObject({ status: 409, json: { code: 'IDEMPOTENCY_KEY_REUSED' } })
    expect(await house.rows('SELECT COUNT(*) AS n FROM event')).toEqual([{ n: 1 }])
  })

  it.each([
    ['no JSON', '{', {}, 400],
    ['an encoded body', event, { 'content-encoding': 'gzip' }, 400],
    ['two keys', event, { 'idempotency-key': 'a, b' }, 400],
    ['an empty key', event, { 'idempotency-key': '' }, 400],
    ['no type', { data: 1 }, {}, 422],
    ['a type that is none', { type: 'a b', data: 1 }, {}, 422],
    ['neither data nor body', { type: 'a.b' }, {}, 422],
    ['both', { type: 'a.b', data: 1, body: 'x' }, {}, 422],
    ['the engine’s own family', { type: 'resil.endpoint.failing', data: 1 }, {}, 422],
    ['a field that is not known', { ...event, dta: 1 }, {}, 422],
    ['a body of 256 KiB and one', { type: 'a.b', body: 'x'.repeat(262_145) }, {}, 413],
    ['a request too large', 'x'.repeat(REQUEST_MOST + 1), {}, 413],
  ] as const)('%s is refused, and nothing is taken in', async (_, body, headers, status) => {
    const answer = await ask('POST', '/v1/events', body, headers)
    expect(answer).toMatchObject({ status, headers: { 'content-type': 'application/problem+json' }, json: { status, title: expect.any(String) } })
    expect(await house.rows('SELECT COUNT(*) AS n FROM event')).toEqual([{ n: 0 }])
  })

  it('a field that is wrong is pointed to', async () => {
    expect((await ask('POST', '/v1/events', { type: 7, data: 1, 'a/b': 1 })).json.errors).toEqual([{ pointer: '#/type', detail: expect.any(String) }, { pointer: '#/a~1b', detail: 'is not known here' }])
    expect((await ask('GET', '/v1/events?limit=0&after=1')).json.errors).toEqual([{ parameter: 'limit', detail: expect.any(String) }])
    expect(await ask('GET', '/v1/events?after=1&after=2')).toMatchObject({ status: 422, json: { errors: [{ parameter: 'after', detail: 'comes twice' }] } })
  })

  it('a body of 256 KiB is taken in and shown as it came', async () => {
    const body = 'x'.repeat(262_144)
    const { json } = await ask('POST', '/v1/events', { type: 'a.b', body })
    expect((await ask('GET', `/v1/events/${json.id}`)).json).toMatchObject({ id: json.id, body, deliveries: [] })
  })

  it('whoever reads page after page sees every event once, by type and by state', async () => {
    house.receivers.set('http://one.example', () => ({ status: 204 }))
    await ask('POST', '/v1/endpoints', { url: URL_1, patterns: ['order.*'] })
    const ids: string[] = []
    for (let n = 0; n < 7; n++) ids.push((await ask('POST', '/v1/events', { type: n % 2 ? 'refund.issued' : 'order.created', data: n })).json.id)
    const seen: string[] = []
    for (let after = 0; ; ) {
      const { json } = await ask('GET', `/v1/events?after=${after}&limit=3`)
      seen.push(...json.events.map((each: { id: string }) => each.id))
      if (json.next === null) break
      after = json.next
    }
    expect(seen).toEqual(ids)
    expect((await ask('GET', '/v1/events?type=order.*')).json.events).toHaveLength(4)
    expect((await ask('GET', '/v1/events?state=dead')).json.events).toEqual([])
    await house.live(house.clock.sleep(3000))
    expect((await ask('GET', '/v1/events?state=delivered')).json.events.map((each: { id: string }) => each.id)).toEqual(ids.filter((_, n) => n % 2 === 0))
  })
})

describe('endpoints', () => {
  it.each([
    ['108 a private address in another spelling', { url: 'http://0xa.1/' }, '#/url'],
    ['109 the address of nobody', { url: 'http://0/' }, '#/url'],
    ['109 this machine in the clothes of IPv6', { url: 'http://[64:ff9b::7f00:1]/' }, '#/url'],
    ['110 where clouds hand out credentials', { url: 'http://169.254.169.254/latest' }, '#/url'],
    ['113 credentials', { url: 'http://u:p@host.example/' }, '#/url'],
    ['113 a backslash before an @, with a port of mail', { url: 'http://evil.example:25\\@127.0.0.1/' }, '#/url'],
    ['114 a port of others', { url: 'http://host.example:22/' }, '#/url'],
    ['115 file', { url: 'file:///etc/passwd' }, '#/url'],
    ['115 gopher', { url: 'gopher://host.example/' }, '#/url'],
    ['115 javascript', { url: 'javascript:alert(1)' }, '#/url'],
    ['116 a line break in a header', { url: URL_1, headers: { 'x-a': 'b\r\nx-c: d' } }, '#/headers'],
    ['117 Host', { url: URL_1, headers: { host: 'other' } }, '#/headers'],
    ['117 Content-Length', { url: URL_1, headers: { 'Content-Length': '1' } }, '#/headers'],
    ['117 Transfer-Encoding', { url: URL_1, headers: { 'transfer-encoding': 'chunked' } }, '#/headers'],
    ['117 Connection', { url: URL_1, headers: { connection: 'close' } }, '#/headers'],
    ['117 a signature', { url: URL_1, headers: { 'webhook-signature': 'v1,x' } }, '#/headers'],
    ['a pattern that is none', { url: URL_1, patterns: ['a..b'] }, '#/patterns'],
  ])('%s is refused with a pointer', async (_, body, pointer) => {
    expect(await ask('POST', '/v1/endpoints', body)).toMatchObject({ status: 422, headers: { 'content-type': 'application/problem+json' }, json: { errors: [{ pointer }] } })
    expect(await house.rows('SELECT COUNT(*) AS n FROM endpoint')).toEqual([{ n: 0 }])
  })

  it('one is made, changed, held, let go, rotated and removed; its secret is shown once', async () => {
    house.receivers.set('http://one.example', () => ({ status: 204 }))
    const made = await ask('POST', '/v1/endpoints', { url: URL_1, per_second: 10, ack_ms: 5000, stripe_signature: true, demand: { receipt: true } })
    const { id } = made.json.endpoint
    expect(made).toMatchObject({ status: 201, headers: { location: `/v1/endpoints/${id}` }, json: { secret: expect.stringMatching(/^whsec_/), endpoint: { per_second: 10, ack_ms: 5000, stripe_signature: true, demand: { receipt: true }, state: 'enabled' } } })
    expect((await ask('GET', '/v1/endpoints')).body).not.toContain('whsec_')
    expect((await ask('PATCH', `/v1/endpoints/${id}`, { patterns: ['a.*'], deadline_ms: 2000 })).json).toMatchObject({ patterns: ['a.*'], deadline_ms: 2000, per_second: 10 })
    expect((await ask('POST', `/v1/endpoints/${id}/pause`, { why: 'lunch' })).json).toMatchObject({ state: 'paused', reason: 'lunch' })
    expect((await ask('POST', `/v1/endpoints/${id}/disable`)).json).toMatchObject({ state: 'disabled' })
    expect((await ask('POST', `/v1/endpoints/${id}/enable`)).json).toMatchObject({ state: 'enabled', reason: null })
    const rotated = await ask('POST', `/v1/endpoints/${id}/rotate`, { overlap_ms: 1000 })
    expect(rotated.json.secret).not.toBe(made.json.secret)
    expect((await ask('GET', `/v1/endpoints/${id}/secrets`)).json.secrets).toMatchObject([{ expires_at: null }, { expires_at: expect.any(Number) }])
    expect((await ask('DELETE', `/v1/endpoints/${id}`)).json).toEqual({ cancelled: 0 })
    expect(await ask('GET', `/v1/endpoints/${id}`)).toMatchObject({ status: 404, json: { code: 'NO_SUCH_ENDPOINT' } })
  })
})

it('112 a redirect is a failure that is tried again, and the place that it names is never called', async () => {
  house.receivers.set('http://one.example', () => ({ status: 302, headers: { location: 'http://127.0.0.1/admin' } }))
  await ask('POST', '/v1/endpoints', { url: URL_1 })
  await ask('POST', '/v1/events', event)
  await house.live(house.clock.sleep(10_000))
  const [delivery] = (await ask('GET', '/v1/deliveries')).json.deliveries
  expect(delivery).toMatchObject({ state: 'pending', tries: 2 })
  expect((await ask('GET', `/v1/deliveries/${delivery.id}/attempts`)).json.attempts).toMatchObject([{ outcome: 'refused', status: 302, detail: 'redirect' }, { outcome: 'refused', status: 302 }])
  expect(house.seen.map(({ origin }) => origin)).toEqual(['http://one.example', 'http://one.example'])
})

describe('what one endpoint is to be told', () => {
  const owed = async (id: string, query = '') => (await ask('GET', `/v1/endpoints/${id}/events${query}`)).json
  const numbers = ({ events }: { events: { sequence: number }[] }) => events.map(({ sequence }) => sequence)

  it('comes in the order of its own numbers with the bodies, delivered or not, page after page, each once', async () => {
    house.receivers.set('http://one.example', ({ body }) => ({ status: body.includes('poor') ? 413 : 204 }))
    const { id } = (await ask('POST', '/v1/endpoints', { url: URL_1, patterns: ['order.*'] })).json.endpoint
    const told: string[] = []
    for (let n = 0; n < 14; n++) {
      const { json } = await ask('POST', '/v1/events', { type: n % 2 ? 'refund.issued' : 'order.created', body: n === 4 ? '"poor"' : `{"n":${n}}`, key: `k${n}` })
      if (n % 2 === 0) told.push(json.id)
    }
    await house.live(house.clock.sleep(3000))
    await ask('POST', `/v1/endpoints/${id}/pause`)
    told.push((await ask('POST', '/v1/events', { type: 'order.paid', data: 1 })).json.id)
    const all = await owed(id)
    expect(all.events.map((each: { id: string }) => each.id)).toEqual(told)
    expect(numbers(all)).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    expect(all.events.map((each: { state: string }) => each.state)).toEqual(['delivered', 'delivered', 'dead', 'delivered', 'delivered', 'delivered', 'delivered', 'pending'])
    expect(all.events[1]).toEqual({ id: told[1], sequence: 2, type: 'order.created', key: 'k2', state: 'delivered', created_at: expect.any(Number), body: '{"n":2}' })
    expect(all.next).toBeNull()
    const pages = []
    for (let after: number | null = 2; after !== null; ) {
      const page: { events: { sequence: number }[]; next: number | null } = await owed(id, `?after=${after}&limit=4`)
      pages.push(numbers(page))
      after = page.next
    }
    expect(pages).toEqual([[3, 4, 5, 6], [7, 8]])
    expect(await owed(id, '?after=8')).toEqual({ events: [], next: null })
  })

  it('a page holds no more bytes than it may, and the next one begins behind it', async () => {
    const { id } = (await ask('POST', '/v1/endpoints', { url: URL_1 })).json.endpoint
    await ask('POST', `/v1/endpoints/${id}/pause`)
    for (let n = 0; n < 5; n++) await ask('POST', '/v1/events', { type: 'a.b', body: 'ä'.repeat(131_072) })
    const first = await owed(id)
    expect([numbers(first), first.next]).toEqual([[1, 2, 3, 4], 4])
    const second = await owed(id, `?after=${first.next}`)
    expect([numbers(second), second.next]).toEqual([[5], null])
  })

  it.each(['after=-1', 'after=1.5', 'after=x', 'after=0x10', 'after=1e3', 'after=%201', 'after=9007199254740993', 'after=', 'after=1&after=2', 'limit=0', 'limit=1001', 'limit=1.5', 'from=1'])('?%s is refused with the parameter', async (query) => {
    const { id } = (await ask('POST', '/v1/endpoints', { url: URL_1 })).json.endpoint
    expect(await ask('GET', `/v1/endpoints/${id}/events?${query}`)).toMatchObject({ status: 422, json: { errors: [{ parameter: query.split('=')[0] }] } })
  })
})

describe('replays', () => {
  it('a dry run counts what the job then sends again', async () => {
    let status = 413
    house.receivers.set('http://one.example', () => ({ status }))
    await ask('POST', '/v1/endpoints', { url: URL_1 })
    for (let n = 0; n < 5; n++) await ask('POST', '/v1/events', { type: 'order.created', data: n })
    await house.live(house.clock.sleep(5000))
    expect((await ask('GET', '/v1/dlq')).json.dlq).toMatchObject([{ dead: 5, reasons: [{ reason: 'status 413', dead: 5 }] }])
    status = 204
    const filter = { dlq: true, reason: 'status 413' }
    expect(await ask('POST', '/v1/replays', { ...filter, dry_run: true })).toMatchObject({ status: 200, json: { matched: 5 } })
    const asked = await ask('POST', '/v1/replays', { ...filter, id: 'job-1' })
    expect(asked).toMatchObject({ status: 202, headers: { location: '/v1/replays/job-1' }, json: { matched: 5, state: 'running', order: 'oldest' } })
    expect(await ask('POST', '/v1/replays', { dlq: true, id: 'job-1' })).toMatchObject({ status: 409 })
    expect((await ask('POST', '/v1/replays/job-1/pause')).json.state).toBe('paused')
    expect((await ask('POST', '/v1/replays/job-1/resume')).json.state).toBe('running')
    await house.live(house.clock.sleep(10_000))
    expect((await ask('GET', '/v1/replays/job-1')).json).toMatchObject({ state: 'done', queued: 5, delivered: 5, failed: 0 })
    expect((await ask('GET', '/v1/dlq')).json.dlq).toEqual([])
  })
})

describe('who may ask', () => {
  it('with a token nobody asks without it, but for the health and what is signed', async () => {
    const guarded = another({ token: 'secret-token' })
    const bearer = { authorization: 'Bearer secret-token' }
    expect(await ask('GET', '/v1/lanes', undefined, {}, guarded)).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Bearer' } })
    expect(await ask('GET', '/v1/lanes', undefined, { authorization: 'Bearer secret-tokeN' }, guarded)).toMatchObject({ status: 401 })
    expect(await ask('GET', '/nothing', undefined, {}, guarded)).toMatchObject({ status: 401 })
    expect(await ask('GET', '/v1/lanes', undefined, { ...bearer, host: 'webhooks.example' }, guarded)).toMatchObject({ status: 200 })
    expect(await ask('GET', '/healthz', undefined, { host: '10.0.0.7:80' }, guarded)).toMatchObject({ status: 200 })
    expect(await ask('POST', '/v1/acks', { id: 'evt_1', endpoint: 'ep_1' }, {}, guarded)).toMatchObject({ status: 401, json: { code: 'INVALID_ACK' } })
  })

  it('an endpoint reads what is its own with a signature, from anywhere, and nothing else', async () => {
    const guarded = another({ token: 'secret-token' })
    const added = async () => (await ask('POST', '/v1/endpoints', { url: URL_1 })).json as { endpoint: { id: string }; secret: string }
    const [ours, theirs] = [await added(), await added()]
    const { id } = ours.endpoint
    await ask('POST', '/v1/events', event)
    const signed = (endpoint = id, by = ours.secret, now = house.clock.now()) => ({ host: 'webhooks.example', ...readHeaders(by, endpoint, { clock: { now: () => now } }) })
    for (const face of [guarded, another({})]) {
      expect(await ask('GET', `/v1/endpoints/${id}/events`, undefined, signed(), face)).toMatchObject({ status: 200, json: { events: [{ sequence: 1, type: event.type }] } })
      expect(await ask('GET', `/v1/endpoints/${id}/digest`, undefined, signed(), face)).toMatchObject({ status: 200, json: { endpoint: id, count: 0 } })
    }
    const old = signed()
    const rotated = (await ask('POST', `/v1/endpoints/${id}/rotate`)).json.secret as string
    for (const headers of [old, signed(id, rotated)]) expect(await ask('GET', `/v1/endpoints/${id}/events`, undefined, headers, guarded)).toMatchObject({ status: 200 })

    const refusals: [string, Record<string, string>][] = [
      ['another endpoint’s secret', signed(id, theirs.secret)],
      ['its own, for another endpoint', signed(theirs.endpoint.id)],
      ['too old', signed(id, ours.secret, house.clock.now() - 301_000)],
      ['a signature and nothing else', { 'webhook-read-signature': 'x' }],
      ['an acknowledgement', { ...signed(), 'webhook-read-signature': acknowledge(ours.secret, { id, endpoint: id }, { clock: house.clock }).headers['webhook-ack-signature']! }],
    ]
    for (const [why, headers] of refusals) expect(await ask('GET', `/v1/endpoints/${id}/events`, undefined, headers, guarded), why).toMatchObject({ status: 401, json: { code: 'INVALID_READ' } })
    expect(await ask('GET', '/v1/endpoints/ep_none/events', undefined, signed('ep_none'), guarded)).toMatchObject({ status: 401, json: { code: 'INVALID_READ' } })
    for (const path of [`/v1/endpoints/${id}`, `/v1/endpoints/${id}/secrets`, '/v1/lanes', '/v1/events']) expect(await ask('GET', path, undefined, signed(), guarded), path).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Bearer' } })
    expect(await ask('GET', `/v1/endpoints/${id}/events`, undefined, { ...signed(), origin: 'https://evil.example' }, guarded)).toMatchObject({ status: 403 })
    await ask('DELETE', `/v1/endpoints/${id}`)
    expect(await ask('GET', `/v1/endpoints/${id}/events`, undefined, signed(id, rotated), guarded)).toMatchObject({ status: 401 })
  })

  it('without one, only this machine does, and no web page ever', async () => {
    expect(await ask('GET', '/v1/lanes', undefined, { host: 'localhost:8080' })).toMatchObject({ status: 200 })
    expect(await ask('GET', '/v1/lanes', undefined, { host: 'rebound.example' })).toMatchObject({ status: 403 })
    expect(await ask('GET', '/v1/lanes', undefined, { host: 'localhost', origin: 'http://localhost' })).toMatchObject({ status: 403 })
    expect(await ask('POST', '/v1/acks', {}, { 'sec-fetch-site': 'cross-site' })).toMatchObject({ status: 403 })
  })

  it('what is not there is 404, and what is not done there 405 with what is', async () => {
    expect(await ask('GET', '/v1/nothing')).toMatchObject({ status: 404 })
    expect(await ask('GET', '/v1/events/%zz')).toMatchObject({ status: 404 })
    expect(await ask('PUT', '/v1/events')).toMatchObject({ status: 405, headers: { allow: 'POST, GET' } })
    for (const path of ['/v1/events/evt_none', '/v1/endpoints/ep_none', '/v1/endpoints/ep_none/doctor', '/v1/endpoints/ep_none/events', '/v1/deliveries/9/attempts', '/v1/deliveries/x/attempts', '/v1/replays/none']) expect(await ask('GET', path), path).toMatchObject({ status: 404, json: { code: expect.stringMatching(/^NO_SUCH/) } })
  })
})

it.each([['STORE_FULL', 'Nothing was done.'], ['COMMIT_UNKNOWN', 'It is not known']])('when the store says %s the answer is 503, and says what is known', async (code, said) => {
  const failing: Store = { ...house.store, insideTransaction: false, transaction: () => Promise.reject(new ResilError(code, 'the disk')) } as unknown as Store
  const broken = another({ store: failing })
  for (const [method, path, body] of [['POST', '/v1/events', event], ['GET', '/healthz', undefined], ['GET', '/metrics', undefined]] as const) {
    expect(await ask(method, path, body, {}, broken)).toMatchObject({ status: 503, headers: { 'retry-after': '1' }, json: { code, detail: expect.stringContaining(said) } })
  }
})

describe('the document', () => {
  const operations = async () => {
    const { json } = await ask('GET', '/openapi.json')
    return { json, list: Object.entries(json.paths).flatMap(([path, methods]) => Object.keys(methods as object).map((method) => `${method.toUpperCase()} ${path}`)) }
  }

  it('lists every route of the face and no other, and each is answered', async () => {
    const { json, list } = await operations()
    expect(list.toSorted()).toEqual(Object.values(ROUTES).map(({ method, path }) => `${method} ${path}`).toSorted())
    for (const path of ['/v1/endpoints/{id}/events', '/v1/endpoints/{id}/digest']) expect(json.paths[path].get).toMatchObject({ security: [{ token: [] }, { receiver: [] }], parameters: expect.arrayContaining([expect.objectContaining({ name: 'webhook-read-signature', in: 'header' })]) })
    expect(json).toMatchObject({ openapi: '3.1.0', info: { title: expect.any(String), version: '0.0.0' }, components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } } })
    for (const operation of list) {
      const [method, path] = operation.split(' ') as [string, string]
      const answer = await ask(method, path.replace('{id}', 'none'), method === 'GET' ? undefined : '{}')
      const documented = json.paths[path][method.toLowerCase()].responses
      expect(Object.keys(documented), operation).toContain(String(answer.status))
      expect(answer.json?.type ?? '', operation).not.toMatch(/not-found$|method-not-allowed$/)
    }
    // Methods that are not documented are not there.
    for (const path of Object.keys(json.paths)) {
      for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) if (!list.includes(`${method} ${path}`)) expect((await ask(method, path.replace('{id}', 'none'), '{}')).status, `${method} ${path}`).toBe(405)
    }
  })

  it('has the shape of OpenAPI 3.1: parameters that the path names, one id for each operation, and no reference that leads nowhere', async () => {
    const { json } = await operations()
    const ids = new Set<string>()
    for (const [path, methods] of Object.entries<any>(json.paths)) {
      for (const [method, operation] of Object.entries<any>(methods)) {
        expect(ids.has(operation.operationId)).toBe(false)
        ids.add(operation.operationId)
        const names = (operation.parameters ?? []).filter((each: any) => each.in === 'path').map((each: any) => `{${each.name}}`)
        expect([...path.matchAll(/\{\w+\}/g)].map(([name]) => name), path).toEqual(names)
        for (const each of operation.parameters ?? []) expect(each).toMatchObject({ name: expect.any(String), in: expect.stringMatching(/^(path|query|header)$/), schema: expect.any(Object) })
        if (method === 'get') expect(operation.requestBody).toBeUndefined()
        for (const [status, response] of Object.entries<any>(operation.responses)) {
          expect(status).toMatch(/^[2-5]\d\d$/)
          expect(response).toMatchObject({ description: expect.any(String), content: expect.any(Object) })
        }
      }
    }
    const at = (pointer: string) => pointer.slice(2).split('/').reduce<any>((value, name) => value?.[name], json)
    for (const [, reference] of JSON.stringify(json).matchAll(/"\$ref":"([^"]+)"/g)) expect(at(reference!), reference).toBeDefined()
    expect(json.paths['/v1/events'].post.requestBody.content['application/json'].schema).toMatchObject({ type: 'object', required: ['type'], additionalProperties: false })
  })

  it('what is answered is what the document says', async () => {
    house.receivers.set('http://one.example', ({ body }) => (body.includes('poor') ? { status: 413 } : { status: 204, headers: { date: new Date(house.clock.now()).toUTCString() } }))
    const { json: made } = await ask('POST', '/v1/endpoints', { url: URL_1 })
    const { id } = made.endpoint
    const taken = await ask('POST', '/v1/events', event)
    await ask('POST', '/v1/events', { type: 'a.b', data: 'poor' })
    await house.live(house.clock.sleep(5000))
    const [delivery] = (await ask('GET', '/v1/deliveries')).json.deliveries
    const asked: [keyof typeof ROUTES, string, unknown?][] = [
      ['takeEvent', '/v1/events', event], ['listEvents', '/v1/events'], ['showEvent', `/v1/events/${taken.json.id}`], ['addEndpoint', '/v1/endpoints', { url: URL_1, patterns: ['never.*'] }], ['listEndpoints', '/v1/endpoints'], ['showEndpoint', `/v1/endpoints/${id}`],
      ['changeEndpoint', `/v1/endpoints/${id}`, { weight: 2 }], ['enableEndpoint', `/v1/endpoints/${id}/enable`], ['pauseEndpoint', `/v1/endpoints/${id}/pause`], ['rotateSecret', `/v1/endpoints/${id}/rotate`], ['listSecrets', `/v1/endpoints/${id}/secrets`],
      ['examine', `/v1/endpoints/${id}/doctor`], ['listOwed', `/v1/endpoints/${id}/events`], ['digest', `/v1/endpoints/${id}/digest?since=2020-01-01T00:00:00Z`], ['reconcile', `/v1/endpoints/${id}/reconcile`, { ids: [] }], ['listDeliveries', `/v1/deliveries?endpoint=${id}`],
      ['listAttempts', `/v1/deliveries/${delivery.id}/attempts`], ['dlq', '/v1/dlq'], ['askReplay', '/v1/replays', { dlq: true, id: 'j' }], ['askReplay', '/v1/replays', { dlq: true, dry_run: true }], ['listReplays', '/v1/replays'], ['showReplay', '/v1/replays/j'], ['cancelReplay', '/v1/replays/j/cancel'],
      ['listLanes', '/v1/lanes'], ['health', '/healthz'], ['disableEndpoint', `/v1/endpoints/${id}/disable`], ['removeEndpoint', `/v1/endpoints/${id}`],
    ]
    for (const [name, path, body] of asked) {
      const route: Route = ROUTES[name]
      const answer = await ask(route.method, path, body)
      const schema = route.answers[answer.status] as z.ZodType | undefined
      expect(schema, `${name} answered ${answer.status} ${answer.body}`).toBeDefined()
      expect(schema!.safeParse(answer.json).error?.issues ?? [], name).toEqual([])
    }
  })
})

it('figures for Prometheus: attempts by meaning, lag, deaths by reason, what waits', async () => {
  house.receivers.set('http://one.example', ({ body }) => (body.includes('poor') ? { status: 413 } : { status: 204, ms: 200 }))
  house.receivers.set('http://two.example', () => ({ code: 'REFUSED' }))
  await ask('POST', '/v1/endpoints', { url: URL_1 })
  await ask('POST', '/v1/endpoints', { url: 'http://two.example/hook' })
  for (let n = 0; n < 10; n++) await ask('POST', '/v1/events', { type: 'order.created', data: n === 0 ? 'poor' : n })
  await house.live(house.clock.sleep(20_000))
  const { status, body } = await ask('GET', '/metrics')
  expect(status).toBe(200)
  const samples = parsePrometheus(body)
  const value = (name: string, labels: Record<string, string> = {}) => samples.find((sample) => sample.name === `resil_webhook_${name}` && JSON.stringify(sample.labels) === JSON.stringify(labels))?.value
  expect(value('attempts_total', { meaning: 'delivered' })).toBe(9)
  expect(value('attempts_total', { meaning: 'too_large' })).toBe(1)
  expect(value('deaths_total', { reason: 'too_large' })).toBe(1)
  expect(value('deaths_total', { reason: 'poison' })).toBe(0)
  expect(value('lag_seconds_count')).toBe(9)
  expect(value('lag_seconds_sum')!).toBeGreaterThan(9 * 0.2)
  expect(value('deliveries', { state: 'waiting' })).toBe(10)
  expect(value('deliveries', { state: 'delivered' })).toBe(9)
  expect(value('deliveries', { state: 'dead' })).toBe(1)
  expect(value('lanes_parked')).toBe(1)
  expect(value('oldest_waiting_seconds')!).toBeGreaterThan(19)
  expect(value('in_flight')).toBe(0)
  expect(body).not.toContain('ep_')
})
