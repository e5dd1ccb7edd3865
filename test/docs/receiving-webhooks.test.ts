/** The blocks of docs/receiving-webhooks.md are one service, and it works: as modules beside an installed resil (dist/), over sockets, against signed requests. */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { SystemClock } from '../../src/clock.ts'
import { newSecret, publicKeyOf, receiptValid, signer, verifyAck } from '../../src/engines/webhook/signature.ts'
import { silentLog } from '../../src/events.ts'
import type { WebhookNode } from '../../src/lab/webhook-alone.ts'
import { runWebhookNode } from '../../src/lab/webhook-alone.ts'
import { Random } from '../../src/random.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const page = readFileSync(`${root}docs/receiving-webhooks.md`, 'utf8')
const blocks = new Map([...page.matchAll(/```js\n\/\/ (\S+)\n([^]*?)```/g)].map(([, name, code]) => [name!, code!]))

const random = Random.system()
const [secret, old] = [newSecret('v1', random), newSecret('v1', random)]
const curve = newSecret('v1a', random)
const seconds = () => Math.floor(Date.now() / 1000)

const before = process.cwd()
let folder: string
const servers: Server[] = []

async function listening(server: Server): Promise<string> {
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Node's own import, as a stranger's service has it: not through vitest. */
const load = (name: string) => import(/* @vite-ignore */ pathToFileURL(join(folder, name)).href) as Promise<any>

/** What the sender says at /v1/acks; everything else the engine itself answers. */
const front = { acks: [] as { headers: Record<string, any>; body: any }[], ackStatus: 204, asked: [] as string[] }
let engine: WebhookNode
const TOKEN = 'a token of 16 or more'
const bearer = { authorization: `Bearer ${TOKEN}` }

beforeAll(async () => {
  expect(existsSync(`${root}dist/engines/webhook/receiver.js`), 'npm run build').toBe(true)
  folder = mkdtempSync(join(tmpdir(), 'resil-receiving-'))
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(root, join(folder, 'node_modules', 'resil'))
  symlinkSync(join(root, 'node_modules', 'better-sqlite3'), join(folder, 'node_modules', 'better-sqlite3'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  for (const [name, code] of blocks) writeFileSync(join(folder, name), code)
  engine = await runWebhookNode({ clock: new SystemClock(), log: silentLog, db: join(folder, 'webhooks.db'), node: 'n1', port: 0, place: { keys: () => [Buffer.alloc(32, 7)], allow: ['127.0.0.1/32'], plainHttp: true, token: TOKEN, version: '0.0.0' }, settings: {} })
  process.env['WEBHOOK_ENGINE'] = await listening(
    createServer(async (request, response) => {
      const body = Buffer.concat(await request.toArray()).toString()
      if (request.url === '/v1/acks') {
        front.acks.push({ headers: request.headers, body: JSON.parse(body) })
        return response.writeHead(front.ackStatus).end()
      }
      front.asked.push(request.url!)
      const answer = await fetch(`${engine.url}${request.url}`, { headers: Object.entries(request.headers).filter(([name]) => name.startsWith('webhook-')) as [string, string][] })
      response.writeHead(answer.status).end(await answer.text())
    }),
  )
  process.env['WEBHOOK_SECRETS'] = `${secret} ${old} ${publicKeyOf(curve)}`
  process.chdir(folder)
})

afterAll(async () => {
  process.chdir(before)
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
  const { db } = await load('orders.js')
  db.close()
  await engine.close(0)
  rmSync(folder, { recursive: true, force: true })
})

let count = 0
/** A signed request as the engine makes it. */
function signed(event: object, { id = `evt_${++count}`, by = secret, timestamp = seconds(), sequence = count, change = {} as Record<string, string> } = {}) {
  const body = JSON.stringify(event)
  const headers = {
    'content-type': 'application/json', 'webhook-id': id, 'webhook-timestamp': String(timestamp), 'webhook-signature': signer([{ secret: by }]).sign(id, timestamp, body),
    'webhook-sequence': String(sequence), 'webhook-endpoint': 'ep_1', 'webhook-attempt': '1', 'user-agent': 'resil/0.1.0', ...change,
  }
  return { id, timestamp, sequence, body, headers, post: (url: string) => fetch(url, { method: 'POST', headers, body }) }
}

const order = (id: string) => ({ type: 'order.created', data: { order: id, amount: 9900, email: 'a@example.com' } })

test('every block is a file of the service, and each is under test', () => {
  expect(page.match(/```js\n/g)).toHaveLength(blocks.size)
  expect([...blocks.keys()]).toEqual(['receiver.js', 'orders.js', 'mails.js', 'later.js', 'gaps.js', 'digest.js'])
})

describe('verify: receiver.js', () => {
  const handled: string[] = []
  let url: string
  beforeAll(async () => {
    const { receiver } = await load('receiver.js')
    url = await listening(
      receiver(async (message: { id: string }, event: { fail?: boolean }) => {
        if (event.fail) throw new Error('no room')
        handled.push(message.id)
        return {}
      }),
    )
  })

  test.each([['the new secret', secret], ['the old secret', old], ['ed25519, of which it has the public key', curve]])('takes what %s has signed', async (_, by) => {
    const request = signed({ type: 'x' }, { by })
    expect((await request.post(url)).status).toBe(200)
    expect(handled.at(-1)).toBe(request.id)
  })

  test.each([
    ['wrong', () => signed({ type: 'x' }, { by: newSecret('v1', random) })],
    ['wrong', () => signed({ type: 'x' }, { change: { 'webhook-id': 'evt_other' } })],
    ['stale', () => signed({ type: 'x' }, { timestamp: seconds() - 305 })],
    ['future', () => signed({ type: 'x' }, { timestamp: seconds() + 305 })],
    ['malformed', () => signed({ type: 'x' }, { change: { 'webhook-signature': 'nonsense' } })],
    ['missing', () => signed({ type: 'x' }, { change: { 'webhook-signature': '' } })],
  ])('refuses with 401 and a word what is %s', async (reason, make) => {
    const before = handled.length
    const answer = await make().post(url)
    expect([answer.status, await answer.text(), handled.length]).toEqual([401, reason, before])
  })

  test('verifies the bytes, not the JSON: the same object with a space is another text', async () => {
    const { headers, body } = signed({ type: 'x' })
    expect((await fetch(url, { method: 'POST', headers, body: `${body} ` })).status).toBe(401)
  })

  test('answers 500 when the handler throws, and reads no more than an event can be', async () => {
    const error = vi.spyOn(console, 'error').mockImplementation(() => {})
    try {
      expect((await signed({ fail: true }).post(url)).status).toBe(500)
      expect(error).toHaveBeenCalledTimes(1)
      const before = handled.length
      // Cut while it is still being sent, or answered: whichever the client sees first.
      const seen = await signed({ text: 'x'.repeat(1_000_000) }).post(url).then(({ status }) => status, () => 'cut')
      expect([500, 'cut']).toContain(seen)
      expect(handled).toHaveLength(before)
    } finally {
      error.mockRestore()
    }
  })
})

describe('work once', () => {
  test('orders.js: five at once and one later have one effect, and each answer a receipt that the sender believes', async () => {
    const { receiver } = await load('receiver.js')
    const { db, handleOrder } = await load('orders.js')
    const url = await listening(receiver(handleOrder))
    const request = signed(order('o_1'))
    const answers = [...(await Promise.all(Array.from({ length: 5 }, () => request.post(url)))), await request.post(url)]
    for (const answer of answers) {
      expect(answer.status).toBe(200)
      expect(receiptValid([secret], request.id, request.timestamp, answer.headers.get('webhook-receipt')!)).toBe(true)
    }
    expect(db.prepare('SELECT * FROM orders').all()).toEqual([{ id: 'o_1', event: request.id, amount: 9900 }])
  })

  test('orders.js: what fails leaves nothing, and succeeds when it comes again', async () => {
    const { receiver } = await load('receiver.js')
    const { db, handleOrder } = await load('orders.js')
    const url = await listening(receiver(handleOrder))
    const error = vi.spyOn(console, 'error').mockImplementation(() => {})
    const request = signed(order('o_1')) // another event with the order that there is already
    expect((await request.post(url)).status).toBe(500)
    db.prepare("DELETE FROM orders WHERE id = 'o_1'").run()
    expect((await request.post(url)).status).toBe(200)
    error.mockRestore()
    expect(db.prepare('SELECT event FROM orders').all()).toEqual([{ event: request.id }])
  })

  test('mails.js: one mail, 409 to whoever comes meanwhile, 200 afterwards; what is old is forgotten', async () => {
    const { receiver } = await load('receiver.js')
    const { mailer, store, forgetOld } = await load('mails.js')
    const sent: string[][] = []
    let arrived = () => {}
    let go = () => {}
    const under = new Promise<void>((resolve) => (arrived = resolve))
    const gate = new Promise<void>((resolve) => (go = resolve))
    const url = await listening(
      receiver(
        mailer(async (...mail: string[]) => {
          sent.push(mail)
          arrived()
          await gate
        }),
      ),
    )
    const request = signed(order('o_2'))
    const first = request.post(url)
    await under
    expect((await request.post(url)).status).toBe(409)
    go()
    expect((await first).status).toBe(200)
    expect((await request.post(url)).status).toBe(200)
    expect(sent).toEqual([['a@example.com', request.id]])
    forgetOld()
    expect(await store.begin(request.id)).toBe('done')
  })
})

test('acknowledge, later.js: an event that was put aside is acknowledged when it was worked on, and again until that arrives', async () => {
  const { receiver } = await load('receiver.js')
  const { putAside, workThrough } = await load('later.js')
  const { db } = await load('orders.js')
  const url = await listening(receiver(putAside))
  const request = signed(order('o_3'))
  for (const answer of [await request.post(url), await request.post(url)]) expect([answer.status, answer.headers.get('webhook-ack')]).toEqual([202, 'deferred'])
  const worked: string[] = []
  front.ackStatus = 503
  await workThrough(async (id: string) => void worked.push(id))
  front.ackStatus = 204
  await workThrough(async (id: string) => void worked.push(id))
  await workThrough(async (id: string) => void worked.push(id))
  expect(worked).toEqual([request.id, request.id])
  expect(front.acks.map(({ body }) => body)).toEqual([{ id: request.id, endpoint: 'ep_1' }, { id: request.id, endpoint: 'ep_1' }])
  for (const { headers, body } of front.acks) expect(verifyAck([secret], headers, body.id, Date.now())).toEqual({ ok: true })
  expect(db.prepare('SELECT * FROM inbox').all()).toEqual([])
})

/** An endpoint of the engine, which is told of these events. */
async function registered(url: string, events: readonly object[], by = secret): Promise<{ id: string }> {
  const call = async (method: string, path: string, body?: object) => (await fetch(`${engine.url}${path}`, { method, headers: bearer, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })).json() as Promise<any>
  const { endpoint: { id } } = await call('POST', '/v1/endpoints', { url, secret: by })
  for (const data of events) await call('POST', '/v1/events', { type: 'order.created', data })
  return { id }
}

test('find what never came and compare, gaps.js and digest.js: the engine lists what is missing, page by page, and its digest says when all is there', async () => {
  const { receiver } = await load('receiver.js')
  const { gaps, noteSequence, catchUp } = await load('gaps.js')
  const { digestOf, noteReceived, reconcile } = await load('digest.js')
  const lost = new Set([3, 5, 6])
  let all = () => {}
  const arrived = new Promise<void>((resolve) => (all = resolve))
  const seen = new Set<number>()
  const url = await listening(
    receiver(async (message: { endpoint: string; sequence: number }) => {
      seen.add(message.sequence)
      if (!lost.has(message.sequence)) {
        noteSequence(message)
        noteReceived(message)
      }
      if (seen.size === 8) all()
      return {}
    }),
  )
  // Large ones, so that one page does not hold them all.
  const { id } = await registered(url, Array.from({ length: 8 }, (_, n) => ({ order: `s_${n + 1}`, note: 'x'.repeat(250_000) })))
  await arrived
  noteSequence({ endpoint: null, sequence: 3 })
  const worked: string[] = []
  const work = async (event: string, { data }: ReturnType<typeof order>) => {
    worked.push(data.order)
    noteReceived({ endpoint: id, sequence: Number(data.order.slice(2)), id: event })
  }
  const lists = () => front.asked.filter((path) => path.includes('/events?'))
  await catchUp(id, work)
  expect([worked, lists()]).toEqual([[], []]) // open for no time yet

  let digest: { count: number }
  do digest = await digestOf(id) // the last end may not be written yet
  while (digest.count < 8)
  expect(reconcile(digest)).toBe('different')
  expect(reconcile({ ...digest, count: 7 })).toBe('forged')

  await catchUp(id, work, 0)
  expect(worked).toEqual([3, 4, 5, 6, 7, 8].map((n) => `s_${n}`))
  expect(lists()).toEqual([2, 6, 8].map((after) => `/v1/endpoints/${id}/events?after=${after}`))
  expect([gaps.completeTo(id), gaps.missing(id)]).toEqual([8, []])
  expect(reconcile(digest)).toBe('equal')
  await catchUp(id, work, 0)
  expect(lists()).toHaveLength(3)
})

test('what is refused is told, not taken for an empty list: an endpoint that there is not, like one of somebody else', async () => {
  const { noteSequence, catchUp } = await load('gaps.js')
  const { digestOf } = await load('digest.js')
  const { id } = await registered('http://127.0.0.1:9/', [], newSecret('v1', random))
  for (const endpoint of ['ep_none', id]) {
    for (const sequence of [1, 3]) noteSequence({ endpoint, sequence })
    await expect(catchUp(endpoint, async () => {}, 0)).rejects.toThrow('401')
    await expect(digestOf(endpoint)).rejects.toThrow('401')
  }
})

test('a stranger’s TypeScript finds the types, without those of Node', () => {
  writeFileSync(join(folder, 'service.ts'), `import { Gaps, memoryStore, receipt, verify, withIdempotency } from 'resil/receiver'
import type { IdempotencyStore, Message } from 'resil/receiver'
export function answer(request: Request, nodeHeaders: Record<string, string | string[] | undefined>, body: Uint8Array): string | null {
  const message = verify(['whsec_x'], request.headers, body)
  if (!message.ok) {
    const reason: 'missing' | 'malformed' | 'stale' | 'future' | 'wrong' = message.reason
    return reason
  }
  const store: IdempotencyStore = memoryStore()
  void withIdempotency(store, async ({ id }: Message) => id)(message)
  // @ts-expect-error a sequence may be null
  new Gaps().see('ep_1', message.sequence)
  return verify('whsec_x', nodeHeaders, 'x').ok ? receipt('whsec_x', message) : null
}
`)
  const tsc = fileURLToPath(new URL('bin/tsc', import.meta.resolve('typescript/package.json')))
  const { stdout, status } = spawnSync(process.execPath, [tsc, '--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022', '--lib', 'es2022,dom', 'service.ts'], { cwd: folder, encoding: 'utf8' })
  expect([status, stdout]).toEqual([0, ''])
}, 60_000)
