import Database from 'better-sqlite3'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { VIRTUAL_EPOCH_MS, VirtualClock } from '../../../src/clock.ts'
import type { Handled, IdempotencyStore } from '../../../src/engines/webhook/receiver.ts'
import {
  acknowledge, BUSY_IDS_MOST, CLAIM_MS, compareDigest, ENDPOINTS_MOST, Gaps, GAPS_MOST, memoryStore, onceIn, receipt, sqliteStore, verify, withIdempotency,
} from '../../../src/engines/webhook/receiver.ts'
import { ackValid, digestId, digestOf, digestSignature, newSecret, publicKeyOf, receiptValid, signer, verifyAck } from '../../../src/engines/webhook/signature.ts'
import { Random } from '../../../src/random.ts'

const random = Random.seeded('receiver')
const [secret, old, curve] = [newSecret('v1', random), newSecret('v1', random), newSecret('v1a', random)] as const
const clock = new VirtualClock()
const now = VIRTUAL_EPOCH_MS / 1000
const body = '{"type":"order.created"}'

const request = (secrets: string[], timestamp = now, id = 'evt_1') => ({
  'webhook-id': id,
  'webhook-timestamp': String(timestamp),
  'webhook-signature': signer(secrets.map((secret) => ({ secret }))).sign(id, timestamp, body),
  'webhook-endpoint': 'ep_1',
  'webhook-sequence': '7',
  'webhook-attempt': '2',
})

describe('verify', () => {
  test('gives the message with what the headers say', () => {
    const message = { ok: true, id: 'evt_1', timestamp: now, by: 0, endpoint: 'ep_1', sequence: 7, attempt: 2 }
    expect(verify(secret, request([secret]), body, { clock })).toEqual(message)
    expect(verify([old, secret], request([secret]), Buffer.from(body), { clock })).toEqual({ ...message, by: 1 })
    expect(verify(publicKeyOf(curve), request([curve]), body, { clock })).toEqual(message)
  })

  test('takes the machine’s clock unless it is given one', () => {
    expect(verify(secret, request([secret], Math.floor(Date.now() / 1000)), body)).toMatchObject({ ok: true })
    expect(verify(secret, request([secret]), body)).toMatchObject({ ok: false })
  })

  test.each(['', '0', '-1', '1.5', '07', 'x', '9'.repeat(20)])('a sequence of %j is none', (text) => {
    expect(verify(secret, { ...request([secret]), 'webhook-sequence': text, 'webhook-attempt': text }, body, { clock })).toMatchObject({ ok: true, sequence: null, attempt: null })
  })

  test('a sender that numbers nothing is verified too', () => {
    const { 'webhook-endpoint': _e, 'webhook-sequence': _s, 'webhook-attempt': _a, ...bare } = request([secret])
    expect(verify(secret, bare, body, { clock })).toEqual({ ok: true, id: 'evt_1', timestamp: now, by: 0, endpoint: null, sequence: null, attempt: null })
  })

  test('refuses with a reason, within the tolerance that was asked for', () => {
    expect(verify(old, request([secret]), body, { clock })).toEqual({ ok: false, reason: 'wrong' })
    expect(verify(secret, {}, body, { clock })).toEqual({ ok: false, reason: 'missing' })
    expect(verify(secret, request([secret], now - 300), body, { clock })).toMatchObject({ ok: true })
    expect(verify(secret, request([secret], now - 301), body, { clock })).toEqual({ ok: false, reason: 'stale' })
    expect(verify(secret, request([secret], now - 6), body, { clock, toleranceSeconds: 5 })).toEqual({ ok: false, reason: 'stale' })
  })
})

describe('what is said back', () => {
  const read = (secrets: string[], signed: string[]) => {
    const message = verify(secrets, request(signed), body, { clock })
    if (!message.ok) throw new Error(message.reason)
    return message
  }

  test('a receipt is made with the secret that the sender has just shown to have', () => {
    expect(receiptValid([secret], 'evt_1', now, receipt(secret, read([secret], [secret])))).toBe(true)
    // We know the new one already, the sender does not.
    expect(receiptValid([old], 'evt_1', now, receipt([secret, old], read([secret, old], [old])))).toBe(true)
  })

  test('with a public key first, the shared secret is taken', () => {
    const keys = [publicKeyOf(curve), secret]
    expect(receiptValid([secret], 'evt_1', now, receipt(keys, read(keys, [curve, secret])))).toBe(true)
    const { headers } = acknowledge(keys, { id: 'evt_1', endpoint: 'ep_1' }, { clock })
    expect(ackValid([secret], 'evt_1', now, headers['webhook-ack-signature']!)).toBe(true)
    expect(() => receipt([publicKeyOf(curve)], { id: 'evt_1', timestamp: now, by: 0 })).toThrow(expect.objectContaining({ code: 'NO_SHARED_SECRET' }))
  })

  test('an acknowledgement is what the sender verifies, five minutes long', async () => {
    const clock = new VirtualClock()
    const { headers, body } = acknowledge([secret, old], { id: 'evt_1', endpoint: 'ep_1' }, { clock })
    expect(JSON.parse(body)).toEqual({ id: 'evt_1', endpoint: 'ep_1' })
    expect(verifyAck([secret], headers, 'evt_1', clock.now())).toEqual({ ok: true })
    expect(verifyAck([secret], headers, 'evt_1', clock.now() + 301_000)).toEqual({ ok: false, reason: 'stale' })
  })
})

describe.each<[string, (clock: VirtualClock) => IdempotencyStore]>([
  ['in memory', () => memoryStore()],
  ['in SQLite', (clock) => sqliteStore(new Database(':memory:'), { clock })],
])('withIdempotency %s', (_, open) => {
  test('W-DUP: five at once have one effect; whoever comes while it runs is told so, and afterwards that it was done', async () => {
    let effects = 0
    let finish = () => {}
    const handle = withIdempotency(open(new VirtualClock()), () => {
      effects++
      return new Promise<void>((resolve) => (finish = resolve))
    })
    const first = handle({ id: 'evt_1' })
    const others = await Promise.all(Array.from({ length: 4 }, () => handle({ id: 'evt_1' })))
    expect(others).toEqual(['busy', 'busy', 'busy', 'busy'])
    finish()
    expect(await first).toBe('done')
    expect(await handle({ id: 'evt_1' })).toBe('repeated')
    expect(effects).toBe(1)
  })

  test('other ids do not wait for it', async () => {
    const handled: string[] = []
    const handle = withIdempotency(open(new VirtualClock()), ({ id }) => handled.push(id))
    expect(await Promise.all(['a', 'b', 'a', 'c'].map((id) => handle({ id })))).toEqual<Handled[]>(['done', 'done', 'busy', 'done'])
    expect(handled.toSorted()).toEqual(['a', 'b', 'c'])
  })

  test('a handler that fails is tried again, and its error is the caller’s', async () => {
    let calls = 0
    const handle = withIdempotency(open(new VirtualClock()), () => {
      if (++calls === 1) throw new Error('no room')
    })
    await expect(handle({ id: 'evt_1' })).rejects.toThrow('no room')
    expect(await handle({ id: 'evt_1' })).toBe('done')
    expect(calls).toBe(2)
  })
})

test('the handler’s error is told even where the claim cannot be released', async () => {
  const handle = withIdempotency({ begin: async () => 'new', finish: async () => {}, release: () => Promise.reject(new Error('gone')) }, () => {
    throw new Error('no room')
  })
  await expect(handle({ id: 'evt_1' })).rejects.toThrow('no room')
})

test('the memory has its bounds: the oldest are forgotten, and not too many are worked on at once', async () => {
  const store = memoryStore({ remember: 2 })
  for (const id of ['a', 'b', 'c']) {
    await store.begin(id)
    await store.finish(id)
  }
  expect(await Promise.all(['c', 'b', 'a'].map((id) => store.begin(id)))).toEqual(['done', 'done', 'new'])
  const full = memoryStore()
  for (let n = 0; n < BUSY_IDS_MOST; n++) await full.begin(String(n))
  expect(await full.begin('one more')).toBe('busy')
  await full.release('0')
  expect(await full.begin('one more')).toBe('new')
})

describe('sqliteStore', () => {
  test('a claim whose process died is taken over when it ends, not before', async () => {
    const clock = new VirtualClock()
    const db = new Database(':memory:')
    const [dead, alive] = [sqliteStore(db, { clock }), sqliteStore(db, { clock })]
    expect(await dead.begin('evt_1')).toBe('new')
    expect(await alive.begin('evt_1')).toBe('busy')
    await clock.run(clock.sleep(CLAIM_MS - 1))
    expect(await alive.begin('evt_1')).toBe('busy')
    await clock.run(clock.sleep(1))
    expect(await alive.begin('evt_1')).toBe('new')
  })

  test('one who was taken for dead and fails late releases nothing of his successor’s', async () => {
    const clock = new VirtualClock()
    const db = new Database(':memory:')
    const [slow, next, third] = [sqliteStore(db, { clock }), sqliteStore(db, { clock }), sqliteStore(db, { clock })]
    await slow.begin('evt_1')
    await clock.run(clock.sleep(CLAIM_MS))
    expect(await next.begin('evt_1')).toBe('new')
    await slow.release('evt_1')
    expect(await third.begin('evt_1')).toBe('busy')
    await next.finish('evt_1')
    expect(await third.begin('evt_1')).toBe('done')
  })

  test('what runs in this process is not overtaken by it, however long it takes', async () => {
    const clock = new VirtualClock()
    const store = sqliteStore(new Database(':memory:'), { clock })
    await store.begin('evt_1')
    await clock.run(clock.sleep(10 * CLAIM_MS))
    expect(await store.begin('evt_1')).toBe('busy')
  })

  test('survives a restart, and forgets what it is told to', async () => {
    const clock = new VirtualClock()
    const db = new Database(':memory:')
    const store = sqliteStore(db, { clock })
    await store.begin('evt_1')
    await store.finish('evt_1')
    const later = sqliteStore(db, { clock })
    later.forget(clock.now())
    expect(await later.begin('evt_1')).toBe('done')
    later.forget(clock.now() + 1)
    expect(await later.begin('evt_1')).toBe('new')
  })
})

describe('onceIn', () => {
  const open = () => {
    const db = new Database(':memory:')
    db.exec('CREATE TABLE effect (id TEXT)')
    return { db, effects: () => (db.prepare('SELECT COUNT(*) AS n FROM effect').get() as { n: number }).n, work: () => void db.prepare('INSERT INTO effect VALUES (1)').run() }
  }

  test('writes the message and its effect together, once', () => {
    const { db, effects, work } = open()
    expect([onceIn(db, 'evt_1', work, { clock }), onceIn(db, 'evt_1', work, { clock }), effects()]).toEqual(['done', 'repeated', 1])
  })

  test('or neither of them', () => {
    const { db, effects, work } = open()
    const failing = () => {
      work()
      throw new Error('no room')
    }
    expect(() => onceIn(db, 'evt_1', failing, { clock })).toThrow('no room')
    expect([effects(), db.inTransaction]).toEqual([0, false])
    expect(onceIn(db, 'evt_1', work, { clock })).toBe('done')
    expect(effects()).toBe(1)
  })

  test('refuses work that would outlive the transaction', () => {
    const { db, effects, work } = open()
    expect(() => onceIn(db, 'evt_1', async () => work(), { clock })).toThrow(expect.objectContaining({ code: 'WORK_NOT_SYNCHRONOUS' }))
    expect(effects()).toBe(0)
  })

  test('knows what the store has done, and the other way round', async () => {
    const { db, work } = open()
    const store = sqliteStore(db, { clock })
    onceIn(db, 'evt_1', work, { clock })
    expect(await store.begin('evt_1')).toBe('done')
    await store.begin('evt_2')
    await store.finish('evt_2')
    expect(onceIn(db, 'evt_2', work, { clock })).toBe('repeated')
  })
})

describe('Gaps', () => {
  test('W-GAP: one that was lost is seen by the next, and healed when it comes', async () => {
    const clock = new VirtualClock()
    const gaps = new Gaps({ clock })
    expect([1, 2, 4].map((n) => gaps.see('ep_1', n))).toEqual(['next', 'next', 'ahead'])
    expect(gaps.missing('ep_1')).toEqual([{ from: 3, to: 3, since: clock.now() }])
    expect(gaps.completeTo('ep_1')).toBe(2)
    await clock.run(clock.sleep(60_000))
    expect(gaps.see('ep_1', 6)).toBe('ahead')
    expect(gaps.missing('ep_1', { openMs: 60_000 })).toEqual([{ from: 3, to: 3, since: VIRTUAL_EPOCH_MS }])
    expect([3, 3, 5, 4].map((n) => gaps.see('ep_1', n))).toEqual(['late', 'repeated', 'late', 'repeated'])
    expect([gaps.missing('ep_1'), gaps.completeTo('ep_1')]).toEqual([[], 6])
  })

  test('endpoints have numbers of their own; one that was never heard of misses nothing', () => {
    const gaps = new Gaps({ clock })
    gaps.see('ep_1', 3)
    gaps.see('ep_2', 1)
    expect([gaps.completeTo('ep_1'), gaps.completeTo('ep_2'), gaps.completeTo('ep_3')]).toEqual([0, 1, 0])
    expect([gaps.missing('ep_2'), gaps.missing('ep_3')]).toEqual([[], []])
  })

  test('names exactly what is missing, in whatever order and however often the rest came', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 200 }), (came) => {
        const gaps = new Gaps({ clock })
        const words = came.map((n) => gaps.see('ep_1', n))
        const top = Math.max(...came)
        const missing = Array.from({ length: top }, (_, n) => n + 1).filter((n) => !came.includes(n))
        expect(gaps.missing('ep_1').flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, n) => from + n))).toEqual(missing)
        expect(gaps.completeTo('ep_1')).toBe((missing[0] ?? top + 1) - 1)
        expect(words.filter((word) => word === 'repeated')).toHaveLength(came.length - new Set(came).size)
      }),
    )
  })

  test('live on in a snapshot, and may begin in the middle', () => {
    const first = new Gaps({ clock })
    for (const n of [1, 5, 3]) first.see('ep_1', n)
    const second = new Gaps({ clock, from: JSON.parse(JSON.stringify(first.snapshot())) })
    expect(second.missing('ep_1')).toEqual(first.missing('ep_1'))
    expect([second.see('ep_1', 2), second.see('ep_1', 4), second.see('ep_1', 6), first.completeTo('ep_1')]).toEqual(['late', 'late', 'next', 1])
    const middle = new Gaps({ clock, from: { ep_1: { top: 500, gaps: [] } } })
    expect([middle.see('ep_1', 501), middle.completeTo('ep_1')]).toEqual(['next', 501])
  })

  test('have bounds: too many gaps of one endpoint ask for too much, never for too little', () => {
    const gaps = new Gaps({ clock })
    for (let n = 0; n <= GAPS_MOST + 10; n++) gaps.see('ep_1', 2 * n + 2)
    const missing = gaps.missing('ep_1')
    expect(missing.length).toBe(GAPS_MOST)
    expect(missing[0]).toMatchObject({ from: 1, to: 23 })
    expect(missing.at(-1)).toMatchObject({ from: 2 * (GAPS_MOST + 10) + 1 })
    for (let n = 0; n <= ENDPOINTS_MOST; n++) gaps.see(`other_${n}`, 1)
    expect(Object.keys(gaps.snapshot())).toHaveLength(ENDPOINTS_MOST)
    expect(gaps.completeTo('ep_1')).toBe(0)
  })

  test.each([0, -1, 1.5, Number.NaN, 2 ** 53])('%d is no sequence number', (sequence) => {
    expect(() => new Gaps({ clock }).see('ep_1', sequence)).toThrow(expect.objectContaining({ code: 'INVALID_SEQUENCE' }))
  })
})

describe('compareDigest', () => {
  const ids = Array.from({ length: 10_000 }, (_, n) => `evt_${n}`)
  const digest = (secret: string) => {
    const plain = digestOf('ep_1', 1, 10_000, ids)
    return { ...plain, timestamp: now, signature: digestSignature(secret, digestId(plain), now) }
  }

  test('W-RECONCILE: is equal, or different by one of ten thousand', () => {
    expect(compareDigest(secret, digest(secret), ids.toReversed())).toBe('equal')
    expect(compareDigest(secret, digest(secret), ids.slice(1))).toBe('different')
    expect(compareDigest(secret, digest(secret), [...ids, 'evt_foreign'])).toBe('different')
    expect(compareDigest(secret, digest(secret), [...ids.slice(1), 'evt_foreign'])).toBe('different')
    expect(compareDigest(publicKeyOf(curve), digest(curve), ids)).toBe('equal')
  })

  test('is forged when anything in it was changed', () => {
    const right = digest(secret)
    for (const change of [{ endpoint: 'ep_2' }, { from: 2 }, { to: 9999 }, { count: 9999 }, { sha256: '0'.repeat(64) }, { timestamp: now + 1 }, { timestamp: Number.NaN }, { signature: '' }, { signature: undefined as unknown as string }]) {
      expect([change, compareDigest(secret, { ...right, ...change }, ids)]).toEqual([change, 'forged'])
    }
    expect(compareDigest(old, right, ids)).toBe('forged')
    expect(compareDigest([old, secret], right, ids)).toBe('equal')
  })
})
