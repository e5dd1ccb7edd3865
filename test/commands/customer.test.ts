/** The mock customer as users run it: real webhooks, signed with a library, over its port. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Webhook } from 'standardwebhooks'
import { afterAll, describe, expect, it } from 'vitest'
import { SystemClock } from '../../src/clock.ts'
import { moodNames, readMoods } from '../../src/lab/mood.ts'
import { start } from './cli.ts'
import { refused } from './refused.ts'
import { curl, killAll, stand } from './standing.ts'

afterAll(killAll)

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const quick = ['mock', 'customer', '--port', '0', '--p50', '0ms', '--p99', '0ms']
const BODY = '{"type":"invoice.paid","data":{"key":"cust-7"}}'

function hook(url: string, id: string, { secret = SECRET, body = BODY }: { secret?: string; body?: string } = {}) {
  const at = new Date(new SystemClock().now())
  const signature = new Webhook(secret).sign(id, at, body)
  const headers = { 'webhook-id': id, 'webhook-timestamp': String(Math.floor(at.getTime() / 1000)), 'webhook-signature': signature, 'webhook-sequence': '1', 'content-type': 'application/json' }
  return curl(`${url}/hooks`, [...Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]), '--data-binary', body])
}

describe('resil mock customer', () => {
  it('verifies, processes once, says each on a line, and shows all in its ledger', async () => {
    const customer = await stand([...quick, '--secret', SECRET])
    const { url } = customer.ready
    expect(customer.ready).toMatchObject({ mock: 'customer', url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) })
    const forged = `whsec_${Buffer.alloc(24, 9).toString('base64')}`
    expect([(await hook(url, 'evt_1')).status, (await hook(url, 'evt_1')).status, (await hook(url, 'evt_2', { secret: forged })).status]).toEqual([204, 204, 401])
    const { body } = await curl(`${url}/ledger`)
    expect(body).toMatchObject({ effects: 1, requests: [{ id: 'evt_1', sequence: 1, type: 'invoice.paid', key: 'cust-7', signed: 'valid', processed: true, attempt: 1 }, { attempt: 2, duplicate: true }, { id: 'evt_2', signed: 'invalid', status: 401 }] })
    const { exit, stderr, lines } = await customer.stop()
    expect({ exit, stderr, last: lines.at(-1) }).toEqual({ exit: 0, stderr: '', last: { type: 'stopped', ok: true } })
    expect(lines.filter(({ type }) => type === 'customer.received')).toMatchObject([{ src: 'mock', customer: 'customer', id: 'evt_1', processed: true }, { id: 'evt_1', duplicate: true }, { id: 'evt_2', signed: 'invalid' }])
    expect(JSON.stringify(lines)).not.toContain(SECRET)
  })

  it('says it to people in a sentence', async () => {
    const running = start('bin/run.js', [...quick, '--mood', 'error:503'])
    await running.said(/ledger at (http\S+)\/ledger\n/)
    const url = /ledger at (http\S+)\/ledger/.exec(running.stdout)![1]!
    expect((await hook(url, 'evt_1')).status).toBe(503)
    await running.said(/customer +did not process evt_1 invoice\.paid #1, signature not checked: 503\n/)
    expect(running.stdout).toMatch(/customer +is now error, status 503\n/)
    running.child.kill('SIGTERM')
    expect((await running.ended).exit).toBe(0)
  })

  it('takes a body of 256 KiB', async () => {
    const customer = await stand([...quick, '--secret', SECRET])
    const body = JSON.stringify({ type: 'big', data: '\u{1f600}'.repeat(20_000) })
    expect((await hook(customer.ready.url, 'evt_1', { body })).status).toBe(204)
    await customer.stop()
  })

  it('moods follow one another, and behind the last it is healthy', async () => {
    const customer = await stand([...quick, '--mood', 'error:429:retry-after=120,for=1ms', '--mood', 'lie-200,for=1ms'])
    const changes = []
    for (const mood of ['error, status 429, retryAfter 120', 'lie 200', 'healthy']) changes.push(await customer.until((line) => line.type === 'customer.changed' && line.mood.replaceAll('_', ' ') === mood))
    expect(changes.map(({ seq }) => seq)).toEqual(changes.map(({ seq }) => seq).toSorted((a, b) => a - b))
    expect((await hook(customer.ready.url, 'evt_1')).status).toBe(204)
    await customer.stop()
  })

  it('a naive one has an effect for each request, and lies go before the mood', async () => {
    const customer = await stand([...quick, '--naive', '--lie', 'processed_then_500,times=1'])
    const { url } = customer.ready
    expect([(await hook(url, 'evt_1')).status, (await hook(url, 'evt_1')).status]).toEqual([500, 204])
    expect((await curl(`${url}/ledger`)).body.effects).toBe(2)
    await customer.stop()
  })

  it('a deferred one acknowledges to whom it was told to', async () => {
    const asked: { request: IncomingMessage; body: string }[] = []
    const sender = createServer((request, response) => {
      let body = ''
      request.on('data', (text: Buffer) => (body += text)).on('end', () => {
        asked.push({ request, body })
        response.writeHead(204).end()
      })
    }).listen(0, '127.0.0.1')
    await once(sender, 'listening')
    const customer = await stand([...quick, '--secret', SECRET, '--mood', 'deferred:20ms', '--acks', `http://127.0.0.1:${(sender.address() as AddressInfo).port}`])
    expect(await hook(customer.ready.url, 'evt_1')).toMatchObject({ status: 202, headers: { 'webhook-ack': 'deferred' } })
    expect(await customer.until((line) => line.type === 'customer.acked')).toMatchObject({ id: 'evt_1', attempt: 1, status: 204 })
    expect([asked[0]!.request.url, JSON.parse(asked[0]!.body)]).toEqual(['/v1/acks', { id: 'evt_1' }])
    expect(asked[0]!.request.headers['webhook-ack-signature']).toMatch(/^[\w+/]{43}=$/)
    await customer.stop()
    sender.close()
  })

  it('moods of bytes are the evil receiver, with the same ledger', async () => {
    const customer = await stand(['mock', 'customer', '--port', '0', '--secret', SECRET, '--mood', 'partial'])
    await expect(hook(customer.ready.url, 'evt_1')).rejects.toThrow(/end of response|transfer closed/)
    expect(await customer.until((line) => line.type === 'customer.received')).toMatchObject({ id: 'evt_1', status: 200, processed: true, mood: 'partial_body' })
    expect((await curl(`${customer.ready.url}/ledger`)).body.requests).toMatchObject([{ id: 'evt_1', signed: 'valid' }])
    expect(await customer.stop('SIGINT')).toMatchObject({ exit: 130, stderr: '' })
  })

  it('behind a certificate that nobody trusts it stands at https', async () => {
    const customer = await stand(['mock', 'customer', '--port', '0', '--mood', 'tls-self-signed'])
    expect(customer.ready.url).toMatch(/^https:/)
    await expect(hook(customer.ready.url, 'evt_1')).rejects.toThrow(/self[- ]signed/)
    await customer.stop()
  })
})

describe('what is refused with 2, one line and a hint', () => {
  it.each([
    ['a mood that nobody has', ['--mood', 'helthy'], '"helthy" is no mood of a customer; did you mean healthy?'],
    ['a mood without what it needs', ['--mood', 'error'], '"error" is not how this mood is written'],
    ['a length without its unit', ['--mood', 'slow:10'], '"slow:10" is not how this mood is written'],
    ['a status that is no error', ['--mood', 'error:200'], 'a status is from 400 to 599'],
    ['a header that would be two', ['--mood', 'error:429:retry-after=1\r\nx: y'], 'retryAfter is a line of plain text'],
    ['moods that follow nothing', ['--mood', 'down', '--mood', 'healthy'], '"down" holds for ever'],
    ['moods that no one receiver has', ['--mood', 'error:500,for=1s', '--mood', 'endless'], 'cannot be had by the receiver that has endless'],
    ['a lie of one that is evil in bytes', ['--mood', 'endless', '--lie', 'error_500'], '--lie means nothing'],
    ['a lie that it does not tell', ['--lie', 'rude'], 'customer knows no lie called rude'],
    ['a secret that is none', ['--secret', 'hunter2hunter2'], 'this is no secret of a webhook'],
    ['an address that is none', ['--acks', 'nowhere'], 'nowhere is no base URL'],
  ])('%s', async (_, args, why) => {
    const { exit, stdout, stderr } = await refused([...quick.slice(0, 4), ...args])
    expect({ exit, stdout, lines: stderr.split('\n').length - 1 }).toEqual({ exit: 2, stdout: '', lines: 1 })
    expect(stderr).toContain(why)
    expect(stderr).not.toContain('hunter2')
  })
})

describe('a mood on the command line', () => {
  it.each([
    ['healthy', { kind: 'healthy' }],
    ['slow:1.5s', { kind: 'slow', ms: 1500 }],
    ['down', { kind: 'down' }],
    ['flapping:30s:1m', { kind: 'flapping', upMs: 30_000, downMs: 60_000 }],
    ['error:500', { kind: 'error', status: 500 }],
    ['error:429:retry-after=Tue, 01 Jan 2030 00:02:00 GMT', { kind: 'error', status: 429, retryAfter: 'Tue, 01 Jan 2030 00:02:00 GMT' }],
    ['redirect:302:http://127.0.0.1:1/x', { kind: 'redirect', status: 302, location: 'http://127.0.0.1:1/x' }],
    ['redirect:300', { kind: 'redirect', status: 300 }],
    ['reset-after-body', { kind: 'reset_after_body', processes: true }],
    ['reset-after-body:processes=no', { kind: 'reset_after_body', processes: false }],
    ['lie-200', { kind: 'lie_200' }],
    ['receipt', { kind: 'receipt' }],
    ['forgetful:every=10', { kind: 'forgetful', every: 10 }],
    ['gone-for:ids=a+b:keys=c', { kind: 'gone_for', ids: ['a', 'b'], keys: ['c'] }],
    ['deferred:5s', { kind: 'deferred', ackMs: 5000 }],
    ['deferred:never', { kind: 'deferred', ackMs: 'never' }],
    ['reject-every:3', { kind: 'reject_every', every: 3 }],
  ])('%s', (text, mood) => {
    expect(readMoods([text])).toEqual({ evil: false, stages: [{ mood, forMs: Infinity }] })
  })

  it.each([
    ['flood-1xx', { kind: 'flood_1xx', ms: 10 }],
    ['slowloris-head:5ms', { kind: 'slowloris_head', ms: 5 }],
    ['slowloris-body', { kind: 'slowloris_body', ms: 1000 }],
    ['idle-close', { kind: 'idle_close', ms: 20 }],
    ['huge-headers:5', { kind: 'huge_headers', bytes: 5 }],
    ...Object.entries({ refuse: 'refuse', endless: 'endless_body', partial: 'partial_body', 'partial-head': 'partial_head', 'gzip-bomb': 'gzip_bomb', garbage: 'garbage', ansi: 'ansi', 'tls-expired': 'tls_expired', 'tls-self-signed': 'tls_self_signed', 'tls-wrong-host': 'tls_wrong_host', 'tls-1-0': 'tls_1_0', 'tls-hang': 'tls_hang' }).map(([text, kind]) => [text, { kind }] as [string, object]),
  ])('%s, of bytes', (text, mood) => {
    expect(readMoods([`${text},for=2s`, 'healthy'])).toEqual({ evil: true, stages: [{ mood, forMs: 2000 }, { mood: { kind: 'healthy' }, forMs: Infinity }] })
  })

  it.each(['', ':', 'healthy:1', 'slow:', 'slow:0s', 'slow:1s:2s', 'flapping:1s', 'error:5xx', 'error:500:later', 'redirect', 'forgetful', 'gone-for:some=1', 'deferred', 'deferred:soon', 'reject-every:x', 'reset-after-body:maybe', 'huge-headers:0', 'healthy,for=', 'healthy,for=0s', 'constructor', 'healthy,for=1s,for=2s'])('%j is none', (text) => {
    expect(() => readMoods([text])).toThrow(expect.objectContaining({ code: 'BAD_MOOD' }))
  })

  it('docs/customer.md has every one of them, written as it is read', () => {
    const text = readFileSync(new URL('../../docs/customer.md', import.meta.url), 'utf8')
    const rows = text.slice(text.indexOf('## Moods')).split('\n').filter((line) => line.startsWith('| `') && !line.startsWith('| `--mood`'))
    const written = rows.flatMap((row) => [...row.split('|')[1]!.matchAll(/`([^`]+)`/g)].map((match) => match[1]!)).filter((word) => !word.endsWith('='))
    for (const mood of written) expect(() => readMoods([mood]), mood).not.toThrow()
    expect(moodNames.filter((name) => !written.some((mood) => mood.split(':')[0] === name))).toEqual([])
  })
})
