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

  test.each([
    ['//version', 404],
    ['/nothing/../version', 404],
    ['http://[', 404],
    ['*', 404],
    ['/version?a=%', 200],
    ['http://localhost:8474/version', 200],
  ])('the target %s is taken as it is written: %i', async (target, status) => {
    await using control = await openControl()
    expect(await control.raw(`GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
  })

  test('/metrics takes any method', async () => {
    await using control = await openControl()
    for (const method of ['GET', 'POST', 'DELETE', 'PATCH']) expect((await control.ask(method, '/metrics')).text).toContain('toxiproxy_proxy_received_bytes_total')
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
    expect((await control.ask('GET', '/resil/rules', undefined, mozilla)).status).toBe(403)
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

  test('all are told by name, in order', async () => {
    await using control = await openControl()
    for (const name of ['b', '10', '9', '__proto__', 'a']) await make(control, name)
    expect(Object.keys((await control.ask('GET', '/proxies')).json()).toSorted()).toEqual(['10', '9', '__proto__', 'a', 'b'])
    expect([...(await control.ask('GET', '/proxies')).text.matchAll(/"([^"]+)":\{"name"/g)].map(([, name]) => name)).toEqual(['10', '9', '__proto__', 'a', 'b'])
  })

  test('one that is off is told where it was asked to listen, to the letter, until it has listened there', async () => {
    await using control = await openControl()
    const free = await port()
    await free.release()
    const listen = async () => (await control.ask('GET', '/proxies/a')).json().listen
    await make(control, 'a', { listen: `localhost:${free.port}`, enabled: false })
    expect(await listen()).toBe(`localhost:${free.port}`)
    await control.ask('PATCH', '/proxies/a', { listen: 'localhost:0' })
    expect(await listen()).toBe('localhost:0')
    await control.ask('PATCH', '/proxies/a', { listen: `localhost:${free.port}`, enabled: true })
    expect(await listen()).toBe(`127.0.0.1:${free.port}`)
    await control.ask('PATCH', '/proxies/a', { enabled: false })
    expect(await listen()).toBe(`127.0.0.1:${free.port}`)
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
    ['nonsense', "bad request body: invalid character 'o' in literal null (expecting 'u')"],
    ['\ufeff{}', "bad request body: invalid character 'ï' looking for beginning of value"],
    ['{"a":1,}', "bad request body: invalid character '}' looking for beginning of object key string"],
    ['{"a" 1}', "bad request body: invalid character '1' after object key"],
    ['{"a":1 "b":2}', "bad request body: invalid character '\"' after object key:value pair"],
    ['[1 2]', "bad request body: invalid character '2' after array element"],
    ['[1,', 'bad request body: unexpected EOF'],
    ["{'a':1}", "bad request body: invalid character '\\'' looking for beginning of object key string"],
    ['{"a":"\n"}', "bad request body: invalid character '\\n' in string literal"],
    ['{"a":"\u0001"}', "bad request body: invalid character '\\x01' in string literal"],
    ['{"a":"\\q"}', "bad request body: invalid character 'q' in string escape code"],
    ['{"a":"\\u12x4"}', "bad request body: invalid character 'x' in \\u hexadecimal character escape"],
    ['{"a":-}', "bad request body: invalid character '}' in numeric literal"],
    ['{"a":1.}', "bad request body: invalid character '}' after decimal point in numeric literal"],
    ['{"a":1e}', "bad request body: invalid character '}' in exponent of numeric literal"],
    ['[01]', "bad request body: invalid character '1' after array element"],
    ['{"a":nul}', "bad request body: invalid character '}' in literal null (expecting 'l')"],
    ['}', "bad request body: invalid character '}' looking for beginning of value"],
    ['{name:"a"}', "bad request body: invalid character 'n' looking for beginning of object key string"],
    ['[]', 'bad request body: json: cannot unmarshal array into Go value of type toxiproxy.Proxy'],
    ['"a"', 'bad request body: json: cannot unmarshal string into Go value of type toxiproxy.Proxy'],
    ['{"name":1.5}', 'bad request body: json: cannot unmarshal number into Go struct field Proxy.name of type string'],
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

  test('C53 a proxy on the control port is 409', async () => {
    await using control = await openControl()
    const { host: listen } = new URL(control.url)
    expect(refused(await make(control, 'a', { listen }))).toEqual(error(409, `listen tcp ${listen}: bind: address already in use`))
    await make(control)
    expect((await control.ask('PATCH', '/proxies/a', { listen })).status).toBe(409)
    expect((await control.ask('POST', '/populate', [{ name: 'b', listen, upstream: UPSTREAM }])).status).toBe(409)
  })

  test('C53 a proxy whose connections would come back to it is 400, through another one too', async () => {
    await using control = await openControl()
    const [one, two] = [await port(), await port()]
    await one.release()
    await two.release()
    expect((await make(control, 'a', { listen: `127.0.0.1:${one.port}`, upstream: `localhost:${one.port}` })).status).toBe(400)
    expect((await make(control, 'a', { listen: `:${one.port}`, upstream: `[::1]:${one.port}` })).status).toBe(400)
    expect((await make(control, 'a', { listen: `127.0.0.1:${one.port}`, upstream: `127.0.0.1:${two.port}` })).status).toBe(201)
    expect((await make(control, 'b', { listen: `127.0.0.1:${two.port}`, upstream: `127.0.0.1:${one.port}` })).status).toBe(400)
    expect((await control.ask('PATCH', '/proxies/a', { upstream: `127.0.0.1:${one.port}` })).status).toBe(400)
    expect((await control.ask('GET', '/proxies/a')).json().upstream).toBe(`127.0.0.1:${two.port}`)
  })

  test('one port on two addresses is no way back', async () => {
    await using control = await openControl()
    const free = await port()
    await free.release()
    expect((await make(control, 'a', { listen: `127.0.0.1:${free.port}`, upstream: `[::1]:${free.port}` })).status).toBe(201)
  })

  test.each(['bogus', '127.0.0.1', '127.0.0.1:0', '127.0.0.1:', '127.0.0.1:70000', 'a:b:c'])('upstream %j is 400', async (upstream) => {
    await using control = await openControl()
    expect((await make(control, 'a', { upstream })).status).toBe(400)
  })

  test.each([
    ['bogus', 'listen tcp: address bogus: missing port in address'],
    ['1:2:3', 'listen tcp: address 1:2:3: too many colons in address'],
    ['[::1]', 'listen tcp: address [::1]: missing port in address'],
    ['127.0.0.1:70000', 'listen tcp: address 70000: invalid port'],
    ['127.0.0.1:seven', 'listen tcp: lookup tcp/seven: unknown port'],
    ['192.0.2.1:7070', 'listen tcp 192.0.2.1:7070: bind: cannot assign requested address'],
    ['no.such.host.invalid:7070', 'listen tcp: lookup no.such.host.invalid: no such host'],
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
    const off = (await control.ask('PATCH', '/proxies/a', { enabled: false })).json()
    expect((await control.ask('PATCH', '/proxies/a', { listen: `127.0.0.1:${taken.port}`, upstream: '127.0.0.1:10', enabled: true })).status).toBe(500)
    expect((await control.ask('GET', '/proxies/a')).json()).toEqual(off)
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
    expect((await toxic(control, { type: 'latency', stream: 'UPSTREAM' })).json()).toMatchObject({ stream: 'UPSTREAM', name: 'latency_UPSTREAM' })
    expect((await control.ask('GET', '/proxies/a')).json().toxics[0].stream).toBe('UPSTREAM')
  })

  test.each([
    [{ type: 'latency', stream: '' }, 'stream was invalid, can be either upstream or downstream'],
    [{ type: 'none', stream: 'sideways' }, 'stream was invalid, can be either upstream or downstream'],
    [{ type: 'none' }, 'invalid toxic type'],
    [{}, 'invalid toxic type'],
    [{ type: 'latency', attributes: { latency: 1.5 } }, 'bad request body: json: cannot unmarshal number 1.5 into Go struct field LatencyToxic.attributes.latency of type int64'],
    [{ type: 'latency', attributes: { latency: '100' } }, 'bad request body: json: cannot unmarshal string into Go struct field LatencyToxic.attributes.latency of type int64'],
    [{ type: 'latency', attributes: [] }, 'bad request body: json: cannot unmarshal array into Go struct field ToxicWrapper.attributes of type toxics.NoopToxic'],
    [{ type: 'latency', toxicity: 'high' }, 'bad request body: json: cannot unmarshal string into Go struct field ToxicWrapper.toxicity of type float32'],
    [{ type: 'slicer', attributes: { average_size: 0.5 } }, 'bad request body: json: cannot unmarshal number 0.5 into Go struct field SlicerToxic.attributes.average_size of type int'],
    [{ type: 'packet_loss', attributes: { loss_rate: '0.5' } }, 'bad request body: json: cannot unmarshal string into Go struct field PacketLossToxic.attributes.loss_rate of type float64'],
    [{ type: 7 }, 'bad request body: json: cannot unmarshal number into Go struct field ToxicWrapper.type of type string'],
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
    expect((await toxic(control, { type: 'latency', name: 'l', attributes: { latency: 'wrong' } })).status).toBe(409)
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
    expect(refused(await control.ask('PATCH', '/proxies/a/toxics/latency_downstream', { attributes: { latency: 9 }, toxicity: 'x' }))).toEqual(error(400, 'bad request body: json: cannot unmarshal string into Go struct field .toxicity of type float32'))
    expect(refused(await control.ask('PATCH', '/proxies/a/toxics/latency_downstream', { attributes: [] }))).toEqual(error(400, 'bad request body: json: cannot unmarshal array into Go struct field .attributes of type toxics.LatencyToxic'))
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
  const notPopulated = (told: Told) => [told.status, told.type, told.json()]

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
    expect(notPopulated(await control.ask('POST', '/populate', [spec('a'), { name: 'b' }]))).toEqual([400, 'application/json', { error: 'missing required field: upstream at proxy 2', status: 400, proxies: null }])
    expect((await control.ask('POST', '/populate', [spec('a'), { upstream: 'x:1' }])).json().error).toBe('missing required field: name at proxy 2')
    expect((await control.ask('GET', '/proxies')).text).toBe('{}')
  })

  test.each([
    ['', 'EOF'],
    ['{}', 'json: cannot unmarshal object into Go value of type []struct { toxiproxy.Proxy; Enabled *bool "json:\\"enabled\\"" }'],
    ['[7]', 'json: cannot unmarshal number into Go value of type struct { toxiproxy.Proxy; Enabled *bool "json:\\"enabled\\"" }'],
    ['[{"name":7}]', 'json: cannot unmarshal number into Go struct field .name of type string'],
  ])('a list that cannot be read is 400 in JSON: %s', async (body, message) => {
    await using control = await openControl()
    expect(notPopulated(await control.ask('POST', '/populate', body))).toEqual([400, 'application/json', { error: `bad request body: ${message}`, status: 400, proxies: null }])
  })

  test('several that populate the same at the same time all get it', async () => {
    await using control = await openControl()
    const free = await port()
    await free.release()
    const wanted = [{ ...spec('a'), listen: `127.0.0.1:${free.port}` }]
    const told = await Promise.all(Array.from({ length: 8 }, () => control.ask('POST', '/populate', wanted)))
    for (const each of told) expect([each.status, each.json()]).toEqual([201, told[0]!.json()])
    const replaced = await Promise.all(Array.from({ length: 8 }, () => control.ask('POST', '/populate', [{ ...wanted[0], upstream: '127.0.0.1:10' }])))
    for (const each of replaced) expect([each.status, each.json()]).toEqual([201, replaced[0]!.json()])
    expect(control.proxies.list()).toHaveLength(1)
  })

  test('a proxy that cannot be made does not cost the one that it was to replace', async () => {
    await using control = await openControl()
    const before = (await make(control)).json()
    expect((await control.ask('POST', '/populate', [spec('a', { upstream: '127.0.0.1:10', toxics: [{ type: 'bandwidth', attributes: { rate: -1 } }] })])).status).toBe(400)
    expect((await control.ask('GET', '/proxies/a')).json()).toEqual(before)
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
    expect(told.json().toxics).toEqual([{ attributes: { latency: 5, jitter: 0 }, name: 'latency_Upstream', type: 'latency', stream: 'Upstream', toxicity: 1 }])
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
