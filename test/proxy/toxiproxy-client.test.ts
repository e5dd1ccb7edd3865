/** toxiproxy-node-client as it is published, through all of its calls. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { Proxy, Toxic, Toxiproxy } from 'toxiproxy-node-client'
import type { Latency } from 'toxiproxy-node-client'
import { openControl } from './control.ts'

async function service() {
  const server = createServer((_request, response) => response.end('here')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}

test('creates, gets, changes and removes proxies', async () => {
  await using control = await openControl()
  await using upstream = await service()
  const client = new Toxiproxy(control.url)
  const proxy = await client.createProxy({ name: 'bank', listen: 'localhost:0', upstream: upstream.address })
  expect(proxy).toBeInstanceOf(Proxy)
  expect(proxy).toMatchObject({ name: 'bank', upstream: upstream.address, enabled: true })
  expect(await (await fetch(`http://${proxy.listen}/`)).text()).toBe('here')
  expect((await client.get('bank')).listen).toBe(proxy.listen)
  expect(Object.keys(await client.getAll())).toEqual(['bank'])
  await proxy.update({ enabled: false, listen: proxy.listen, upstream: proxy.upstream })
  await expect(fetch(`http://${proxy.listen}/`)).rejects.toThrow()
  await proxy.update({ enabled: true, listen: proxy.listen, upstream: proxy.upstream })
  expect(await (await fetch(`http://${proxy.listen}/`)).text()).toBe('here')
  await proxy.remove()
  expect(await client.getAll()).toEqual({})
})

test('tells the version, populates and resets', async () => {
  await using control = await openControl()
  const client = new Toxiproxy(control.url)
  expect(JSON.parse(String(await client.getVersion()))).toEqual({ version: '2.12.0' })
  const proxies = await client.populate([
    { name: 'a', listen: 'localhost:0', upstream: '127.0.0.1:9' },
    { name: 'b', listen: 'localhost:0', upstream: '127.0.0.1:9', enabled: false },
  ])
  expect(Object.keys(proxies).length > 0 ? JSON.stringify(proxies) : '').toContain('"name":"b"')
  await client.reset()
  expect((await client.get('b')).enabled).toBe(true)
})

test('adds, gets, changes and removes toxics, and they strike', async () => {
  await using control = await openControl()
  await using upstream = await service()
  const client = new Toxiproxy(control.url)
  const proxy = await client.createProxy({ name: 'bank', listen: 'localhost:0', upstream: upstream.address })
  const toxic = await proxy.addToxic<Latency>({ type: 'latency', name: 'slow', stream: 'downstream', toxicity: 1, attributes: { latency: 50, jitter: 0 } })
  expect(toxic).toBeInstanceOf(Toxic)
  const took = async () => {
    const start = process.hrtime.bigint()
    await (await fetch(`http://${proxy.listen}/`, { headers: { connection: 'close' } })).text()
    return Number(process.hrtime.bigint() - start) / 1e6
  }
  expect(await took()).toBeGreaterThanOrEqual(48)
  expect(await proxy.getToxic('slow')).toMatchObject({ name: 'slow', type: 'latency', attributes: { latency: 50, jitter: 0 } })
  expect((await toxic.update({ stream: 'downstream', name: 'slow', toxicity: 1, attributes: { latency: 90, jitter: 0 } } as never)).attributes).toEqual({ latency: 90, jitter: 0 })
  expect(await took()).toBeGreaterThanOrEqual(88)
  await toxic.remove()
  await expect(proxy.getToxic('slow')).rejects.toThrow('404')
  expect(Object.values(await client.getAll())[0]!.toJson().toxics ?? []).toEqual([])
})

test('is told of errors in its own way', async () => {
  await using control = await openControl()
  const client = new Toxiproxy(control.url)
  await expect(client.get('none')).rejects.toThrow('404')
  await client.createProxy({ name: 'a', listen: 'localhost:0', upstream: '127.0.0.1:9' })
  await expect(client.createProxy({ name: 'a', listen: 'localhost:0', upstream: '127.0.0.1:9' })).rejects.toThrow('409')
})
