// `npm run sweep:cron`: three schedulers under faults, ten thousand seeds (--seeds 10000, --from 1), and every crossing of a node's boundary cut by a
// crash and by a pause; every fifth seed without an election. On two processes (--processes 2). Prints the figures last; exit code 1 when anything was violated or a fault did not strike.
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { workOff } from './work-off.js'

const { values } = parseArgs({ options: { seeds: { type: 'string', default: '10000' }, from: { type: 'string', default: '1' }, processes: { type: 'string', default: '2' }, child: { type: 'boolean', default: false } } })

/** Every so many seeds, there is no election: every node fires. */
const LEADERLESS = 5

if (values.child) {
  const { runCronSeed } = await import('../dist/lab/cron-sweep.js')
  const { cut } = await import('../dist/lab/cron-crossings.js')
  process.on('message', async (job) => {
    process.send(job.seed === undefined ? await cut(job.crossing, job.how) : await runCronSeed(job.seed, undefined, job.seed % LEADERLESS === 0))
  })
} else {
  const { crossings } = await import('../dist/lab/cron-crossings.js')
  const started = performance.now()
  const jobs = []
  for (const crossing of await crossings()) for (const how of ['crash', 'pause']) jobs.push({ crossing, how })
  const cuts = jobs.length
  for (let seed = Number(values.from); seed < Number(values.from) + Number(values.seeds); seed++) jobs.push({ seed })
  const traces = new Set()
  const faults = {}
  const wrong = []
  let [least, voids, done] = [Infinity, 0, 0]
  await workOff(fileURLToPath(import.meta.url), jobs, Number(values.processes), (result) => {
    done++
    if (result.violations.length > 0) wrong.push(result.seed === undefined ? { ...result, violations: result.violations.slice(0, 3) } : { seed: result.seed, violations: result.violations.slice(0, 3) })
    if (result.seed === undefined) voids += result.struck ? 0 : 1
    else {
      traces.add(result.trace)
      least = Math.min(least, result.fired)
      for (const [fault, n] of Object.entries(result.faults)) faults[fault] = (faults[fault] ?? 0) + n
    }
    if (done % 1000 === 0) console.error(`${done} of ${jobs.length}, ${Math.round((performance.now() - started) / 1000)} s, ${wrong.length} violations`)
  })
  const ok = wrong.length === 0 && voids === 0
  for (const each of wrong.slice(0, 10)) console.log(JSON.stringify(each))
  console.log(JSON.stringify({ ok, seconds: Math.round((performance.now() - started) / 1000), cuts, voids, seeds: Number(values.seeds), leaderless: Math.floor((Number(values.from) + Number(values.seeds) - 1) / LEADERLESS) - Math.floor((Number(values.from) - 1) / LEADERLESS), traces: traces.size, leastFaults: least, faults, violations: wrong.length }))
  process.exitCode = ok ? 0 : 1
}
