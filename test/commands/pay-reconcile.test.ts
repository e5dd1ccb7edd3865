/** What is found when a file is compared: with the bank's listing, and with itself. */
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SystemClock } from '../../src/clock.ts'
import { parseMoment } from '../../src/commands/flags.ts'
import { serveHttp } from '../../src/http-server.ts'
import { json } from '../../src/network.ts'
import { start } from './cli.ts'
import type { Around } from './standing.ts'
import { curl, folder, killAll, openAround, order, removeFolders, stand } from './standing.ts'

let around: Around

beforeAll(async () => {
  around = await openAround()
})

afterAll(async () => {
  killAll()
  await around.close()
  removeFolders()
})

/** Beside the mocks, which stand in this process and must be able to answer. */
const resil = (args: readonly string[]) => start('bin/run.js', args).ended

const chargeOf = (payment: string): string => String(around.charges(payment)[0]!['charge'])

/** The file of a service that has ended. */
async function settled(): Promise<string> {
  const own = join(folder(), 'payments.db')
  await (await stand(['pay', 'serve', '--port', '0', '--db', own, ...around.flags])).stop()
  return own
}

describe('reconcile', () => {
  it('no difference: 0, beside the running service', async () => {
    const own = join(folder(), 'payments.db')
    const other = await stand(['pay', 'serve', '--port', '0', '--db', own, ...around.flags])
    const since = new Date().toISOString()
    const paid = await curl(`${other.ready.url}/v1/payments`, ['-H', 'Idempotency-Key: key-agreed', '--data-raw', order('agreed')])
    expect(paid.status).toBe(201)
    const until = new Date(Date.now() + 1000).toISOString()
    const compared = await resil(['pay', 'reconcile', '--db', own, ...around.flags.slice(2, 4), '--since', since, '--until', until])
    expect(compared).toMatchObject({ exit: 0, stderr: '', stdout: `no difference: 1 charge of the bank and 1 payment from ${since} to ${until}\n` })
    await other.stop()
  })

  it('tells what differs, what it means and what to do: 1; keeps it once; and moves nothing', async () => {
    const own = join(folder(), 'payments.db')
    const other = await stand(['pay', 'serve', '--port', '0', '--db', own, ...around.flags])
    const since = new Date().toISOString()
    const ids: string[] = []
    for (const name of ['forgotten', 'denied', 'lost']) ids.push((await curl(`${other.ready.url}/v1/payments`, ['-H', `Idempotency-Key: key-${name}`, '--data-raw', order(`differs-${name}`)])).body.payment_id)
    await other.stop()
    const [forgotten, denied] = ids as [string, string, string]
    // As after a restored backup, and a bug: one row is gone, and one says the opposite.
    const file = new Database(own)
    file.prepare('DELETE FROM payments WHERE id = ?').run(forgotten)
    file.prepare("UPDATE payments SET state = 'declined' WHERE id = ?").run(denied)
    file.prepare("INSERT INTO payments SELECT 'pay_invented', scope, 'key-invented', fingerprint, 'invented', amount, currency, card, description, state, epoch, owner_node, owner_life, bank_key, attempts, first_sent_at, sent_at, 'ch_none', reason, answer_status, answer_body, finished_at, created_at, updated_at, acquirer, two_step, doubts, cancelled_at, queue_until, due_at, retry_ms, email FROM payments WHERE id = ?").run(ids[2]!)
    file.close()
    const flags = ['pay', 'reconcile', '--db', own, ...around.flags.slice(2, 4), '--since', since, '--until', new Date(Date.now() + 1000).toISOString()]
    const first = await resil([...flags, '--json'])
    expect(first.exit).toBe(1)
    const found = first.json()
    expect(found.slice(0, -1)).toHaveLength(3)
    expect(found).toContainEqual(expect.objectContaining({ kind: 'orphan', reference: forgotten, charge: chargeOf(forgotten), amount: 9900, currency: 'USD' }))
    expect(found).toContainEqual(expect.objectContaining({ kind: 'charged-here-not', reference: denied, state: 'declined' }))
    expect(found).toContainEqual(expect.objectContaining({ kind: 'missing-there', reference: 'pay_invented', charge: 'ch_none' }))
    expect(found.at(-1)).toMatchObject({ ok: false, differences: 3, more: false })

    const again = await resil(flags)
    expect(again).toMatchObject({ exit: 1, stderr: '' })
    expect(again.stdout).toContain(`charged-here-not: the bank charged ${denied} (${chargeOf(denied)}), and the client was told that it is declined\n  refund it at the bank`)
    const told = (await resil(['pay', 'status', denied, '--db', own, '--json'])).json()
    expect(told.filter(({ fact }) => fact === 'reconciliation.differed')).toMatchObject([{ kind: 'charged-here-not' }])
    expect(told.at(-1)).toMatchObject({ payment: { state: 'declined' } })
  })

  it('a bank that cannot be asked, or lists nothing: 3, and a wrong time: 2', async () => {
    const own = await settled()
    const away = await serveHttp(async () => json(501, {}), { clock: new SystemClock() })
    expect(await resil(['pay', 'reconcile', '--db', own, '--bank', away.url])).toMatchObject({ exit: 3, stdout: '', stderr: expect.stringContaining('bank does not list its charges: it answered 501') })
    await away.close(0)
    expect(await resil(['pay', 'reconcile', '--db', own, '--bank', 'bank.example'])).toMatchObject({ exit: 2, stderr: expect.stringContaining('is no base URL') })
    expect(await resil(['pay', 'reconcile', '--db', own, '--since', '1m', '--until', '2m'])).toMatchObject({ exit: 2, stderr: expect.stringContaining('is not before') })
  })
})

describe('ledger', () => {
  it('a changed amount: 1, with the first entry that is not as it was; and one that was cut short, by its anchor', async () => {
    const own = join(folder(), 'payments.db')
    const other = await stand(['pay', 'serve', '--port', '0', '--db', own, ...around.flags])
    for (const name of ['a', 'b']) await curl(`${other.ready.url}/v1/payments`, ['-H', `Idempotency-Key: key-broken-${name}`, '--data-raw', order(`broken-${name}`)])
    await other.stop()
    const tamper = (sql: string) => {
      const file = new Database(own)
      for (const { name } of file.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'").all() as { name: string }[]) file.exec(`DROP TRIGGER ${name}`)
      file.exec(sql)
      file.close()
    }
    tamper('DELETE FROM ledger WHERE seq > 2')
    expect(await resil(['pay', 'ledger', '--db', own, '--verify', '--json'])).toMatchObject({ exit: 1, stdout: expect.stringContaining('LEDGER_LOST') })
    tamper('UPDATE ledger SET amount = amount + 1 WHERE seq = 2')
    expect(await resil(['pay', 'ledger', '--db', own, '--verify'])).toMatchObject({ exit: 1, stderr: '', stdout: expect.stringContaining('the ledger is broken: entry 2 is not what was appended\n') })
    // An operator's hand does not touch such a file.
    expect(await resil(['pay', 'resolve', 'pay_1', '--as', 'not-charged', '--by', 'maria', '--why', 'x', '--db', own])).toMatchObject({ exit: 2, stderr: expect.stringContaining('was durable once') })
  })
})

describe('a moment', () => {
  const now = Date.UTC(2030, 0, 31, 12)
  it.each([
    ['90m', now - 90 * 60_000], ['7d', now - 7 * 86_400_000], ['2030-01-31', now - 12 * 3_600_000], ['2030-01-31T12:00:00Z', now], ['2030-01-31T13:00+01:00', now],
  ])('%s', (text, at) => {
    expect(parseMoment(text, now)).toBe(at)
  })

  it.each(['yesterday', '7', '2030-01-31T12:00', '-7d', '2030-13-01', '', '7d\u001b[31m'])('%j is none', (text) => {
    expect(() => parseMoment(text, now)).toThrow(/is not a (moment|duration)/)
  })
})
