import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { once } from 'node:events'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { SystemClock } from '../../../src/clock.ts'
import { openSqlite } from '../../../src/engines/store/sqlite.ts'
import { Random } from '../../../src/random.ts'
import { compile } from './child.ts'
import type { Program } from './child.ts'

/** Writes rows for ever, a few a turn, and says the number of each on stdout once its promise has resolved. */
const WRITER = `
  import { SystemClock } from './src/clock.ts'
  import { Random } from './src/random.ts'
  import { openSqlite } from './src/engines/store/sqlite.ts'
  import { writeSync } from 'node:fs'
  const [path, writer] = process.argv.slice(2)
  const store = await openSqlite(path, { clock: new SystemClock(), random: Random.system() })
  await store.migrate([{ version: 1, sql: 'CREATE TABLE item (writer INTEGER, n INTEGER, PRIMARY KEY (writer, n))' }])
  const [{ last }] = await store.transaction('last', (tx) => tx.query('SELECT coalesce(max(n), 0) AS last FROM item WHERE writer = :writer', { writer: Number(writer) }))
  for (let n = last + 1; ; n += 5) {
    await Promise.all([0, 1, 2, 3, 4].map((i) => store.transaction('put', (tx) => tx.query('INSERT INTO item (writer, n) VALUES (:writer, :n)', { writer: Number(writer), n: n + i })).then(() => writeSync(1, n + i + '\\n'))))
  }
`
const KILLS = 10

let program: Program
let folder: string
let path: string

beforeAll(() => {
  program = compile(WRITER)
})
afterAll(() => program.remove())
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'resil-crash-'))
  path = join(folder, 'app.db')
})
afterEach(() => rmSync(folder, { recursive: true }))

/** Runs a writer until it has said `acks` numbers, kills it, and answers all that it said, also between the order to kill and its death. */
async function acknowledged(writer: number, acks: number): Promise<number[]> {
  const child = program.start([path, String(writer)])
  const said: number[] = []
  for await (const line of createInterface({ input: child.stdout! })) {
    said.push(Number(line))
    if (said.length === acks) child.kill('SIGKILL')
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  expect(child.signalCode).toBe('SIGKILL')
  return said
}

async function stored(writer: number): Promise<number[]> {
  const store = await openSqlite(path, { clock: new SystemClock(), random: Random.seeded(1) })
  const rows = await store.transaction('read', (tx) => tx.query<{ n: number }>('SELECT n FROM item WHERE writer = :writer ORDER BY n', { writer }))
  await store.close()
  return rows.map((row) => row.n)
}

it(`a writer that is killed ${KILLS} times loses no acknowledged row, and its file opens each time`, async () => {
  const random = Random.seeded('kills')
  const all: number[] = []
  for (let kill = 0; kill < KILLS; kill++) {
    all.push(...(await acknowledged(1, random.int(1, 60))))
    const found = new Set(await stored(1))
    expect(all.filter((n) => !found.has(n))).toEqual([])
  }
  expect(all.length).toBeGreaterThan(KILLS)
}, 60_000)

it('two processes that write one file until both are killed lose no acknowledged row', async () => {
  const acks = await Promise.all([acknowledged(1, 40), acknowledged(2, 40)])
  for (const [i, said] of acks.entries()) {
    const found = new Set(await stored(i + 1))
    expect(said.filter((n) => !found.has(n))).toEqual([])
    expect(said.length).toBeGreaterThanOrEqual(40)
  }
}, 60_000)
