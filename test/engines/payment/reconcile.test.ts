import { afterEach, describe, expect, it } from 'vitest'
import { differenceInWords, reconcile } from '../../../src/engines/payment/reconcile.ts'
import type { Difference, Reconciliation } from '../../../src/engines/payment/reconcile.ts'
import type { Network } from '../../../src/network.ts'
import { json } from '../../../src/network.ts'
import { closeAll, openAlone } from './alone.ts'

afterEach(closeAll)

type World = Awaited<ReturnType<typeof openAlone>>

const compare = (world: World, more: Partial<Reconciliation> = {}) => reconcile({ clock: world.clock, network: world.network, store: world.store, acquirer: 'bank', since: 0, until: world.clock.now() + 1, ...more })

/** A bank that lists what `charges` says, `page` at a time, and looks nothing up. */
function listing(charges: readonly { id: string; [field: string]: unknown }[], seen: string[] = []): Network {
  return {
    async call(_, { path }) {
      seen.push(path)
      const query = new URL(path, 'http://bank').searchParams
      if (query.has('reference')) return { kind: 'ok', value: json(200, { charges: [] }) }
      const from = query.has('after') ? charges.findIndex(({ id }) => id === query.get('after')) + 1 : 0
      const limit = Number(query.get('limit'))
      return { kind: 'ok', value: json(200, { charges: charges.slice(from, from + limit), has_more: from + limit < charges.length }) }
    },
  }
}

const charge = (id: string, reference: string, fields: object = {}) => ({ id, status: 'succeeded', amount: 9900, currency: 'USD', reference, ...fields })

describe('what agrees', () => {
  it('more charges than a page holds, refunded ones, declined ones, and payments whose keys were forgotten in time', async () => {
    const world = await openAlone()
    await world.run(async () => {
      for (let n = 0; n < 230; n++) await world.pay()
      const { id } = await world.pay()
      expect((await world.ask('POST', `/v1/payments/${id}/refunds`, '', { 'idempotency-key': 'refund' })).status).toBe(201)
      await world.store.transaction('reap', async (tx) => {
        const [old] = await tx.query<{ id: string }>('SELECT id FROM payments ORDER BY created_at LIMIT 1')
        await tx.query("INSERT INTO orders (scope, order_ref, payment, charge, amount, currency) SELECT scope, order_ref, id, charge, amount, currency FROM payments WHERE id = :id", old)
        await tx.query('DELETE FROM payments WHERE id = :id', old)
      })
      expect(await compare(world)).toEqual({ charges: 231, payments: 230, differences: [], more: false })
    })
  })

  it('a charge that the bank dates just outside of the window is found by its reference', async () => {
    const world = await openAlone()
    await world.run(async () => {
      const { id } = await world.pay()
      await world.clock.sleep(1000)
      // The bank's clock is behind: its listing begins after the charge, and ours before the payment ended.
      const network: Network = { call: (service, request, options) => world.network.call(service, { ...request, path: request.path.replace(/since=\d+/, `since=${world.clock.now()}`) }, options) }
      expect((await compare(world, { network })).differences).toEqual([])
      // A bank that does not know it by its reference either:
      expect((await compare(world, { network: listing([]) })).differences).toMatchObject([{ kind: 'missing-there', reference: id }])
    })
  })
})

describe('what differs', () => {
  it('a second charge, another amount, a payment in doubt and one that nobody asked for', async () => {
    const world = await openAlone()
    await world.run(async () => {
      const [twice, amount, doubtful] = [await world.pay(), await world.pay(), await world.pay()].map(({ id }) => id) as [string, string, string]
      await world.store.transaction('doubt', (tx) => tx.query("UPDATE payments SET state = 'review' WHERE id = :doubtful", { doubtful }))
      const network = listing([charge('ch_1', twice), charge('ch_2', twice), charge('ch_3', amount, { amount: 990_000 }), charge('ch_4', doubtful), charge('ch_5', 'pay_other'), charge('ch_6', 'pay_given_back', { refunded: 9900 }), charge('ch_7', 'pay_void', { status: 'voided' })])
      const { differences } = await compare(world, { network })
      expect(differences).toEqual([
        { kind: 'twice', charge: 'ch_2', reference: twice },
        { kind: 'amount', charge: 'ch_3', reference: amount, why: `asked for 9900 USD for ${amount}, the bank says 990000 USD for ${amount}` },
        { kind: 'in-doubt', charge: 'ch_4', reference: doubtful, state: 'review' },
        { kind: 'orphan', charge: 'ch_5', reference: 'pay_other', amount: 9900, currency: 'USD' },
      ])
      const kept = () => world.store.transaction('look', (tx) => tx.query('SELECT payment FROM evidence ORDER BY payment'))
      const before = await kept()
      expect(before).toHaveLength(4)
      await compare(world, { network })
      expect(await kept()).toEqual(before)
    })
  })

  it('of another shop: it stops, and says that there is more', async () => {
    const world = await openAlone()
    await world.run(async () => {
      const seen: string[] = []
      const network = listing(Array.from({ length: 12_000 }, (_, n) => charge(`ch_${n}`, `other_${n}`)), seen)
      const { differences, more } = await compare(world, { network })
      expect([differences.length, more, seen.length]).toEqual([10_000, true, 100])
    })
  })

  it('a command that it proposes can be pasted, whatever the bank calls its charge', () => {
    const difference: Difference = { kind: 'in-doubt', charge: 'ch_1; rm -rf /', reference: 'pay_1', state: 'review' }
    expect(differenceInWords(difference).act).toContain('--charge ID --by')
    expect(differenceInWords({ ...difference, charge: 'ch_1' }).act).toContain('--charge ch_1 --by')
  })
})

describe('a bank that does not play along', () => {
  it.each([
    ['the same page again and again', async () => ({ kind: 'ok', value: json(200, { charges: [charge('ch_1', 'x')], has_more: true }) }) as const, 'the same page'],
    ['something that is no listing', async () => ({ kind: 'ok', value: json(200, { data: [] }) }) as const, 'it answered 200'],
    ['503', async () => ({ kind: 'ok', value: json(503, {}) }) as const, 'it answered 503'],
  ])('%s: BANK_UNREACHABLE, and nothing is written', async (_, call, why) => {
    const world = await openAlone()
    await world.run(async () => {
      await expect(compare(world, { network: { call } })).rejects.toMatchObject({ code: 'BANK_UNREACHABLE', message: expect.stringContaining(why) })
      expect(await world.store.transaction('look', (tx) => tx.query('SELECT COUNT(*) AS n FROM evidence'))).toEqual([{ n: 0 }])
    })
  })

  it('a page that is lost once is asked for again; whoever waits may stop it', async () => {
    const world = await openAlone()
    await world.run(async () => {
      await world.pay()
      let n = 0
      const flaky: Network = { call: (service, request, options) => (n++ === 0 ? Promise.resolve({ kind: 'ok', value: json(502, {}) }) : world.network.call(service, request, options)) }
      expect((await compare(world, { network: flaky })).charges).toBe(1)
      const stop = new AbortController()
      stop.abort()
      await expect(compare(world, { signal: stop.signal })).rejects.toMatchObject({ code: 'RUN_CUT_SHORT' })
    })
  })
})
