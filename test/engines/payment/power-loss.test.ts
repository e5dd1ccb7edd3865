/** C10: a store that would lose commits in a power cut is not used, and the engine does not start on it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { SystemClock } from '../../../src/clock.ts'
import { createEngine } from '../../../src/engines/payment/engine.ts'
import { openSqlite } from '../../../src/engines/store/sqlite.ts'
import { Random } from '../../../src/random.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'resil-power-'))
})

afterEach(() => {
  vi.restoreAllMocks()
  rmSync(folder, { recursive: true })
})

const clock = new SystemClock()
const random = Random.seeded(1)
const engineOn = async (store: Awaited<ReturnType<typeof openSqlite>>) =>
  createEngine({ clock, random, store, network: { call: () => Promise.reject(new Error('nobody is asked')) }, log: { emit() {} }, node: 'n1', incarnation: 1 })

it.each(['NORMAL', 'OFF'])('synchronous = %s: the first commit is refused, and every one after it', async (level) => {
  const set = Database.prototype.pragma
  vi.spyOn(Database.prototype, 'pragma').mockImplementation(function (this: Database.Database, source: string, options?: Database.PragmaOptions) {
    return set.call(this, source.replace('synchronous = FULL', `synchronous = ${level}`), options)
  })
  const store = await openSqlite(join(folder, 'app.db'), { clock, random })
  await expect(engineOn(store)).rejects.toMatchObject({ code: 'STORE_NOT_DURABLE' })
  await expect(store.transaction('again', (tx) => tx.query('SELECT 1'))).rejects.toMatchObject({ code: 'STORE_NOT_DURABLE' })
  await store.close()
})

it('synchronous = FULL: the engine starts', async () => {
  const store = await openSqlite(join(folder, 'app.db'), { clock, random })
  await expect(engineOn(store)).resolves.toBeDefined()
  expect(store.facts()).toMatchObject({ journal: 'wal', synchronous: 2 })
  await store.close()
})
