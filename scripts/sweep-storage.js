// `npm run sweep:storage`: the payment engine on a disk that ends its life at every single operation: killed before it, and at every fifth once more in
// the recovery; EIO at it (once, for good); ENOSPC at it (for a while, for good); an fsync that fails and forgets; and the power cut after it and after
// every message to or from the outside, by five models of what a disk keeps. After each a new life recovers and is judged (storage/judge.js). Engines and
// stores with a planted bug go through the same, and must be convicted. --every 10 for a sample, --processes 2. Prints the figures last; exit code 1 when
// anything was violated, or a planted bug went unseen.
import { fork } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Bench } from './storage/bench.js'
import { PLANTS } from './storage/plants.js'
import { shimUnavailable } from './storage/shim.js'
import { cutsOf, Figures, make, WAYS } from './storage/sweep.js'

/** A planted bug is looked for at every so many operations. */
const PLANT_EVERY = 8
/** Cuts that a worker is given at a time. */
const BATCH = 10

const { values } = parseArgs({ options: { every: { type: 'string', default: '1' }, processes: { type: 'string', default: '2' }, child: { type: 'string' } } })

const benches = new Map()
/** Ours for '', or that of a planted bug. */
function benchOf(folder, planted) {
  if (!benches.has(planted)) benches.set(planted, new Bench(folder, planted === '' ? {} : PLANTS[planted].plant(mkdtempSync(join(folder, 'plant-')))))
  return benches.get(planted)
}

if (values.child) {
  process.on('message', async (batch) => {
    if (!batch) {
      for (const bench of benches.values()) await bench.close()
      process.disconnect()
      return
    }
    const results = []
    for (const cut of batch) for (const result of await make(benchOf(values.child, cut.planted), cut)) results.push({ ...result, planted: cut.planted })
    process.send(results)
  })
} else {
  const reason = shimUnavailable()
  if (reason) throw new Error(`the sweep cannot run here: ${reason}`)
  const started = performance.now()
  // Memory, where there is some: what a disk keeps is decided by the models, and a real fsync would only take its time.
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'resil-storage-'))
  const figures = { '': new Figures() }
  const operations = {}
  const messages = {}
  const cuts = []
  for (const script of ['fresh', 'after']) {
    const bench = benchOf(folder, '')
    const { operations: all } = await bench.trace(script)
    messages[script] = all.filter(({ kind }) => kind === 'mark').length
    operations[script] = all.length - messages[script]
    cuts.push(...(await cutsOf(bench, script, WAYS, Number(values.every))).map((cut) => ({ ...cut, planted: '' })))
  }
  for (const planted of Object.keys(PLANTS)) {
    figures[planted] = new Figures()
    const ways = [...new Set(['kill', ...PLANTS[planted].convictedBy])] // a kill everywhere: it does not show that nothing is flushed
    cuts.push(...(await cutsOf(benchOf(folder, planted), 'fresh', ways, PLANT_EVERY * Number(values.every))).map((cut) => ({ ...cut, planted })))
  }
  for (const bench of benches.values()) await bench.close()
  let [next, done] = [0, 0]
  const worker = () =>
    new Promise((resolve, reject) => {
      const child = fork(fileURLToPath(import.meta.url), ['--child', folder])
      const give = () => {
        child.send(next < cuts.length ? cuts.slice(next, next + BATCH) : null)
        next += BATCH
      }
      child.on('message', (results) => {
        for (const result of results) figures[result.planted].add(result)
        if ((done += BATCH) % 250 === 0) console.error(`${done} of ${cuts.length}, ${Math.round((performance.now() - started) / 1000)} s, ${figures[''].examples.length} violations`)
        give()
      })
      child.on('error', reject)
      child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`a worker ended with ${code}`))))
      give()
    })
  await Promise.all(Array.from({ length: Number(values.processes) }, worker))
  rmSync(folder, { recursive: true, force: true })
  const { cuts: made, outlived, images, distinct, acknowledged, lost, doubled, other, examples } = figures['']
  const controls = Object.fromEntries(Object.entries(PLANTS).map(([planted, { convictedBy }]) => {
    const { lost, doubled, convicted } = figures[planted]
    return [planted, { convicted: convictedBy.every((way) => convicted[way] > 0), lost, doubled, by: convicted }]
  }))
  const ok = examples.length === 0 && Object.values(controls).every(({ convicted }) => convicted)
  for (const each of examples) console.log(JSON.stringify(each))
  console.log(JSON.stringify({ ok, seconds: Math.round((performance.now() - started) / 1000), operations, messages, cuts: made, outlived, images, distinct, acknowledged, lost, doubled, other, controls }))
  process.exitCode = ok ? 0 : 1
}
