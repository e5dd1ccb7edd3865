/** Two endpoints at one host, on real sockets: what one of them does is the other's business no more than if they were worlds apart. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { SystemClock } from '../../../src/clock.ts'
import { EventLog } from '../../../src/events.ts'
import { DEFAULTS } from '../../../src/engines/webhook/settings.ts'
import { standingNode } from './standing-node.ts'

const PLACES = DEFAULTS.placesMost

it('an endpoint that hangs with all its places keeps none at the same host waiting', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'resil-test-'))
  const clock = new SystemClock()
  const hanging: ServerResponse[] = []
  let allHang = () => {}
  const server = createServer((request, response) => {
    request.resume()
    if (request.url === '/good') return void response.writeHead(204).end()
    if (hanging.push(response) === PLACES) allHang()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const log = new EventLog('test', clock)
  const node = await standingNode(folder, log, { placesFirst: PLACES })
  try {
    const { endpoints, events } = node.engine
    await endpoints.add({ url: `${url}/bad`, patterns: ['bad'] })
    const { endpoint: good } = await endpoints.add({ url: `${url}/good`, patterns: ['good'] })
    const full = new Promise<void>((resolve) => (allHang = resolve))
    await Promise.all(Array.from({ length: 2 * PLACES }, () => events.take({ type: 'bad', data: {} })))
    await full
    const ended = new Promise((resolve) => void log.subscribe((event) => event.type === 'delivery.attempted' && resolve(event)))
    await events.take({ type: 'good', data: {} })
    // The first attempt that ends at all: those that hang go on to their deadline.
    expect(await ended).toMatchObject({ endpoint: good.id, meaning: 'delivered' })
  } finally {
    for (const response of hanging) response.destroy()
    await node.close(1000)
    server.close()
    rmSync(folder, { recursive: true, force: true })
  }
})
