/** The facts that every store must show. A new store calls `conformance` with a way to open it; a new fact comes here, so that all of them must show it. */
import { afterEach, describe, expect, it } from 'vitest'
import type { Network } from '../src/network.ts'
import { outsideTransactions } from '../src/engines/store/store.ts'
import type { Migration, Store, Tx } from '../src/engines/store/store.ts'

/** One empty database, for one test. */
export interface TestDatabase {
  open(): Promise<Store>
  /** Called after its stores are closed. */
  remove(): Promise<void>
}

export interface Capabilities {
  /** False where the database ends with its store: nothing can be reopened or shared. */
  outlivesStore: boolean
}

const ACCOUNTS: Migration[] = [{ version: 1, sql: 'CREATE TABLE account (id TEXT PRIMARY KEY, balance BIGINT, note TEXT)' }]

const put = (tx: Tx, id: string, balance: number, note: string | null = null) =>
  tx.query('INSERT INTO account (id, balance, note) VALUES (:id, :balance, :note)', { id, balance, note })

const ids = (store: Store) =>
  store.transaction('read', async (tx) => (await tx.query<{ id: string }>('SELECT id FROM account ORDER BY id')).map((row) => row.id))

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'resolved',
    (error: unknown) => (error as { code?: string }).code,
  )

export function conformance(name: string, create: () => Promise<TestDatabase>, capabilities: Capabilities): void {
  describe(`the store on ${name}`, () => {
    let database: TestDatabase | undefined
    let stores: Store[] = []

    /** A store on the test's one database, with the accounts. */
    const open = async (migrations = ACCOUNTS) => {
      database ??= await create()
      const store = await database.open()
      stores.push(store)
      await store.migrate(migrations)
      return store
    }

    afterEach(async () => {
      for (const store of stores) await store.close()
      await database?.remove()
      database = undefined
      stores = []
    })

    it('keeps all of a work or nothing', async () => {
      const store = await open()
      const failing = store.transaction('fail', async (tx) => {
        await put(tx, 'a', 1)
        await put(tx, 'b', 2)
        throw new Error('the fraud check said no')
      })
      await expect(failing).rejects.toThrow('the fraud check said no')
      expect(await ids(store)).toEqual([])
      await store.transaction('succeed', async (tx) => {
        await put(tx, 'a', 1)
        await put(tx, 'b', 2)
      })
      expect(await ids(store)).toEqual(['a', 'b'])
    })

    it('answers what the work answered', async () => {
      const store = await open()
      expect(await store.transaction('answer', async () => ({ told: 'charged' }))).toEqual({ told: 'charged' })
    })

    it('rolls back a work that throws, and none of those queued with it', async () => {
      const store = await open()
      const outcomes = await Promise.allSettled(
        ['a', 'b', 'c', 'd'].map((id) =>
          store.transaction('put', async (tx) => {
            await put(tx, id, 1)
            if (id === 'b') throw new Error('only b')
          }),
        ),
      )
      expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled'])
      expect(await ids(store)).toEqual(['a', 'c', 'd'])
    })

    it('rolls back a work that throws before its first query', async () => {
      const store = await open()
      const thrown = store.transaction('throw', () => {
        throw new Error('at once')
      })
      await expect(thrown).rejects.toThrow('at once')
      expect(await ids(store)).toEqual([])
    })

    it('lets a work go on after a statement that broke a constraint', async () => {
      const store = await open()
      await store.transaction('twice', async (tx) => {
        await put(tx, 'a', 1)
        const again = await tx.query('INSERT INTO account (id, balance) VALUES (:id, :balance) ON CONFLICT (id) DO NOTHING RETURNING id', { id: 'a', balance: 2 })
        expect(again).toEqual([])
        await put(tx, 'b', 2)
      })
      expect(await ids(store)).toEqual(['a', 'b'])
    })

    it('runs the works of one turn one after another, in the order in which they came', async () => {
      const store = await open()
      const order: string[] = []
      await Promise.all(
        [1, 2, 3].map((n) =>
          store.transaction('work', async (tx) => {
            order.push(`${n} begins`)
            await tx.query('SELECT 1 AS one')
            await tx.query('SELECT 2 AS two')
            order.push(`${n} ends`)
          }),
        ),
      )
      expect(order).toEqual(['1 begins', '1 ends', '2 begins', '2 ends', '3 begins', '3 ends'])
    })

    it('loses no update among works that read, compute and write', async () => {
      const store = await open()
      await store.transaction('begin', (tx) => put(tx, 'a', 0))
      await Promise.all(Array.from({ length: 50 }, () => store.transaction('add', add)))
      expect(await balance(store)).toBe(50)
    })

    it('answers ON CONFLICT ... RETURNING with the row, or with none', async () => {
      const store = await open()
      await store.transaction('upsert', async (tx) => {
        const claim = 'INSERT INTO account (id, balance) VALUES (:id, :balance) ON CONFLICT (id) DO NOTHING RETURNING id, balance'
        expect(await tx.query(claim, { id: 'a', balance: 1 })).toEqual([{ id: 'a', balance: 1 }])
        expect(await tx.query(claim, { id: 'a', balance: 9 })).toEqual([])
        const set = 'INSERT INTO account (id, balance) VALUES (:id, :balance) ON CONFLICT (id) DO UPDATE SET balance = excluded.balance RETURNING balance'
        expect(await tx.query(set, { id: 'a', balance: 9 })).toEqual([{ balance: 9 }])
        expect(await tx.query('UPDATE account SET balance = 10 WHERE id = :id AND balance = 9', { id: 'a' })).toEqual([])
        expect(await tx.query('SELECT balance FROM account')).toEqual([{ balance: 10 }])
      })
    })

    it.each([0, 1, -1, 2 ** 31, -(2 ** 31) - 1, 1_893_456_000_000, 2 ** 53 - 1, -(2 ** 53) + 1])('gives back the integer %d', async (amount) => {
      const store = await open()
      await store.transaction('write', (tx) => put(tx, 'a', amount))
      expect(await balance(store)).toBe(amount)
    })

    it('divides and compares large integers as integers', async () => {
      const store = await open()
      await store.transaction('compute', async (tx) => {
        await put(tx, 'a', 2 ** 53 - 1)
        expect(await tx.query('SELECT balance / 2 AS half FROM account WHERE balance = :amount', { amount: 2 ** 53 - 1 })).toEqual([{ half: (2 ** 53 - 2) / 2 }])
      })
    })

    it.each([Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, -(2 ** 53)])('refuses the number %d, which it could not give back', async (amount) => {
      const store = await open()
      expect(await codeOf(store.transaction('write', (tx) => put(tx, 'a', amount)))).toBe('STORE_VALUE')
      expect(await ids(store)).toEqual([])
    })

    it('refuses undefined, objects and booleans, which a database would bend into something else', async () => {
      const store = await open()
      for (const value of [undefined, { a: 1 }, true]) {
        const write = store.transaction('write', (tx) => tx.query('INSERT INTO account (id, note) VALUES (:id, :note)', { id: 'a', note: value as unknown as string }))
        expect(await codeOf(write)).toBe('STORE_VALUE')
      }
    })

    it.each(['', 'plain', "' or 1=1--", 'line\nbreak', 'naïve 東京 🚀', JSON.stringify({ a: [1, 'é', null], b: '"' })])('gives back the text %j', async (text) => {
      const store = await open()
      await store.transaction('write', (tx) => put(tx, 'a', 1, text))
      expect(await store.transaction('read', (tx) => tx.query('SELECT note FROM account WHERE note = :text', { text }))).toEqual([{ note: text }])
    })

    it('gives back null as null', async () => {
      const store = await open()
      await store.transaction('write', (tx) => put(tx, 'a', 1, null))
      expect(await store.transaction('read', (tx) => tx.query('SELECT note FROM account'))).toEqual([{ note: null }])
    })

    it('rolls back a work that waits for anything but its queries, and its transaction takes no more of them', async () => {
      const store = await open()
      let wake = () => {}
      let after: unknown
      let noticed = () => {}
      const late = new Promise<void>((resolve) => {
        noticed = resolve
      })
      const waiting = store.transaction('wait', async (tx) => {
        await put(tx, 'late', 1)
        await new Promise<void>((resolve) => {
          wake = resolve
        })
        after = await codeOf(put(tx, 'later', 1))
        noticed()
      })
      const neighbour = store.transaction('neighbour', (tx) => put(tx, 'neighbour', 1))
      expect(await codeOf(waiting)).toBe('TX_WAITED')
      await neighbour
      wake()
      await late
      expect(after).toBe('TX_OVER')
      expect(await ids(store)).toEqual(['neighbour'])
    })

    it('rolls back a work that waits for another transaction, which then runs', async () => {
      const store = await open()
      let inner: Promise<unknown> = Promise.resolve()
      const outer = store.transaction('outer', async (tx) => {
        await put(tx, 'outer', 1)
        inner = store.transaction('inner', (tx2) => put(tx2, 'inner', 1))
        await inner
      })
      expect(await codeOf(outer)).toBe('TX_WAITED')
      await inner
      expect(await ids(store)).toEqual(['inner'])
    })

    it('takes no query of a work that has ended, not even while another one runs', async () => {
      const store = await open()
      let leaked: Tx | undefined
      await store.transaction('leak', async (tx) => {
        leaked = tx
      })
      expect(await codeOf(put(leaked!, 'a', 1))).toBe('TX_OVER')
      expect(await store.transaction('borrow', () => codeOf(put(leaked!, 'a', 1)))).toBe('TX_OVER')
      expect(await ids(store)).toEqual([])
    })

    it('knows whether a work runs, and lets no remote call out of one', async () => {
      const store = await open()
      const calls: string[] = []
      const network: Network = {
        call(service) {
          calls.push(service)
          return Promise.reject(new Error('not asked here'))
        },
      }
      const guarded = outsideTransactions(network, store)
      const request = { method: 'POST', path: '/charges', headers: {}, body: '' }
      const call = () => guarded.call('bank', request as never, {} as never)
      expect(store.insideTransaction).toBe(false)
      const inside = store.transaction('call', async (tx) => {
        await put(tx, 'a', 1)
        expect(store.insideTransaction).toBe(true)
        await call()
      })
      const afterOther = store.transaction('other', async (tx) => put(tx, 'b', 1)).then(() => store.insideTransaction)
      expect(store.insideTransaction).toBe(false)
      expect(await codeOf(inside)).toBe('TX_REMOTE_CALL')
      expect(await afterOther).toBe(false)
      expect(calls).toEqual([])
      await call().catch(() => {})
      expect(calls).toEqual(['bank'])
      expect(await ids(store)).toEqual(['b'])
    })

    it('runs each migration once and in order', async () => {
      const store = await open()
      const more: Migration[] = [
        ...ACCOUNTS,
        { version: 2, sql: "INSERT INTO account (id, balance) VALUES ('two', 2); INSERT INTO account (id, balance) VALUES ('twin', 2)" },
        { version: 3, sql: "UPDATE account SET id = 'three' WHERE id = 'two'" },
      ]
      await store.migrate(more)
      await store.migrate(more)
      expect(await ids(store)).toEqual(['three', 'twin'])
    })

    it('keeps nothing of a round of migrations when one of them fails', async () => {
      const store = await open()
      const broken = [...ACCOUNTS, { version: 2, sql: "INSERT INTO account (id, balance) VALUES ('two', 2)" }, { version: 3, sql: 'INSERT INTO nowhere VALUES (1)' }]
      await expect(store.migrate(broken)).rejects.toThrow('nowhere')
      expect(await ids(store)).toEqual([])
      await store.migrate(broken.slice(0, 2))
      expect(await ids(store)).toEqual(['two'])
    })

    it('refuses a database that is newer than the program', async () => {
      const store = await open([...ACCOUNTS, { version: 2, sql: 'CREATE TABLE future (id TEXT)' }])
      expect(await codeOf(store.migrate(ACCOUNTS))).toBe('STORE_NEWER')
    })

    it('finishes what is queued before it closes, and takes nothing after', async () => {
      const store = await open()
      let done = 0
      for (let i = 0; i < 20; i++) void store.transaction('put', (tx) => put(tx, `${i}`, i)).then(() => done++)
      const closing = store.close()
      expect(await codeOf(store.transaction('late', (tx) => put(tx, 'late', 1)))).toBe('STORE_CLOSED')
      await closing
      await store.close()
      expect(done).toBe(20)
    })

    describe.runIf(capabilities.outlivesStore)('with what outlives it', () => {
      it('finds after a reopening what was committed before', async () => {
        const first = await open()
        await first.transaction('put', (tx) => put(tx, 'a', 2 ** 53 - 1, '{"é":1}'))
        await first.close()
        const second = await open()
        expect(await second.transaction('read', (tx) => tx.query('SELECT * FROM account'))).toEqual([{ id: 'a', balance: 2 ** 53 - 1, note: '{"é":1}' }])
      })

      it('shows a commit of one store to the other at once', async () => {
        const [one, two] = [await open(), await open()]
        await one.transaction('put', (tx) => put(tx, 'a', 1))
        expect(await ids(two)).toEqual(['a'])
      })

      it('loses no update among two stores that read, compute and write', async () => {
        const [one, two] = [await open(), await open()]
        await one.transaction('begin', (tx) => put(tx, 'a', 0))
        await Promise.all(Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? one : two).transaction('add', add)))
        expect(await balance(one)).toBe(40)
      })

      it('lets only one of two stores claim a row', async () => {
        const [one, two] = [await open(), await open()]
        const claim = (store: Store) => store.transaction('claim', (tx) => tx.query('INSERT INTO account (id, balance) VALUES (:id, 1) ON CONFLICT (id) DO NOTHING RETURNING id', { id: 'a' }))
        const rows = await Promise.all([claim(one), claim(two), claim(one), claim(two)])
        expect(rows.flat()).toEqual([{ id: 'a' }])
      })

      it('migrates once when two stores begin together', async () => {
        database ??= await create()
        stores.push(...(await Promise.all([database.open(), database.open(), database.open()])))
        const counted = [...ACCOUNTS, { version: 2, sql: "INSERT INTO account (id, balance) VALUES ('once', 1)" }]
        await Promise.all(stores.map((store) => store.migrate(counted)))
        expect(await ids(stores[0]!)).toEqual(['once'])
      })
    })
  })
}

async function add(tx: Tx): Promise<void> {
  const [row] = await tx.query<{ balance: number }>('SELECT balance FROM account WHERE id = :id', { id: 'a' })
  await tx.query('UPDATE account SET balance = :balance WHERE id = :id', { id: 'a', balance: row!.balance + 1 })
}

async function balance(store: Store): Promise<number> {
  const [row] = await store.transaction('read', (tx) => tx.query<{ balance: number }>('SELECT balance FROM account WHERE id = :id', { id: 'a' }))
  return row!.balance
}
