/** What operators do, beside a service that runs on the same file and after it has ended. */
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parsePrometheus } from '../engines/payment/prometheus.ts'
import { start } from './cli.ts'
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

/** Beside the mocks, which stand in this process and must be able to answer. */
const resil = (args: readonly string[]) => start('bin/run.js', args).ended

const pay = (name: string, fields: object = {}) => curl(`${service.ready.url}/v1/payments`, ['-H', `Idempotency-Key: key-${name}`, '-H', 'Content-Type: application/json', '--data-raw', order(name, fields)])

/** One that the bank has charged under another amount than it says: it rests in review. */
async function inReview(name: string): Promise<string> {
  around.mocks.bank.lie({ kind: 'wrong_amount', times: 1, after: 0, ms: 0 })
  const { body } = await pay(name)
  expect(body).toMatchObject({ state: 'review' })
  return body.payment_id
}

const chargeOf = (payment: string): string => String(around.charges(payment)[0]!['charge'])

/** What the file says, through a connection that only reads. */
function rows(sql: string, ...params: unknown[]): any[] {
  const file = new Database(db, { readonly: true })
  try {
    return file.prepare(sql).all(...params)
  } finally {
    file.close()
  }
}

const deed = ['--by', 'maria', '--why', 'seen at the bank']

describe('resolve', () => {
  it('as charged: booked, told to the customer by the service that runs, and the same key is answered 201', async () => {
    const id = await inReview('resolved')
    const { exit, stdout, stderr } = await resil(['pay', 'resolve', id, '--as', 'charged', '--charge', chargeOf(id), ...deed, '--db', db])
    expect({ exit, stdout, stderr }).toEqual({ exit: 0, stderr: '', stdout: `${id} is succeeded, $99.00 for resolved, charged by ${chargeOf(id)}: booked, and the customer is told\n` })
    await service.until((line) => line.type === 'hop.ended' && line.hop === 'notify' && line.payment === id && line.outcome === 'ok')
    expect(await pay('resolved')).toMatchObject({ status: 201, body: { payment_id: id, charge_state: 'charged', charge: chargeOf(id) } })
    expect(around.charges(id)).toHaveLength(1)
    const facts = (await resil(['pay', 'status', id, '--db', db, '--json'])).json()
    expect(facts).toContainEqual(expect.objectContaining({ fact: 'operator.acted', who: 'maria', what: 'resolve as charged', why: 'seen at the bank' }))
    expect(facts.filter(({ fact }) => fact === 'ledger.appended')).toHaveLength(2)
    expect((await resil(['pay', 'status', id, '--db', db])).stdout).toMatch(/operator +maria: resolve as charged: seen at the bank\n/)
    expect((await resil(['pay', 'ledger', '--verify', '--db', db])).exit).toBe(0)
  })

  it('as not charged: the order may be paid again', async () => {
    const id = await inReview('given-up')
    expect((await resil(['pay', 'resolve', id, '--as', 'not-charged', ...deed, '--db', db, '--json'])).json()).toEqual([{ ok: true, payment: id, state: 'voided', charge: null, by: 'maria', why: 'seen at the bank' }])
    const again = await curl(`${service.ready.url}/v1/payments`, ['-H', 'Idempotency-Key: key-given-up-2', '--data-raw', order('given-up')])
    expect(again).toMatchObject({ status: 201 })
  })

  it.each([
    ['a payment that is not in doubt', async () => (await pay('not-in-doubt')).body.payment_id as string, ['--as', 'not-charged'], 'is succeeded; nobody has to decide about it'],
    ['a payment that there is not', async () => 'pay_none', ['--as', 'not-charged'], 'there is no payment pay_none'],
    ['charged without a charge', async () => 'pay_none', ['--as', 'charged'], '--as charged needs the charge'],
    ['not charged with a charge', async () => 'pay_none', ['--as', 'not-charged', '--charge', 'ch_1'], '--charge says that there is one'],
  ])('refuses %s: 2, in one line, and nothing is written', async (_, id, flags, why) => {
    const before = rows('SELECT COUNT(*) AS n FROM audits')
    const refused = await resil(['pay', 'resolve', await id(), ...flags, ...deed, '--db', db])
    expect(refused).toMatchObject({ exit: 2, stdout: '', stderr: expect.stringContaining(why) })
    expect(refused.stderr.trimEnd().split('\n')).toHaveLength(1)
    expect(rows('SELECT COUNT(*) AS n FROM audits')).toEqual(before)
  })

  it('asks who and why, and shows what would move a terminal', async () => {
    const id = await inReview('audited')
    expect(await resil(['pay', 'resolve', id, '--as', 'not-charged', '--by', 'maria', '--db', db])).toMatchObject({ exit: 2, stderr: expect.stringContaining('flag why') })
    expect(await resil(['pay', 'resolve', id, '--as', 'not-charged', '--by', ' ', '--why', 'x', '--db', db])).toMatchObject({ exit: 2, stderr: expect.stringContaining('--by') })
    expect((await resil(['pay', 'resolve', id, '--as', 'not-charged', '--by', 'maria', '--why', 'red \u001b[31m', '--db', db])).exit).toBe(0)
    expect((await resil(['pay', 'status', id, '--db', db])).stdout).toContain('red \\e[31m')
  })
})

describe('ledger', () => {
  it('shows entries in their order, of all or of one payment, and that they are whole', async () => {
    const { body } = await pay('entered')
    const shown = (await resil(['pay', 'ledger', '--db', db, '--payment', body.payment_id, '--json'])).json()
    expect(shown).toMatchObject([{ account: 'customer:entered', amount: -9900 }, { account: 'merchant', amount: 9900 }, { ok: true, count: 2 }])
    expect(shown[1].seq).toBe(shown[0].seq + 1)
    expect((await resil(['pay', 'ledger', '--db', db, '--limit', '2'])).stdout).toMatch(/entry +appended +payment +amount +account +hash\n/)
    const total = rows('SELECT MAX(seq) AS n FROM ledger')[0].n
    expect((await resil(['pay', 'ledger', '--db', db, '--verify'])).stdout).toContain(`the ledger is whole: ${total} entries, every currency sums to zero; the anchor beside the file is in it\n`)
  })
})

describe('breaker', () => {
  const list = async () => (await resil(['pay', 'breaker', 'list', '--db', db, '--json'])).json()

  it('forced open while the service runs: not charged, and the bank is not asked; closed, it pays again', async () => {
    expect(await resil(['pay', 'breaker', 'force-open', 'bank', ...deed, '--db', db])).toMatchObject({ exit: 0, stderr: '', stdout: 'bank is forced open: no call goes through until resil pay breaker close\n' })
    await service.until((line) => line.type === 'breaker.forced_open' && line.service === 'bank')
    expect(await list()).toContainEqual(expect.objectContaining({ name: 'bank', state: 'forced-open', forced: 'open', deed: expect.objectContaining({ who: 'maria', why: 'seen at the bank' }) }))
    expect((await resil(['pay', 'breaker', 'list', '--db', db])).stdout).toMatch(/bank +forced-open +\d{4}-\S+Z +by hand: no call goes through until it is closed by hand \(maria: seen at the bank\)\n/)
    const before = around.events.filter((event) => event.type === 'bank.received').length
    expect(await pay('forced')).toMatchObject({ status: 503, body: { charge_state: 'none' } })
    expect(around.events.filter((event) => event.type === 'bank.received')).toHaveLength(before)

    expect((await resil(['pay', 'breaker', 'close', 'bank', ...deed, '--db', db])).stdout).toBe('bank is closed, and judges by itself again\n')
    await service.until((line) => line.type === 'breaker.closed' && line.service === 'bank')
    expect(await pay('forced')).toMatchObject({ status: 201 })
    expect(await list()).toContainEqual(expect.objectContaining({ name: 'bank', state: 'closed', forced: null }))
  })

  it.each([['disable', 'disabled', 'breaker.disabled'], ['metrics-only', 'metrics-only', 'breaker.observed_only']])('%s is heeded by the service that runs', async (verb, state, event) => {
    expect((await resil(['pay', 'breaker', verb, 'fraud', ...deed, '--db', db])).exit).toBe(0)
    await service.until((line) => line.type === event && line.service === 'fraud')
    expect(await list()).toContainEqual(expect.objectContaining({ name: 'fraud', state }))
    expect((await resil(['pay', 'breaker', 'close', 'fraud', ...deed, '--db', db])).exit).toBe(0)
  })

  it('lists those that have never moved, and refuses a name that no service has', async () => {
    expect(await list()).toContainEqual({ name: 'notification', state: 'closed', since: null, untilAt: null, forced: null, deed: null, means: expect.any(String) })
    expect(await resil(['pay', 'breaker', 'force-open', 'bnak', ...deed, '--db', db])).toMatchObject({ exit: 2, stdout: '', stderr: 'resil: there is no breaker bnak; resil pay breaker list shows those that there are\n' })
  })
})

it('/metrics of the running service can be read by a strict reader, and knows what was done beside it', async () => {
  const id = await inReview('scraped')
  await resil(['pay', 'resolve', id, '--as', 'not-charged', ...deed, '--db', db])
  const answer = await curl(`${service.ready.url}/metrics`)
  expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8')
  const samples = parsePrometheus(answer.text)
  const resolved = rows("SELECT COUNT(*) AS n FROM audits WHERE what = 'resolve as not-charged'")[0].n
  expect(samples).toContainEqual({ name: 'resil_payments_resolved_total', labels: { to: 'voided', source: 'operator' }, value: resolved })
  expect(samples).toContainEqual({ name: 'resil_told_truth_mismatches_total', labels: { source: 'reconciliation' }, value: 0 })
})

describe('status', () => {
  it('tells refunds and what was cancelled', async () => {
    const { body } = await pay('refunded')
    const refund = await curl(`${service.ready.url}/v1/payments/${body.payment_id}/refunds`, ['-H', 'Idempotency-Key: key-refund', '--data-raw', '{"amount":500}'])
    expect(refund.status).toBe(201)
    const facts = (await resil(['pay', 'status', body.payment_id, '--db', db, '--json'])).json()
    expect(facts).toContainEqual(expect.objectContaining({ fact: 'refund.asked', id: refund.body.refund_id, amount: 500, currency: 'USD' }))
    expect(facts).toContainEqual(expect.objectContaining({ fact: 'refund.rested', id: refund.body.refund_id, state: 'succeeded' }))
    expect((await resil(['pay', 'status', body.payment_id, '--db', db])).stdout).toMatch(/refund +\S+: \$5\.00 are to go back, key key-refund\n/)
  })
})
