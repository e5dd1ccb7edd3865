/** Toxiproxy's control API as its documents and its server have it, over real sockets. */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { openControl } from './control.ts'
import type { Control, Told } from './control.ts'

const UPSTREAM = '127.0.0.1:9'
const make = (control: Control, name = 'a', more: Record<string, unknown> = {}) => control.ask('POST', '/proxies', { name, listen: '127.0.0.1:0', upstream: UPSTREAM, ...more })
const refused = ({ status, text, type }: Told) => ({ status, text, type })
const error = (status: number, message: string) => ({ status, text: `${JSON.stringify({ error: message, status })}\n`, type: 'text/plain; charset=utf-8' })

async function port(): Promise<{ port: number; release(): Promise<void> }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    release: async () => {
      server.close()
      await once(server, 'close')
    },
  }
}

describe('routes', () => {
  test('the version is exactly what clients compare', async () => {
    await using control = await openControl()
    const { status, type, text } = await control.ask('GET', '/version')
    expect({ status, type, text }).toEqual({ status: 200, type: 'application/json;charset=utf-8', text: '{"version": "2.12.0"}\n' })
  })

  test.each([
    ['GET', '/'],
    ['GET', '/proxies/'],
    ['GET', '/nothing'],
    ['GET', '/proxies/a/toxics/'],
    ['GET', '/proxies/a%2Fb'],
    ['PUT', '/proxies/..%2f..'],
    ['GET', '/proxies/%'],
  ])('C50 %s %s is 404 in plain text, without a request id', async (method, path) => {
    await using control = await openControl()
    const told = await control.ask(method, path)
    expect(refused(told)).toEqual({ status: 404, text: '404 page not found\n', type: 'text/plain; charset=utf-8' })
    expect(told.headers.has('x-toxiproxy-request-id')).toBe(false)
  })

  test.each([
    ['PUT', '/proxies'],
    ['DELETE', '/proxies'],
    ['GET', '/populate'],
    ['GET', '/reset'],
    ['POST', '/version'],
    ['HEAD', '/version'],
    ['OPTIONS', '/proxies'],
    ['PUT', '/proxies/a/toxics/b'],
  ])('C44 C58 %s %s is 405 without a body or a CORS header', async (method, path) => {
    await using control = await openControl()
    const told = await control.ask(method, path)
    expect({ status: told.status, text: told.text, type: told.type }).toEqual({ status: 405, text: '', type: null })
    expect([...told.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
  })

  test('C58 TRACE is 405', async () => {
    await using control = await openControl()
    expect(await control.raw('TRACE /proxies HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')).toMatch(/^HTTP\/1\.1 405 /)
  })

  test('every matched route has a request id of 20 signs, each its own', async () => {
    await using control = await openControl()
    const ids = await Promise.all(['/version', '/proxies', '/proxies/none'].map(async (path) => (await control.ask('GET', path)).headers.get('x-toxiproxy-request-id')))
    for (const id of ids) expect(id).toMatch(/^[0-9a-v]{20}$/)
    expect(new Set(ids).size).toBe(3)
  })

  test('a browser is turned away from matched routes', async () => {
    await using control = await openControl()
    const mozilla = { 'user-agent': 'Mozilla/5.0' }
    expect(refused(await control.ask('GET', '/proxies', undefined, mozilla))).toEqual({ status: 403, text: 'User agent not allowed\n', type: 'text/plain; charset=utf-8' })
    expect((await control.ask('GET', '/nothing', undefined, mozilla)).status).toBe(404)
    expect((await control.ask('GET', '/version', undefined, { 'user-agent': 'curl Mozilla/5.0' })).status).toBe(200)
  })
})

describe('proxies', () => {
  test('one is created with its defaults, on the address that it is bound to', async () => {
    await using control = await openControl()
    const told = await make(control)
    expect(told.status).toBe(201)
    expect(told.type).toBe('application/json')
    expect(told.json()).toEqual({ name: 'a', listen: expect.stringMatching(/^127\.0\.0\.1:\d+$/), upstream: UPSTREAM, enabled: true, toxics: [] })
    expect(Object.keys(told.json())).toEqual(['name', 'listen', 'upstream', 'enabled', 'toxics'])
    expect((await control.ask('GET', '/proxies')).json()).toEqual({ a: told.json() })
    expect((await control.ask('GET', '/proxies/a')).json()).toEqual(told.json())
  })

  test('none are an empty object', async () => {
    await using control = await openControl()
    expect((await control.ask('GET', '/proxies')).text).toBe('{}')
  })

  test.each([
    ['', /^\[::\]:\d+$/],
    [':0', /^\[::\]:\d+$/],
    ['0.0.0.0:0', /^\[::\]:\d+$/],
    ['localhost:0', /^127\.0\.0\.1:\d+$/],
    ['[::1]:0', /^\[::1\]:\d+$/],
    ['127.0.0.1:0', /^127\.0\.0\.1:[1-9]\d*$/],
  ])('listen %j answers the bound address', async (listen, bound) => {
    await using control = await openControl()
    expect((await make(control, 'a', { listen })).json().listen).toMatch(bound)
  })

  test('one that is off keeps what was asked for, and is bound when it is turned on', async () => {
    await using control = await openControl()
    expect((await make(control, 'a', { listen: 'localhost:0', enabled: false })).json()).toMatchObject({ listen: 'localhost:0', enabled: false })
    expect((await control.ask('POST', '/proxies/a', { enabled: true })).json()).toMatchObject({ listen: expect.stringMatching(/^127\.0\.0\.1:\d+$/), enabled: true })
  })

  test('enabled null is true; fields are found whatever their case; unknown ones and what follows the value are passed over', async () => {
    await using control = await openControl()
    const told = await control.ask('POST', '/proxies', '{"NAME":"a","Listen":"127.0.0.1:0","upStream":"127.0.0.1:9","enabled":null,"colour":"red"} and {more')
    expect(told.status).toBe(201)
    expect(told.json()).toMatchObject({ name: 'a', enabled: true })
  })

  test('C49 of a field that is given twice the last one counts', async () => {
    await using control = await openControl()
    expect((await control.ask('POST', '/proxies', '{"name":"a","name":"b","listen":"127.0.0.1:0","upstream":"127.0.0.1:9"}')).json().name).toBe('b')
  })

  test.each([
    ['', 'bad request body: EOF'],
    ['   ', 'bad request body: EOF'],
    ['{"name":', 'bad request body: unexpected EOF'],
    ['{"name":"a', 'bad request body: unexpected EOF'],
    ['nonsense', "bad request body: invalid character 'e' in value"],
    ['}', "bad request body: invalid character '}' looking for beginning of value"],
    ['{name:"a"}', "bad request body: invalid character 'n' looking for beginning of object key string"],
    ['[]', 'bad request body: json: cannot unmarshal array into Go value of type toxiproxy.Proxy'],
    ['"a"', 'bad request body: json: cannot unmarshal string into Go value of type toxiproxy.Proxy'],
    ['{"name":1}', 'bad request body: json: cannot unmarshal number into Go struct field Proxy.name of type string'],
    ['{"name":"a","enabled":"yes"}', 'bad request body: json: cannot unmarshal string into Go struct field Proxy.enabled of type bool'],
    ['null', 'missing required field: name'],
    ['{}', 'missing required field: name'],
    ['{"upstream":"x:1"}', 'missing required field: name'],
    ['{"name":"a"}', 'missing required field: upstream'],
  ])('POST /proxies with %j is 400: %s', async (body, message) => {
    await using control = await openControl()
    expect(refused(await control.ask('POST', '/proxies', body))).toEqual(error(400, message))
  })

  test('C52 a name is taken once, also when two ask at the same time', async () => {
    await using control = await openControl()
    const told = await Promise.all([make(control), make(control)])
    expect(told.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 409])
    expect(refused(await make(control))).toEqual(error(409, 'proxy already exists'))
  })

  test.each(['a/b', 'nul\u0000', 'x'.repeat(10_000), 'rtl\u200f'])('C51 the name %j is 400', async (name) => {
    await using control = await openControl()
    expect((await make(control, name)).status).toBe(400)
  })

  test('a name with a space and other signs is found under its encoding', async () => {
    await using control = await openControl()
    expect((await make(control, 'sp ace é')).status).toBe(201)
    expect((await control.ask('GET', '/proxies/sp%20ace%20%C3%A9')).status).toBe(200)
  })

  test('a port that is taken is 500 in the words of the system, and the proxy is not there', async () => {
    await using control = await openControl()
    const taken = await port()
    expect(refused(await make(control, 'a', { listen: `127.0.0.1:${taken.port}` }))).toEqual(error(500, `listen tcp 127.0.0.1:${taken.port}: bind: address already in use`))
    expect((await control.ask('GET', '/proxies/a')).status).toBe(404)
    await taken.release()
  })

  test('C53 a proxy on the control port is refused as taken, one that is its own upstream as wrong', async () => {
    await using control = await openControl()
    expect((await make(control, 'a', { listen: new URL(control.url).host })).status).toBe(500)
    const free = await port()
    await free.release()
    expect((await make(control, 'b', { listen: `127.0.0.1:${free.port}`, upstream: `localhost:${free.port}` })).status).toBe(400)
  })

  test.each([
    ['bogus', 'address bogus: missing port in address'],
    ['1:2:3', 'address 1:2:3: too many colons in address'],
    ['127.0.0.1:70000', 'address 127.0.0.1:70000: invalid port'],
    ['127.0.0.1:http', 'address 127.0.0.1:http: invalid port'],
  ])('listen %j is 500: %s', async (listen, message) => {
    await using control = await openControl()
    expect(refused(await make(control, 'a', { listen }))).toEqual(error(500, message))
  })

  test.each(['POST', 'PATCH'])('%s changes where it listens, keeps its toxics, and passes over name and toxics', async (method) => {
    await using control = await openControl()
    const before = (await make(control)).json()
    await control.ask('POST', '/proxies/a/toxics', { type: 'noop' })
    const told = await control.ask(method, '/proxies/a', { name: 'other', listen: 'localhost:0', upstream: '127.0.0.1:10', toxics: null })
    expect(told.status).toBe(200)
    expect(told.json()).toMatchObject({ name: 'a', upstream: '127.0.0.1:10', enabled: true, toxics: [{ name: 'noop_downstream' }] })
    expect(told.json().listen).not.toBe(before.listen)
  })

  test('an update to a port that is taken leaves it as it was', async () => {
    await using control = await openControl()
    const taken = await port()
    const before = (await make(control)).json()
    expect((await control.ask('PATCH', '/proxies/a', { listen: `127.0.0.1:${taken.port}` })).status).toBe(500)
    expect((await control.ask('PATCH', '/proxies/a', { listen: 'bogus' })).json()).toEqual({ error: 'address bogus: missing port in address', status: 500 })
    expect((await control.ask('GET', '/proxies/a')).json()).toEqual(before)
    await taken.release()
  })

  test('an update that names the wildcard address in another spelling does not start it anew', async () => {
    await using control = await openControl()
    const { listen } = (await make(control, 'a', { listen: '0.0.0.0:0' })).json()
    const port = Number(listen.split(':').at(-1))
    const client = connect(port, '127.0.0.1').on('error', () => {}) // there is no service behind it
    await once(client, 'connect')
    const updated: string[] = []
    control.log.subscribe(({ type }) => void updated.push(type))
    for (const host of ['0.0.0.0', '', '[::]']) expect((await control.ask('POST', '/proxies/a', { listen: `${host}:${port}`, enabled: true })).status).toBe(200)
    expect(updated).not.toContain('proxy.updated')
    client.destroy()
  })

  test('turned off it refuses and keeps its toxics; turned on it is back at its port', async () => {
    await using control = await openControl()
    const { listen } = (await make(control)).json()
    const port = Number(listen.split(':')[1])
    await control.ask('POST', '/proxies/a/toxics', { type: 'noop' })
    expect((await control.ask('POST', '/proxies/a', { enabled: false })).json()).toMatchObject({ enabled: false, listen, toxics: [{}] })
    await expect(once(connect(port, '127.0.0.1'), 'connect')).rejects.toThrow('ECONNREFUSED')
    expect((await control.ask('POST', '/proxies/a', { enabled: true })).json()).toMatchObject({ enabled: true, listen })
  })

  test('deleted it is gone, and frees its port', async () => {
    await using control = await openControl()
    const { listen } = (await make(control)).json()
    const told = await control.ask('DELETE', '/proxies/a')
    expect({ status: told.status, text: told.text }).toEqual({ status: 204, text: '' })
    expect(refused(await control.ask('DELETE', '/proxies/a'))).toEqual(error(404, 'proxy not found'))
    expect((await make(control, 'b', { listen })).status).toBe(201)
  })
})

describe('toxics', () => {
  const toxic = (control: Control, body: unknown) => control.ask('POST', '/proxies/a/toxics', body)

  test('one is made with its defaults, in this order of fields', async () => {
    await using control = await openControl()
    await make(control)
    const told = await toxic(control, { type: 'latency' })
    expect(told.status).toBe(200)
    expect(told.text).toBe('{"attributes":{"latency":0,"jitter":0},"name":"latency_downstream","type":"latency","stream":"downstream","toxicity":1}')
    expect((await control.ask('GET', '/proxies/a/toxics/latency_downstream')).text).toBe(told.text)
  })

  test('the stream is read in any case and comes back as it was written', async () => {
    await using control = await openControl()
    await make(control)
    expect((await toxic(control, { type: 'latency', stream: 'UPSTREAM', name: 'l' })).json().stream).toBe('UPSTREAM')
    expect((await control.ask('GET', '/proxies/a')).json().toxics[0].stream).toBe('UPSTREAM')
  })

  test.each([
    [{ type: 'latency', stream: '' }, 'stream was invalid, can be either upstream or downstream'],
    [{ type: 'none', stream: 'sideways' }, 'stream was invalid, can be either upstream or downstream'],
    [{ type: 'none' }, 'invalid toxic type'],
    [{}, 'invalid toxic type'],
    [{ type: 'latency', attributes: { latency: 1.5 } }, 'bad request body: json: cannot unmarshal number 1.5 into Go struct field .attributes.latency of type int64'],
    [{ type: 'latency', attributes: { latency: '100' } }, 'bad request body: json: cannot unmarshal string into Go struct field .attributes.latency of type int64'],
    [{ type: 'latency', attributes: [] }, 'bad request body: json: cannot unmarshal array into Go struct field ToxicWrapper.attributes of type object'],
    [{ type: 'latency', toxicity: 'high' }, 'bad request body: json: cannot unmarshal string into Go struct field ToxicWrapper.toxicity of type float64'],
  ])('%j is 400: %s', async (body, message) => {
    await using control = await openControl()
    await make(control)
    expect(refused(await toxic(control, body))).toEqual(error(400, message))
  })

  test.each([
    { type: 'bandwidth', attributes: { rate: -1 } },
    { type: 'latency', toxicity: -1 },
    { type: 'latency', toxicity: 5 },
    { type: 'http_error', attributes: { status: 99 } },
    { type: 'http_error', attributes: { statsu: 500 } },
  ])('%j means nothing, and is 400', async (body) => {
    await using control = await openControl()
    await make(control)
    expect((await toxic(control, body)).status).toBe(400)
  })

  test('attributes of null and unknown ones are passed over; names are found whatever their case', async () => {
    await using control = await openControl()
    await make(control)
    expect((await toxic(control, { type: 'latency', attributes: null })).status).toBe(200)
    expect((await toxic(control, { type: 'latency', name: 'l', attributes: { LATENCY: 7, jitter: null, colour: 'red' } })).json().attributes).toEqual({ latency: 7, jitter: 0 })
  })

  test('a name is taken once over both streams', async () => {
    await using control = await openControl()
    await make(control)
    await toxic(control, { type: 'latency', name: 'l' })
    expect(refused(await toxic(control, { type: 'noop', name: 'l', stream: 'upstream' }))).toEqual(error(409, 'toxic already exists'))
  })

  test('they are listed upstream first, each stream in the order of creation', async () => {
    await using control = await openControl()
    await make(control)
    for (const [name, stream] of [['d1', 'downstream'], ['u1', 'upstream'], ['d2', 'downstream'], ['u2', 'upstream']]) await toxic(control, { type: 'noop', name, stream })
    expect((await control.ask('GET', '/proxies/a/toxics')).json().map(({ name }: { name: string }) => name)).toEqual(['u1', 'u2', 'd1', 'd2'])
  })

  test.each(['POST', 'PATCH'])('%s merges attributes and passes over name, type and stream', async (method) => {
    await using control = await openControl()
    await make(control)
    await toxic(control, { type: 'latency', attributes: { latency: 5, jitter: 2 } })
    const told = await control.ask(method, '/proxies/a/toxics/latency_downstream', { name: 'x', type: 'noop', stream: 'upstream', attributes: { latency: 9 }, toxicity: 0.5 })
    expect(told.json()).toEqual({ attributes: { latency: 9, jitter: 2 }, name: 'latency_downstream', type: 'latency', stream: 'downstream', toxicity: 0.5 })
  })

  test('a refused update changes nothing', async () => {
    await using control = await openControl()
    await make(control)
    await toxic(control, { type: 'latency', attributes: { latency: 5 } })
    expect((await control.ask('PATCH', '/proxies/a/toxics/latency_downstream', { attributes: { latency: 9, jitter: -1 } })).status).toBe(400)
    expect((await control.ask('GET', '/proxies/a/toxics/latency_downstream')).json().attributes).toEqual({ latency: 5, jitter: 0 })
  })

  test('what is not there is 404', async () => {
    await using control = await openControl()
    expect(refused(await control.ask('GET', '/proxies/a/toxics'))).toEqual(error(404, 'proxy not found'))
    await make(control)
    expect((await control.ask('GET', '/proxies/a/toxics')).text).toBe('[]')
    for (const method of ['GET', 'POST', 'PATCH', 'DELETE']) expect(refused(await control.ask(method, '/proxies/a/toxics/none', method === 'GET' ? undefined : '{}'))).toEqual(error(404, 'toxic not found'))
  })

  test('taken away it is 204 and gone', async () => {
    await using control = await openControl()
    await make(control)
    await toxic(control, { type: 'noop' })
    expect((await control.ask('DELETE', '/proxies/a/toxics/noop_downstream')).status).toBe(204)
    expect((await control.ask('GET', '/proxies/a/toxics')).text).toBe('[]')
  })

  test('the new ones are set by clients that know only scalars', async () => {
    await using control = await openControl()
    await make(control)
    expect((await toxic(control, { type: 'http_error', attributes: { status: 503, path: '/v1/charges', every: 3 } })).json().attributes).toMatchObject({ status: 503, path: '/v1/charges', every: 3 })
  })
})

describe('populate and reset', () => {
  const spec = (name: string, more: Record<string, unknown> = {}) => ({ name, listen: '127.0.0.1:0', upstream: UPSTREAM, ...more })

  test('creates what is new, keeps what is the same with its toxics and its state, replaces what differs', async () => {
    await using control = await openControl()
    const { listen } = (await make(control, 'same')).json()
    await control.ask('POST', '/proxies/same/toxics', { type: 'noop' })
    await control.ask('POST', '/proxies/same', { enabled: false })
    await make(control, 'differs')
    await control.ask('POST', '/proxies/differs/toxics', { type: 'noop' })
    await make(control, 'absent')
    const told = await control.ask('POST', '/populate', [{ ...spec('same'), listen, enabled: true }, spec('differs', { upstream: '127.0.0.1:10' }), spec('new')])
    expect(told.status).toBe(201)
    expect(told.json().proxies).toMatchObject([{ name: 'same', enabled: false, toxics: [{}] }, { name: 'differs', upstream: '127.0.0.1:10', toxics: [] }, { name: 'new' }])
    expect(Object.keys((await control.ask('GET', '/proxies')).json()).toSorted()).toEqual(['absent', 'differs', 'new', 'same'])
  })

  test('nothing is {"proxies":null}', async () => {
    await using control = await openControl()
    const told = await control.ask('POST', '/populate', [])
    expect([told.status, told.text]).toEqual([201, '{"proxies":null}'])
  })

  test('a field that is missing is told by its place before anything is created', async () => {
    await using control = await openControl()
    expect(refused(await control.ask('POST', '/populate', [spec('a'), { name: 'b' }]))).toEqual(error(400, 'missing required field: upstream at proxy 2'))
    expect((await control.ask('GET', '/proxies')).text).toBe('{}')
  })

  test('stops at the first that fails, keeps those before it, and says both in JSON', async () => {
    await using control = await openControl()
    const taken = await port()
    const told = await control.ask('POST', '/populate', [spec('a'), spec('b', { listen: `127.0.0.1:${taken.port}` }), spec('c')])
    expect(told.status).toBe(500)
    expect(told.type).toBe('application/json')
    expect(told.json()).toMatchObject({ error: `listen tcp 127.0.0.1:${taken.port}: bind: address already in use`, status: 500, proxies: [{ name: 'a' }] })
    expect(Object.keys((await control.ask('GET', '/proxies')).json())).toEqual(['a'])
    await taken.release()
  })

  test('toxics come with a proxy, or neither does', async () => {
    await using control = await openControl()
    const told = await make(control, 'a', { toxics: [{ type: 'latency', stream: 'Upstream', attributes: { latency: 5 } }] })
    expect(told.json().toxics).toEqual([{ attributes: { latency: 5, jitter: 0 }, name: 'latency_upstream', type: 'latency', stream: 'Upstream', toxicity: 1 }])
    expect((await make(control, 'b', { toxics: [{ type: 'latency' }, { type: 'latency' }] })).status).toBe(409)
    expect((await control.ask('GET', '/proxies/b')).status).toBe(404)
    expect((await control.ask('POST', '/populate', [spec('c', { toxics: [{ type: 'noop' }] })])).json().proxies[0].toxics).toHaveLength(1)
  })

  test('reset turns all on and takes all toxics away, whatever the body', async () => {
    await using control = await openControl()
    await make(control, 'a', { enabled: false })
    await make(control, 'b')
    await control.ask('POST', '/proxies/b/toxics', { type: 'noop' })
    expect((await control.ask('POST', '/reset', 'junk {')).status).toBe(204)
    expect(Object.values((await control.ask('GET', '/proxies')).json())).toMatchObject([{ enabled: true, toxics: [] }, { enabled: true, toxics: [] }])
  })
})
