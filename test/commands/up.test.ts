import { existsSync, readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { resil, start } from './cli.ts'
import type { Standing } from './standing.ts'
import { curl, folder, killAll, order, removeFolders, stand } from './standing.ts'

afterAll(() => {
  killAll()
  removeFolders()
})

const pay = (up: Standing, name: string) => curl(`${up.ready.url}/v1/payments`, ['-H', `Idempotency-Key: key-${name}`, '--data-raw', order(name)])

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** The ids that a customer processed. */
const processed = (lines: any[], customer: string): string[] => lines.filter((line) => line.type === 'customer.received' && line.customer === customer && line.processed).map(({ id }) => id)

/** Ten ports in a row that are free, as far as one can know. */
async function freeBase(): Promise<number> {
  for (;;) {
    const servers = [createServer().listen(0, '127.0.0.1')]
    await once(servers[0]!, 'listening')
    const base = (servers[0]!.address() as AddressInfo).port
    let free = base < 65_000
    for (let n = 1; n < 10 && free; n++) {
      const server = createServer()
      const listening = new Promise<boolean>((resolve) => server.once('listening', () => resolve(true)).once('error', () => resolve(false)))
      server.listen(base + n, '127.0.0.1')
      free = await listening
      if (free) servers.push(server)
    }
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
    if (free) return base
  }
}

/** On a busy machine three processes take their time to begin. */
const PATIENT = { longestMs: 60_000 }

/** Each begins three engines, as processes. */
describe('resil up', { timeout: 120_000 }, () => {
  it('A1 stands on free ports, shows a payment that was made with curl through all links, and leaves nothing behind at Ctrl-C', async () => {
    const temporary = folder()
    const up = await stand(['up', '--port', '0', '--seed', '7'], { env: { TMPDIR: temporary } })
    expect(Object.keys(up.ready.urls)).toEqual(expect.arrayContaining(['payments', 'fraud', 'bank', 'notification', 'cron', 'resource', 'webhooks', 'customer-1', 'customer-2', 'customer-3']))
    // Three schedules that one can watch; the scheduler leads as soon as it is there.
    expect(resil(['cron', 'list', '--db', up.ready.cronDb, '--json'], { timeout: 60_000 }).json().filter((line) => line.name !== undefined).map(({ name }) => name)).toEqual(['cleanup', 'digest', 'reports'])
    expect((await up.until((line) => line.type === 'leader.elected')).node).toBe('c1')
    const paid = await pay(up, 'seen')
    expect(paid).toMatchObject({ status: 201 })
    expect(await up.until((line) => line.type === 'bank.charged')).toMatchObject({ reference: paid.body.payment_id, amount: 9900 })
    await up.until((line) => line.type === 'notification.received')
    const { event } = await up.until((line) => line.type === 'event.accepted')
    for (const customer of ['customer-1', 'customer-2', 'customer-3']) {
      expect(await up.until((line) => line.type === 'customer.received' && line.customer === customer)).toMatchObject({ id: event, what: 'payment.succeeded', signed: 'valid', processed: true, status: 204 })
    }
    // The operator's commands work on it, and have the key of its secrets.
    expect(resil(['webhook', 'endpoint', 'list', '--db', up.ready.webhookDb, '--json'], { timeout: 60_000 }).json().map(({ description, spec }) => description ?? spec?.description).filter(Boolean)).toEqual(['customer-1', 'customer-2', 'customer-3'])
    const { exit, stderr, lines } = await up.stop('SIGINT')
    expect([...new Set(lines.filter((line) => line.type === 'exchange.opened' && line.link !== 'resource').map((line) => line.link))].toSorted()).toEqual(['bank', 'customer-1', 'customer-2', 'customer-3', 'fraud', 'notification', 'payments', 'webhooks'])
    expect({ exit, stderr, last: lines.at(-1) }).toEqual({ exit: 130, stderr: '', last: { type: 'stopped', ok: true, story: expect.stringMatching(/1 charge of \$99\.00.* 3 webhooks owed, 3 delivered, 1\.00 requests each\.$/) } })
    const nodes = lines.filter((line) => line.type === 'node.started')
    expect(nodes.map(({ node }) => node).toSorted()).toEqual(['c1', 'n1', 'w1'])
    for (const { pid } of nodes) expect(alive(pid)).toBe(false)
    expect(readdirSync(temporary)).toEqual([])
    for (const url of Object.values<string>(up.ready.urls)) await expect(fetch(url)).rejects.toThrow()
  })

  it('a fault that is on from the start strikes, the client is told the truth, and there is one charge', async () => {
    const up = await stand(['up', '--port', '0', '--toxic', 'bank:lost_response,method=POST,path=/v1/charges,first=1'])
    const paid = await pay(up, 'struck')
    expect(paid).toMatchObject({ status: 201, body: { charge_state: 'charged' } })
    const { lines } = await up.stop('SIGTERM')
    expect(lines.filter((line) => line.type === 'toxic.hit')).toMatchObject([{ link: 'bank', toxicType: 'lost_response' }])
    expect(lines.filter((line) => line.type === 'bank.charged')).toHaveLength(1)
  })

  it('an engine that is killed -9 from outside begins a new life on the same database', async () => {
    const up = await stand(['up', '--port', '0'])
    const paid = await pay(up, 'survives')
    const { pid } = await up.until((line) => line.type === 'node.started' && line.node === 'n1')
    process.kill(pid, 'SIGKILL')
    const second = await up.until((line) => line.type === 'node.started' && line.incarnation === 2)
    // The link opens a moment after the new life has begun.
    expect(await curl(`${up.ready.url}/v1/payments`, ['--retry', '5', '--retry-connrefused', '-H', 'Idempotency-Key: key-survives', '--data-raw', order('survives')])).toMatchObject({ status: 201, text: paid.text, headers: { 'idempotent-replayed': 'true' } })
    expect(await up.stop('SIGTERM')).toMatchObject({ exit: 0, stderr: '' })
    expect(alive(second.pid)).toBe(false)
  })

  it('a customer that answers nothing but errors is parked alone, and gets all that was held once it is well', async () => {
    const up = await stand(['up', '--port', '0', '--toxic', 'customer-1:http_error=503,first=5'])
    const orders = ['a', 'b', 'c', 'd', 'e', 'f']
    for (const name of orders) expect(await pay(up, name)).toMatchObject({ status: 201 })
    const { endpoint } = await up.until((line) => line.type === 'endpoint.added' && line.customer === 'customer-1')
    expect(await up.until((line) => line.type === 'lane.parked')).toMatchObject({ endpoint })
    expect(await up.until((line) => line.type === 'lane.woken')).toMatchObject({ endpoint })
    let left = orders.length
    await up.until((line) => line.type === 'customer.received' && line.customer === 'customer-1' && line.processed && --left === 0)
    const { exit, lines } = await up.stop('SIGTERM')
    const accepted = lines.filter((line) => line.type === 'event.accepted').map(({ event }) => event)
    expect(accepted).toHaveLength(orders.length)
    for (const customer of ['customer-1', 'customer-2', 'customer-3']) expect(processed(lines, customer).toSorted()).toEqual(accepted.toSorted())
    expect(lines.filter((line) => line.type === 'lane.parked')).toHaveLength(1)
    expect({ exit, story: lines.at(-1).story }).toEqual({ exit: 0, story: expect.stringContaining('18 webhooks owed, 18 delivered') })
  })

  it('a webhook engine that is killed -9 loses nothing: what is charged meanwhile is told by its next life, once', async () => {
    const up = await stand(['up', '--port', '0'])
    await pay(up, 'before')
    const { pid } = await up.until((line) => line.type === 'node.started' && line.node === 'w1')
    process.kill(pid, 'SIGKILL')
    await up.until((line) => line.type === 'node.killed' && line.node === 'w1')
    await pay(up, 'between')
    const ids = new Set<string>()
    await up.until((line) => line.type === 'customer.received' && line.customer === 'customer-3' && line.processed && ids.add(line.id).size === 2)
    const { lines } = await up.stop('SIGTERM')
    expect(lines.filter((line) => line.type === 'node.started' && line.node === 'w1').map(({ incarnation }) => incarnation)).toEqual([1, 2])
    expect(lines.filter((line) => line.type === 'event.accepted')).toHaveLength(2)
    expect(new Set(processed(lines, 'customer-3'))).toEqual(ids)
    expect(processed(lines, 'customer-3')).toHaveLength(2)
  })

  it('with --db the payments outlast it, and a second time with the same seed their ids do not come again', async () => {
    const db = join(folder(), 'payments.db')
    const told = []
    for (const name of ['first', 'second']) {
      const up = await stand(['up', '--port', '0', '--seed', '7', '--db', db])
      told.push(await pay(up, name))
      await up.stop()
    }
    expect(told.map(({ status }) => status)).toEqual([201, 201])
    expect(resil(['pay', 'list', '--db', db, '--quiet']).stdout.trim().split('\n')).toEqual(told.map(({ body }) => body.payment_id).toReversed())
  })

  it('A3 a port in the row that is taken: 2, with the service and the port, and nothing left behind', async () => {
    const temporary = folder()
    const base = await freeBase()
    for (const [n, name] of [[2, 'bank'], [0, 'payments'], [6, 'webhooks'], [9, 'customer-3']] as const) {
      const holder = createServer().listen(base + n, '127.0.0.1')
      await once(holder, 'listening')
      const refused = start('bin/run.js', ['up', '--port', String(base)], { TMPDIR: temporary }, PATIENT)
      expect(await refused.ended).toMatchObject({ exit: 2, stderr: expect.stringMatching(new RegExp(`^resil: ${name}: .*${base + n} is in use; [^\n]+\n$`)) })
      await new Promise((resolve) => holder.close(resolve))
    }
    expect(readdirSync(temporary)).toEqual([])
  })

  it.each([
    ['a toxic that is none', ['--port', '0', '--toxic', 'bank:latncy=1s'], 'latncy'],
    ['a link that is none', ['--port', '0', '--toxic', 'bnak:latency=1s'], 'there is no link "bnak"; there are payments, fraud, bank, notification, cron, resource, webhooks, customer-1, customer-2, customer-3'],
    ['A7 a database of somebody else', ['--port', '0', '--db', '/etc/passwd'], '/etc/passwd'],
    ['A8 a folder as database', ['--port', '0', '--db', '/tmp'], 'is a directory'],
    ['A2 a port that is none', ['--port', '80.5'], 'is not a port'],
  ])('%s is refused with 2 and one line, and nothing stays', (_, args, why) => {
    const temporary = folder()
    const refused = resil(['up', ...args], { env: { TMPDIR: temporary } })
    expect(refused).toMatchObject({ exit: 2, stderr: expect.stringContaining(why) })
    expect(refused.stderr.trimEnd().split('\n')).toHaveLength(1)
    expect(readdirSync(temporary)).toEqual([])
  })

  it('in a pipe it speaks plain lines: every URL, a curl to try, no escape codes', async () => {
    const run = start('bin/run.js', ['up', '--port', '0'], {}, PATIENT)
    await run.said('try: curl')
    run.child.kill('SIGTERM')
    const { exit, stdout, stderr } = await run.ended
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' })
    expect(stdout).toMatch(/^payments +http:\/\/127\.0\.0\.1:\d+$/m)
    expect(stdout).toMatch(/^customer-3 +http:\/\/127\.0\.0\.1:\d+$/m)
    expect(stdout).toMatch(/^and: resil webhook endpoint list --db \S+webhooks\.db$/m)
    expect(stdout).toMatch(/customer-1 +is told at endpoint ep_\w+\n/)
    expect(stdout).toMatch(/\nNobody asked to pay, and nothing was charged\.\n$/)
    expect(stdout).not.toContain('\u001b')
    expect(existsSync('payments.db')).toBe(false)
  })
})
