/** Receivers that were written with other people's libraries, on real sockets: each gets every message, and takes none that was changed. */
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Webhook as StandardWebhook } from 'standardwebhooks'
import { Stripe } from 'stripe'
import { Webhook as SvixWebhook } from 'svix'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { SystemClock } from '../../../src/clock.ts'
import { EventLog } from '../../../src/events.ts'
import type { WebhookNode } from '../../../src/lab/webhook-alone.ts'
import { standingNode } from './standing-node.ts'

const MANY = 40
const clock = new SystemClock()
let folder: string
let node: WebhookNode
let log: EventLog
const servers: Server[] = []

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'resil-test-'))
  log = new EventLog('test', clock)
  node = await standingNode(folder, log, { schedule: [50] })
})

afterEach(async () => {
  await node.close(1000)
  for (const server of servers.splice(0)) server.close()
  rmSync(folder, { recursive: true, force: true })
})

/** A receiver on a free port; `verify` throws for what is not genuine. */
async function receiver(verify: (body: string, headers: Record<string, string>) => void): Promise<{ url: string; ids: string[]; refused: string[] }> {
  const ids: string[] = []
  const refused: string[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const headers = request.headers as Record<string, string>
      try {
        verify(Buffer.concat(chunks).toString(), headers)
        ids.push(headers['webhook-id']!)
        response.writeHead(204).end()
      } catch (error) {
        refused.push(String(error))
        response.writeHead(400).end()
      }
    })
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, ids, refused }
}

async function deliver(count: number): Promise<string[]> {
  let left = count
  const arrived = new Promise<void>((resolve) => {
    log.subscribe((event) => {
      if (event.type === 'delivery.attempted' && event['meaning'] === 'delivered' && --left === 0) resolve()
    })
  })
  const taken = await Promise.all(Array.from({ length: count }, (_, n) => node.engine.events.take({ type: 'order.created', data: { n, text: 'naïve ☃ 𝄞' } })))
  node.engine.dispatcher.wake()
  await arrived
  return taken.map(({ id }) => id).toSorted()
}

const KINDS: [string, (secret: () => string) => (body: string, headers: Record<string, string>) => void, object][] = [
  ['standardwebhooks', (secret) => (body, headers) => void new StandardWebhook(secret()).verify(body, headers), {}],
  ['svix', (secret) => (body, headers) => void new SvixWebhook(secret()).verify(body, headers), {}],
  ['stripe', (secret) => (body, headers) => void new Stripe('sk_test_none').webhooks.constructEvent(body, headers['stripe-signature']!, secret()), { stripeSignature: true }],
]

for (const [name, verifierOf, spec] of KINDS) {
  it(`a receiver written with ${name} gets every message`, async () => {
    let secret = ''
    const { url, ids, refused } = await receiver(verifierOf(() => secret))
    ;({ secret } = await node.engine.endpoints.add({ url, ...spec }))
    const sent = await deliver(MANY)
    expect(ids.toSorted()).toEqual(sent)
    expect(refused).toEqual([])
  }, 30_000)
}

it('with another secret each of them refuses', async () => {
  let other = ''
  const { secret } = await node.engine.endpoints.add({ url: 'http://127.0.0.1:9/hook' })
  other = secret
  for (const [, verifierOf, spec] of KINDS) {
    const { url, ids, refused } = await receiver(verifierOf(() => other))
    const { endpoint } = await node.engine.endpoints.add({ url, patterns: ['refund.issued'], ...spec })
    const tried = new Promise<void>((resolve) => {
      log.subscribe((event) => event.type === 'delivery.attempted' && event['endpoint'] === endpoint.id && resolve())
    })
    await node.engine.events.take({ type: 'refund.issued', data: {} })
    node.engine.dispatcher.wake()
    await tried
    expect(ids).toEqual([])
    expect(refused).not.toEqual([])
  }
}, 30_000)
