/** Services that know nothing of resil, in their own processes, judged by what the bank's ledger and the clients show. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { adapterOf, readConfig, readSubject } from '../../src/lab/subject.ts'
import { root, start } from '../commands/cli.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'resil-test-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function config(name: string, text: string): string {
  const file = join(folder, name)
  writeFileSync(file, text)
  return file
}

describe('a running service', () => {
  const children: ChildProcess[] = []
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL')
  })

  /** Ports that were free a moment ago, all different. */
  async function freePorts(count: number): Promise<number[]> {
    const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
    await Promise.all(servers.map((server) => once(server, 'listening')))
    const ports = servers.map((server) => (server.address() as AddressInfo).port)
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
    return ports
  }

  /** Starts a stranger, and runs a story against it. */
  async function judged(stranger: string, args: string[], { env = {}, face = '' }: { env?: NodeJS.ProcessEnv; face?: string } = {}) {
    const [bank, fraud, notification] = (await freePorts(3)) as [number, number, number]
    const child = spawn(process.execPath, [`${root}test/lab/strangers/${stranger}.mjs`], { env: { ...process.env, ...env, BANK_URL: `http://127.0.0.1:${bank}`, PORT: '0' } })
    children.push(child)
    const [said] = (await once(child.stdout, 'data')) as [Buffer]
    const port = /listening on (\d+)/.exec(String(said))![1]
    const file = config(`${stranger}-${port}.yaml`, `${face}\nports: { bank: ${bank}, fraud: ${fraud}, notification: ${notification} }\n`)
    const ended = await start('bin/run.js', ['pay', ...args, '--subject', `http://127.0.0.1:${port}`, '--config', file, '--seed', '7', '--json']).ended
    return { ...ended, end: ended.json().at(-1) as { verdict: string; findings: { invariant: string; verdict: string; looked: string; violations: { witness: number[] }[] }[] }, events: ended.json() as any[] }
  }

  it('that checks the key and sets it afterwards is convicted: two charges for one order', async () => {
    const { exit, end, events } = await judged('check-then-set', ['--double-click'])
    expect(exit).toBe(1)
    const finding = end.findings.find(({ invariant }) => invariant === 'at-most-one-charge')!
    expect(finding.verdict).toBe('violated')
    const witness = finding.violations[0]!.witness.map((seq) => events.find((event) => event.seq === seq))
    expect(witness.map(({ type }) => type)).toEqual(['bank.charged', 'bank.charged'])
  })

  it('that keeps its word is cleared', async () => {
    const { exit, end } = await judged('correct', ['--double-click'])
    expect(end.findings.filter(({ verdict }) => verdict === 'violated')).toEqual([])
    expect(end.findings.find(({ invariant }) => invariant === 'at-most-one-charge')).toMatchObject({ verdict: 'held', looked: '1 charge, 1 order' })
    expect(exit).toBe(0)
  })

  it('of another shape is spoken to as its file says', async () => {
    const face = `
pay:
  path: /charge
  keyHeader: X-Request-Key
  body: { cents: '{{amount}}', money: usd, ref: { id: '{{order}}' }, pan: '{{card}}' }
told: { charged: [200], declined: [409], pending: [503], conflict: [423], refused: [418] }
payment: result.number
deadline: 6s`
    const { exit, events, end } = await judged('correct', ['--double-click'], { env: { FACE: 'other' }, face })
    expect(end.verdict).toBe('held')
    expect(exit).toBe(0)
    const told = events.filter(({ type, told: word }) => type === 'client.told' && word === 'charged')
    expect(told.length).toBeGreaterThanOrEqual(2)
    expect(told[0].payment).toMatch(/^[0-9a-f-]{36}$/)
  })

  it('that never asks the bank is undecided, not held', async () => {
    const { exit, end } = await judged('shrug', ['--invariant', 'intent-before-effect'])
    expect(exit).toBe(3)
    expect(end.verdict).toBe('undecided')
    expect(end.findings.filter(({ verdict }) => verdict === 'violated')).toEqual([])
    for (const name of ['at-most-one-charge', 'no-lost-payment', 'intent-before-effect']) expect(end.findings.find(({ invariant }) => invariant === name)!.verdict).toBe('undecided')
  })

  it('that does not run is unreachable: exit code 3, and a line that says so', async () => {
    const [port, bank, fraud, notification] = await freePorts(4)
    const file = config('nobody.yaml', `ports: { bank: ${bank}, fraud: ${fraud}, notification: ${notification} }`)
    const { exit, stderr } = await start('bin/run.js', ['pay', '--double-click', '--subject', `http://127.0.0.1:${port}`, '--config', file]).ended
    expect(exit).toBe(3)
    expect(stderr).toBe(`resil: nothing answers at http://127.0.0.1:${port} (REFUSED); start your service first, then run this again\n`)
  })
})

describe('a subject', () => {
  it.each(['https://127.0.0.1:3000', 'ftp://127.0.0.1', 'http://shop.example', 'http://192.168.0.1:80', 'nothing-here.mjs'])('%s is refused', async (given) => {
    await expect(readSubject(given, undefined)).rejects.toMatchObject({ code: 'BAD_SUBJECT' })
  })

  it('by URL finds the mocks at well-known ports, unless its file says otherwise', async () => {
    expect(await readSubject('http://127.0.0.1:3000', config('one-port.yaml', 'ports: { bank: 5002 }'))).toMatchObject({ subject: { kind: 'url', url: 'http://127.0.0.1:3000' }, ports: { fraud: 4001, bank: 5002, notification: 4003 } })
  })
})

describe('its file', () => {
  it.each([
    ['', 'it is empty'],
    ['pay: [', 'Flow sequence'],
    ['pay: { path: charge }', 'pay.path: must begin with /'],
    ['paid: { path: /charge }', 'there is no "paid" here'],
    ['deadline: 5', 'deadline'],
    ['told: { charged: [2000] }', 'told.charged[0]'],
    ['ports: { bank: 0 }', 'ports.bank'],
    ['pay: 1\npay: 2', 'unique'],
  ])('%j is refused: %s', (text, why) => {
    expect(() => readConfig(config('bad.yaml', text))).toThrow(expect.objectContaining({ code: 'BAD_CONFIG', message: expect.stringContaining(why) }))
  })

  const order = { order: 'order 1/2', key: 'key_1', amount: 9900, currency: 'USD', card: '4242' }

  it('fills templates: an amount alone is a number, in a text it is text, in a path it is escaped', () => {
    const adapter = adapterOf({ pay: { path: '/pay/{{order}}', body: { cents: '{{amount}}', text: '{{amount}} {{currency}}', list: [{ key: '{{key}}' }] } }, status: { path: '/orders/{{order}}/{{payment}}' } })
    const request = adapter.pay(order)
    expect(request.path).toBe('/pay/order%201%2F2')
    expect(JSON.parse(request.body)).toEqual({ cents: 9900, text: '9900 USD', list: [{ key: 'key_1' }] })
    expect(adapter.status(order, 'p1')?.path).toBe('/orders/order%201%2F2/p1')
  })

  it('reads answers by their status, its own words before the usual ones; what it does not know says nothing', () => {
    const { read } = adapterOf({ told: { pending: [200] }, payment: 'result.id' })
    const answer = (status: number, body = '{}') => read({ status, headers: {}, body })
    expect([200, 201, 402, 409, 422, 500, 503].map((status) => answer(status).told)).toEqual(['pending', 'charged', 'declined', 'conflict', 'refused', 'nothing', 'nothing'])
    expect(answer(201, '{"result":{"id":7}}').payment).toBe('7')
    expect(answer(201, 'no json').payment).toBeNull()
  })

  it('without a status face, the same key is sent again', () => {
    expect(adapterOf({}).status(order, null)).toBeNull()
  })
})
