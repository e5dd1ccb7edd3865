/** A sample of `npm run sweep:storage`, which cuts at every operation. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Bench } from '../../../scripts/storage/bench.js'
import { Disk, MODELS } from '../../../scripts/storage/disk.js'
import { PLANTS } from '../../../scripts/storage/plants.js'
import { shimUnavailable } from '../../../scripts/storage/shim.js'
import { Figures, WAYS, cutsOf, make } from '../../../scripts/storage/sweep.js'
import { Random } from '../../../src/random.ts'

/** Some seconds of work each, on a machine that does nothing else. */
const PATIENCE_MS = 240_000

const unavailable = shimUnavailable()

describe.skipIf(unavailable)(`the payment engine on a disk that fails${unavailable ? ` (skipped: ${unavailable})` : ''}`, () => {
  let folder: string
  let bench: Bench

  beforeAll(() => {
    folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'resil-storage-'))
    bench = new Bench(folder)
  })
  afterAll(async () => {
    await bench.close()
    rmSync(folder, { recursive: true, force: true })
  })

  async function sweep(bench: Bench, script: string, ways: string[], every: number): Promise<Figures> {
    const figures = new Figures()
    for (const cut of await cutsOf(bench, script, ways, every)) for (const result of await make(bench, cut)) figures.add(result)
    return figures
  }

  it.each([
    ['fresh', 40],
    ['after', 60],
  ])('loses and doubles no payment, wherever the life "%s" is killed, its disk fails or the power is cut', async (script, every) => {
    const { cuts, images, acknowledged, examples } = await sweep(bench, script, WAYS, every)
    expect(examples).toEqual([])
    expect(acknowledged).toBeGreaterThan(100)
    for (const way of WAYS) if (way !== 'power' && way !== 'forgottenSync') expect(cuts, way).toHaveProperty(way)
    for (const model of MODELS) expect(images, model).toHaveProperty(model)
  }, PATIENCE_MS)

  it('a disk that errs while the write-ahead log is begun is named, and the file begins anew even when the power is cut then', async () => {
    const operations = (await bench.trace('fresh')).operations.filter(({ kind }) => kind !== 'mark')
    const journals = operations.flatMap(({ kind, name }, at) => (kind === 'create' && name.endsWith('-journal') ? [at] : []))
    const log = operations.findIndex(({ name }) => name.endsWith('-wal'))
    const syncs = operations.flatMap(({ kind, name }, at) => (kind === 'sync' && name !== '' && at > journals.at(-1)! && at < log ? [at] : []))
    expect(syncs.length).toBeGreaterThan(1)
    for (const at of syncs) {
      const images = await bench.forgottenSync('fresh', at)
      expect(images.map(({ refused }) => refused)).toContain('STORE_IO')
      expect(images.flatMap(({ violations }) => violations)).toEqual([])
    }
  }, PATIENCE_MS)

  it('a store at synchronous=NORMAL outlives kills, and is convicted of losing payments in a power cut', async () => {
    const careless = new Bench(folder, PLANTS.normal.plant(folder))
    const killed = await sweep(careless, 'fresh', ['kill'], 60)
    const cut = await sweep(careless, 'fresh', ['power'], 30)
    await careless.close()
    expect(killed.examples).toEqual([])
    expect(cut.lost).toBeGreaterThan(0)
    expect(cut.doubled).toBeGreaterThan(0)
  }, PATIENCE_MS)

  it.each([
    ['hasty', 'power', 20],
    ['forgetful', 'power', 20],
    ['deaf', 'eioForGood', 20],
  ] as const)('the planted bug "%s" is convicted by %s', async (planted, way, every) => {
    const wrong = new Bench(folder, PLANTS[planted].plant(folder))
    const figures = await sweep(wrong, 'fresh', [way], every)
    await wrong.close()
    expect(figures.convicted).toHaveProperty(way)
  }, PATIENCE_MS)
})

describe('what a power cut leaves', () => {
  const text = (files: Map<string, Buffer>) => Object.fromEntries([...files].map(([name, bytes]) => [name, bytes.toString()]))
  const write = (name: string, offset: number, data: string) => ({ kind: 'write' as const, struck: false, name, offset, data: Buffer.from(data) })
  const act = (kind: 'create' | 'sync' | 'unlink' | 'rename' | 'truncate', name: string, data = '', offset = 0, struck = false) => ({ kind, struck, name, offset, data: Buffer.from(data) })
  const left = (operations: ConstructorParameters<typeof Disk>[1], model: string, prefix = operations.length) =>
    text(new Disk(new Map([['old', Buffer.from('0123')]]), operations).image(model, prefix, Random.seeded(1)))

  it('bytes are durable after an fsync of their file, a name after one of the folder', () => {
    const operations = [write('old', 2, 'ab'), act('create', 'new'), write('new', 0, 'xy'), act('sync', 'old'), act('sync', 'new'), act('sync', '')]
    expect(left(operations, 'synced', 3)).toEqual({ old: '0123' })
    expect(left(operations, 'kept', 3)).toEqual({ old: '01ab', new: 'xy' })
    expect(left(operations, 'synced', 5)).toEqual({ old: '01ab' })
    expect(left(operations, 'synced')).toEqual({ old: '01ab', new: 'xy' })
  })

  it('a rename and an unlink are undone until the folder is synced', () => {
    const operations = [act('create', 'aside'), write('aside', 0, 'whole'), act('sync', 'aside'), act('rename', 'aside', '/f/old'), act('sync', ''), act('unlink', 'old')]
    expect(left(operations, 'synced', 4)).toEqual({ old: '0123' })
    expect(left(operations, 'synced')).toEqual({ old: 'whole' })
    expect(left(operations, 'kept')).toEqual({})
  })

  it('of a torn write a first part arrives, alone or after all before it', () => {
    const operations = [write('old', 0, 'ab'), write('old', 2, 'cd')]
    expect(left(operations, 'torn')).toEqual({ old: 'abc3' })
    expect(left(operations, 'alone')).toEqual({ old: '01c3' })
  })

  it('what an fsync that failed should have written is not brought by the next one', () => {
    const operations = [write('old', 0, 'ab'), act('sync', 'old', '', 0, true), write('old', 2, 'cd'), act('sync', 'old')]
    expect(left(operations, 'synced')).toEqual({ old: '01cd' })
  })

  it('a file can be cut short, and grows with zeros', () => {
    expect(left([act('truncate', 'old', '', 2), act('truncate', 'old', '', 3)], 'kept')).toEqual({ old: '01\0' })
  })
})
