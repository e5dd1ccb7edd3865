import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SystemClock } from '../../src/clock.ts'
import { serveHttp } from '../../src/http-server.ts'
import { json, parseJson } from '../../src/network.ts'
import type { HttpResponse } from '../../src/network.ts'
import { resil } from './cli.ts'
import type { Around, Standing } from './standing.ts'
import { curl, folder, killAll, openAround, order, removeFolders, stand } from './standing.ts'

let around: Around
let service: Standing
let db: string

beforeAll(async () => {
  around = await openAround()
  db = join(folder(), 'payments.db')
  service = await stand(['pay', 'serve', '--port', '0', '--db', db, ...around.flags])
})

afterAll(async () => {
  killAll()
  await around.close()
  removeFolders()
})

/** Pays with curl; `key` undefined sends no header. */
function pay(body: string, key?: string, more: string[] = [], url = service.ready.url) {
  return curl(`${url}/v1/payments`, [...(key === undefined ? [] : ['-H', `Idempotency-Key: ${key}`]), '-H', 'Content-Type: application/json', '--data-raw', body, ...more])
}

describe('keys', () => {
  it('the same key again gets the same answer, marked as replayed, and nothing is charged twice', async () => {
    const first = await pay(order('twice'), 'key-twice')
    const second = await pay(order('twice'), 'key-twice')
    expect(first).toMatchObject({ status: 201, body: { charge_state: 'charged', safe_new_key: false } })
    expect(first.headers).not.toHaveProperty('idempotent-replayed')
    expect(second).toMatchObject({ status: 201, text: first.text, headers: { 'idempotent-replayed': 'true', location: `/v1/payments/${first.body.payment_id}` } })
    expect(around.charges(first.body.payment_id)).toHaveLength(1)
  })

  it('E95 no key: 400, and nothing reaches the bank', async () => {
    const before = around.events.length
    expect(await pay(order('keyless'))).toMatchObject({ status: 400, body: { charge_state: 'none', safe_new_key: true } })
    expect(around.events.length).toBe(before)
  })

  it.each([
    ['an empty one', ['-H', 'Idempotency-Key;']],
    ['two quotes around nothing', ['-H', 'Idempotency-Key: ""']],
    ['300 characters', ['-H', `Idempotency-Key: ${'k'.repeat(300)}`]],
    ['256 characters', ['-H', `Idempotency-Key: ${'k'.repeat(256)}`]],
    ['a comma', ['-H', 'Idempotency-Key: a,b']],
    ['a blank inside', ['-H', 'Idempotency-Key: a b']],
    ['a tab inside', ['-H', 'Idempotency-Key: a\tb']],
    ['two headers', ['-H', 'Idempotency-Key: a', '-H', 'Idempotency-Key: b']],
    ['two equal headers', ['-H', 'Idempotency-Key: a', '-H', 'idempotency-key: a']],
  ])('E96 %s is no key: 400', async (_, headers) => {
    expect(await pay(order('malformed-key'), undefined, headers)).toMatchObject({ status: 400, body: { title: 'The Idempotency-Key is missing or malformed', charge_state: 'none' } })
  })

  it('E96 255 characters are a key', async () => {
    expect(await pay(order('long-key'), 'k'.repeat(255))).toMatchObject({ status: 201 })
  })

  it('E97 same key, other body: 422, and neither the first payment nor the bank is touched', async () => {
    const first = await pay(order('reused'), 'key-reused')
    const other = await pay(order('reused', { amount: 1 }), 'key-reused')
    expect(other).toMatchObject({ status: 422, body: { title: 'The key was used before with another request', charge_state: 'none' } })
    expect(other.text).not.toContain(first.body.payment_id)
    expect(around.charges(first.body.payment_id)).toMatchObject([{ amount: 9900 }])
  })

  it('E98 the same key of another tenant is another payment, and neither sees the other', async () => {
    const [one, two] = await Promise.all(['one', 'two'].map((tenant) => pay(order('tenants'), 'key-tenants', ['-H', `Authorization: Bearer ${tenant}`])))
    expect([one!.status, two!.status]).toEqual([201, 201])
    expect(one!.body.payment_id).not.toBe(two!.body.payment_id)
    const url = `${service.ready.url}/v1/payments/${one!.body.payment_id}`
    expect(await curl(url, ['-H', 'Authorization: Bearer one'])).toMatchObject({ status: 200 })
    expect(await curl(url, ['-H', 'Authorization: Bearer two'])).toMatchObject({ status: 404 })
    expect(await curl(url)).toMatchObject({ status: 404 })
  })

  it('E99 fifty at once with one key: one charge, and every answer is that one or 409', async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => fetch(`${service.ready.url}/v1/payments`, { method: 'POST', headers: { 'idempotency-key': 'key-fifty' }, body: order('fifty') })))
    const told = await Promise.all(answers.map(async (answer) => ({ status: answer.status, text: await answer.text() })))
    expect(told.filter(({ status }) => status !== 201 && status !== 409)).toEqual([])
    const charged = told.filter(({ status }) => status === 201)
    expect(new Set(charged.map(({ text }) => text)).size).toBe(1)
    expect(around.charges(JSON.parse(charged[0]!.text).payment_id)).toHaveLength(1)
  })

  it('E100 after the stored answer has expired the key still stands: 409 with the state, and no second charge', async () => {
    const own = join(folder(), 'payments.db')
    const before = await stand(['pay', 'serve', '--port', '0', '--db', own, ...around.flags])
    const { body } = await pay(order('expired'), 'key-expired', [], before.ready.url)
    await before.stop()
    const file = new Database(own)
    file.prepare('UPDATE payments SET finished_at = finished_at - 25 * 3600000').run()
    file.close()
    const after = await stand(['pay', 'serve', '--port', '0', '--db', own, ...around.flags])
    expect(await pay(order('expired'), 'key-expired', [], after.ready.url)).toMatchObject({ status: 409, body: { title: 'The stored answer has expired; the key has not', payment_id: body.payment_id, charge_state: 'charged', safe_new_key: false } })
    expect(around.charges(body.payment_id)).toHaveLength(1)
    await after.stop()
  })

  it.each([['composed', 'caf\u00e9'], ['decomposed', 'cafe\u0301']])('E104 a key that is not ASCII is refused, so two that look alike never meet: %s', async (_, key) => {
    expect(await pay(order('unicode-key'), key)).toMatchObject({ status: 400 })
  })

  it('E104 order names that look alike but differ in their bytes are two orders', async () => {
    const [one, two] = [await pay(order('caf\u00e9'), 'key-nfc'), await pay(order('cafe\u0301'), 'key-nfd')]
    expect([one.status, two.status]).toEqual([201, 201])
    expect([one.body.order, two.body.order]).toEqual(['caf\u00e9', 'cafe\u0301'])
  })
})

describe('bodies', () => {
  it.each([
    ['0', '#/amount'],
    ['-1', '#/amount'],
    ['1.5', '#/amount'],
    ['99.999', '#/amount'],
    ['"99"', '#/amount'],
    ['1e21', '#/amount'],
    ['1e400', '#/amount'],
    ['9007199254740992', '#/amount'],
    ['null', '#/amount'],
    ['[9900]', '#/amount'],
  ])('E101 an amount of %s: 422 with a pointer to it', async (amount, pointer) => {
    const answer = await pay(order('amount').replace('9900', amount), `key-amount-${amount.replaceAll(/\W/g, '_')}`)
    expect(answer.status).toBe(422)
    expect(answer.body.errors.map((error: { pointer: string }) => error.pointer)).toContain(pointer)
  })

  it.each(['usd', 'XXX', 'US', '💸', ''])('E101 the currency "%s": 422 with a pointer to it', async (currency) => {
    expect(await pay(order('currency', { currency }), 'key-currency')).toMatchObject({ status: 422, body: { errors: [{ pointer: '#/currency' }] } })
  })

  it.each([['NaN', order('nan').replace('9900', 'NaN')], ['Infinity', order('nan').replace('9900', 'Infinity')], ['no JSON', 'amount=9900'], ['nothing', ''], ['half of it', '{"amount":99']])('E101 a body that is not JSON: 400 (%s)', async (_, body) => {
    expect(await pay(body, 'key-json')).toMatchObject({ status: 400, body: { title: 'The body is not JSON' } })
  })

  it('a request that was refused can be mended under the same key', async () => {
    expect(await pay(order('mended', { amount: 0 }), 'key-mended')).toMatchObject({ status: 422 })
    expect(await pay(order('mended'), 'key-mended')).toMatchObject({ status: 201 })
  })

  it('E102 SQL in a text is text: stored and told word for word', async () => {
    const hostile = `' or 1=1-- "; DROP TABLE payments; \u0000 %s`
    const paid = await pay(order(hostile, { description: hostile }), `'or'1'='1'--`)
    expect(paid).toMatchObject({ status: 201, body: { order: hostile } })
    const found = await curl(`${service.ready.url}/v1/payments?order=${encodeURIComponent(hostile)}`)
    expect(found.body.payments).toMatchObject([{ payment_id: paid.body.payment_id, order: hostile }])
    const file = new Database(db, { readonly: true })
    expect(file.prepare('SELECT order_ref, description, key FROM payments WHERE id = ?').get(paid.body.payment_id)).toEqual({ order_ref: hostile, description: hostile, key: `'or'1'='1'--` })
    file.close()
  })

  it('E103 a body of 15 MB: 413, and the next request is served', async () => {
    const file = join(folder(), 'large.json')
    writeFileSync(file, order('large', { description: 'x'.repeat(15_000_000) }))
    const large = ['-H', 'Idempotency-Key: key-large', '-H', 'Expect:', '--data-binary', `@${file}`]
    expect(await curl(`${service.ready.url}/v1/payments`, large)).toMatchObject({ status: 413 })
    expect(await curl(`${service.ready.url}/v1/payments`, [...large, '-H', 'Transfer-Encoding: chunked'])).toMatchObject({ status: 413 })
    expect(await curl(`${service.ready.url}/healthz`)).toMatchObject({ status: 200, body: { ok: true } })
  })

  it('E105 half a surrogate pair: 422 as an escape, 400 as bytes; never stored as something else', async () => {
    expect(await pay(order('x').replace('"x"', '"\\ud800"'), 'key-surrogate')).toMatchObject({ status: 422, body: { errors: [{ pointer: '#/order' }] } })
    const file = join(folder(), 'bytes')
    writeFileSync(file, Buffer.concat([Buffer.from('{"amount":9900,"currency":"USD","card":"tok_visa","order":"'), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from('"}')]))
    expect(await curl(`${service.ready.url}/v1/payments`, ['-H', 'Idempotency-Key: key-surrogate', '--data-binary', `@${file}`])).toMatchObject({ status: 400 })
  })

  it.each(['DELETE', 'PUT', 'PATCH'])('%s is not allowed, and unknown paths are not there', async (method) => {
    expect(await curl(`${service.ready.url}/v1/payments`, ['-X', method])).toMatchObject({ status: 405 })
    expect(await curl(`${service.ready.url}/v1/payments/..%2f..%2fetc`, ['-X', method])).toMatchObject({ status: 404 })
  })
})

describe('E107 a bank whose 200 cannot be believed', () => {
  const clock = new SystemClock()
  const lying: [string, (asked: any) => HttpResponse, string][] = [
    ['a page of HTML', () => ({ status: 200, headers: {}, body: '<p>sign in</p>' }), 'unknown'],
    ['an empty object', () => json(200, {}), 'unknown'],
    ['still pending', (asked) => json(200, { ...asked, id: 'ch_1', status: 'pending' }), 'unknown'],
    ['another amount', (asked) => json(200, { ...asked, id: 'ch_1', status: 'succeeded', amount: asked.amount * 100 }), 'review'],
    ['another currency', (asked) => json(200, { ...asked, id: 'ch_1', status: 'succeeded', currency: 'EUR' }), 'review'],
    ['another reference', (asked) => json(200, { ...asked, id: 'ch_1', status: 'succeeded', reference: 'pay_other' }), 'review'],
  ]

  it('is never taken for a success, and the client is told not to pay again', async () => {
    let n = 0
    const bank = await serveHttp(async (request) => (request.method === 'POST' ? lying[n]![1](parseJson(request.body)) : json(503, {})), { clock })
    const doubting = await stand(['pay', 'serve', '--port', '0', '--deadline', '2s', '--db', join(folder(), 'payments.db'), ...around.flags.with(around.flags.indexOf('--bank') + 1, bank.url)])
    for (; n < lying.length; n++) {
      const [what, , state] = lying[n]!
      // The bank's look-up tells nothing, so that an unknown payment answers when the deadline is near.
      const answer = await pay(order(`doubtful-${n}`), `key-doubtful-${n}`, [], doubting.ready.url)
      expect({ what, status: answer.status, body: answer.body }).toMatchObject({ what, status: 202, body: { state, charge_state: 'unknown', safe_new_key: false } })
    }
    await doubting.stop()
    await bank.close(0)
  })
})

describe('ends and beginnings', () => {
  /** Resolves when the bank has read the next charge request. */
  const bankAsked = () => around.log.until((event) => event.type === 'bank.received' && event['ask'] === 'charge')

  it('SIGTERM answers what is in flight, takes nothing new, and ends with 0', async () => {
    const own = join(folder(), 'payments.db')
    const draining = await stand(['pay', 'serve', '--port', '0', '--db', own, ...around.flags])
    around.mocks.bank.lie({ kind: 'late_answer', times: 1, after: 0, ms: 1000 })
    const asked = bankAsked()
    const answer = pay(order('drained'), 'key-drained', [], draining.ready.url)
    await asked
    const ended = draining.stop('SIGTERM')
    expect(await answer).toMatchObject({ status: 201, headers: { connection: 'close' } })
    const { exit, stderr, lines } = await ended
    expect({ exit, stderr, last: lines.at(-1) }).toEqual({ exit: 0, stderr: '', last: { type: 'stopped', ok: true } })
    await expect(fetch(draining.ready.url)).rejects.toThrow()
    expect(resil(['pay', 'list', '--db', own, '--json']).json()).toMatchObject([{ state: 'succeeded', order: 'drained' }, { ok: true, count: 1 }])
  })

  it('SIGINT drains too, and ends with 130', async () => {
    const idle = await stand(['pay', 'serve', '--port', '0', '--db', join(folder(), 'payments.db'), ...around.flags])
    expect(await idle.stop('SIGINT')).toMatchObject({ exit: 130, stderr: '' })
  })

  it('kill -9 while the bank is charging, then a restart: one charge, and the same key is told the truth', async () => {
    const own = join(folder(), 'payments.db')
    const first = await stand(['pay', 'serve', '--port', '0', '--db', own, '--node', 'only', ...around.flags])
    around.mocks.bank.lie({ kind: 'late_answer', times: 1, after: 0, ms: 1500 })
    const asked = bankAsked()
    const answer = pay(order('killed'), 'key-killed', [], first.ready.url).catch((error: unknown) => error)
    const { reference } = (await asked) as { reference?: string }
    await first.stop('SIGKILL')
    expect(await answer).toBeInstanceOf(Error)
    expect(around.charges(reference!)).toHaveLength(0)
    // Beside a database whose writer died: the operator can look.
    expect(resil(['pay', 'list', '--db', own, '--json']).json()[0]).toMatchObject({ id: reference, state: 'sent' })

    const second = await stand(['pay', 'serve', '--port', '0', '--db', own, '--node', 'only', ...around.flags])
    const retried = await pay(order('killed'), 'key-killed', [], second.ready.url)
    expect([201, 202, 409]).toContain(retried.status)
    await second.until((line) => line.type === 'payment.moved' && line.to === 'succeeded')
    expect(await pay(order('killed'), 'key-killed', [], second.ready.url)).toMatchObject({ status: 201, body: { payment_id: reference, charge_state: 'charged' }, headers: { 'idempotent-replayed': 'true' } })
    expect(around.charges(reference!)).toHaveLength(1)
    await second.stop()
  })

  it('a bank that refuses connections: 503, not charged; the same key pays when it is back', async () => {
    const away = await serveHttp(async () => json(200, {}), { clock: new SystemClock() })
    await away.close(0)
    const own = join(folder(), 'payments.db')
    const before = await stand(['pay', 'serve', '--port', '0', '--db', own, ...around.flags.with(around.flags.indexOf('--bank') + 1, away.url)])
    expect(await pay(order('away'), 'key-away', [], before.ready.url)).toMatchObject({ status: 503, body: { charge_state: 'none', safe_new_key: true }, headers: { 'retry-after': '1' } })
    await before.stop()
    const after = await stand(['pay', 'serve', '--port', '0', '--db', own, ...around.flags])
    expect(await pay(order('away'), 'key-away', [], after.ready.url)).toMatchObject({ status: 201 })
    await after.stop()
  })

  it('a reader that leaves ends it quietly', async () => {
    const left = await stand(['pay', 'serve', '--port', '0', '--db', join(folder(), 'payments.db'), ...around.flags])
    left.child.stdout!.destroy()
    await Promise.race([once(left.child, 'exit'), ...Array.from({ length: 3 }, (_, n) => pay(order(`left-${n}`), `key-left-${n}`, [], left.ready.url).then(() => once(left.child, 'exit'), () => once(left.child, 'exit')))])
    expect(await left.ended).toMatchObject({ exit: 0, stderr: '' })
  })
})

describe('the operator looks, while the service runs', () => {
  it('pay list shows the newest first, filters by state, and says when there are more', async () => {
    const paid = await pay(order('listed'), 'key-listed')
    const declined = await pay(order('listed-declined', { card: 'tok_chargeDeclined' }), 'key-listed-declined')
    expect(declined.status).toBe(402)
    const all = resil(['pay', 'list', '--db', db, '--limit', '2', '--json']).json()
    expect(all).toMatchObject([{ id: declined.body.payment_id, state: 'declined' }, { id: paid.body.payment_id, state: 'succeeded' }, { ok: true, count: 2, more: true }])
    expect(resil(['pay', 'list', '--db', db, '--state', 'declined', '--quiet']).stdout.split('\n')).toContain(declined.body.payment_id)
    expect(resil(['pay', 'list', '--db', db, '--state', 'succeeded', '--quiet']).stdout.split('\n')).not.toContain(declined.body.payment_id)
    expect(resil(['pay', 'list', '--db', db]).stdout).toMatch(/declined +\$99\.00 +listed-declined +1 +generic_decline\n/)
  })

  it('pay status tells one payment in order of time, without a card number', async () => {
    const { body } = await pay(order('told', { card: '4242424242424242' }), 'key-told')
    await service.until((line) => line.type === 'hop.ended' && line.hop === 'notify' && line.payment === body.payment_id)
    const { json: lines, stdout } = resil(['pay', 'status', body.payment_id, '--db', db, '--json'])
    const facts = lines()
    expect(facts.slice(0, -1).map(({ fact }) => fact).filter((fact) => !fact.startsWith('notification'))).toEqual(['payment.claimed', 'bank.asked', 'bank.answered', 'ledger.appended', 'ledger.appended', 'payment.finished'])
    expect(facts.at(-1)).toMatchObject({ ok: true, payment: { id: body.payment_id, state: 'succeeded', amount: 9900 }, means: 'charged, once' })
    expect(facts.slice(0, -1).map(({ at }) => at)).toEqual(facts.slice(0, -1).map(({ at }) => at).toSorted((a, b) => a - b))
    expect(stdout).not.toContain('4242424242424242')
    const text = resil(['pay', 'status', body.payment_id, '--db', db]).stdout
    expect(text).toMatch(/ledger +entry \d+: customer:told -\$99\.00\n/)
    expect(text).toContain(`${body.payment_id} is succeeded: charged, once\n`)
  })

  it('an id that does not exist: 2, with the payment that was meant', async () => {
    const { body } = await pay(order('near'), 'key-near')
    for (const word of ['near', 'key-near', body.payment_id.slice(0, 12)]) {
      expect(resil(['pay', 'status', word, '--db', db])).toMatchObject({ exit: 2, stdout: '', stderr: `resil: ${db} holds no payment ${word}; did you mean ${body.payment_id}?\n` })
    }
    expect(resil(['pay', 'status', 'pay_none', '--db', db])).toMatchObject({ exit: 2, stderr: expect.stringContaining('resil pay list shows') })
    expect(resil(['pay', 'status', '--db', db])).toMatchObject({ exit: 2, stderr: expect.stringContaining('missing ID') })
  })

  it('--state of no state is refused with the states', () => {
    expect(resil(['pay', 'list', '--db', db, '--state', 'sucseeded'])).toMatchObject({ exit: 2, stderr: expect.stringContaining('did you mean succeeded?') })
  })
})
