// `npm run sweep:webhooks`: every scenario of webhooks in virtual time, then each crossing of a node's boundary in it cut by a crash, one run each (of scenarios
// with more than --sample, 200, a seeded sample of so many; of those that take longer than --dear CPU seconds, 2, a sample of 20). --only W-KILL-1,W-500.
// On two processes (--processes 2), for about an hour. Prints the figures last; exit code 1 when anything was violated, threw, or a crash did not strike.
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { chosenScenarios } from './chosen-scenarios.js'
import { workOff } from './work-off.js'

const { values } = parseArgs({ options: { processes: { type: 'string', default: '2' }, sample: { type: 'string', default: '200' }, dear: { type: 'string', default: '2' }, only: { type: 'string' }, child: { type: 'boolean', default: false } } })

/** Of scenarios that take long. */
const DEAR_SAMPLE = 20
/** Between two words of progress. */
const PROGRESS_MS = 30_000
/** Violations that are told, as they are found. */
const WRONG_TOLD = 200
/** Scenarios that are named as the dearest. */
const DEAREST = 8

const cpuMs = () => (process.cpuUsage().user + process.cpuUsage().system) / 1000

if (values.child) {
  const { cut } = await import('../dist/lab/webhook-crossings.js')
  process.on('message', async (crossing) => {
    const from = cpuMs()
    try {
      process.send({ ...(await cut(crossing)), cpuMs: cpuMs() - from })
    } catch (error) {
      process.send({ crossing, violations: [`it threw: ${error?.code ?? ''} ${error?.message ?? error}`], struck: true, trace: '', cpuMs: cpuMs() - from })
    }
  })
} else {
  const { webhookCrossings } = await import('../dist/lab/webhook-crossings.js')
  const started = performance.now()
  const seconds = () => Math.round((performance.now() - started) / 1000)
  const jobs = []
  const sampled = {}
  const names = await chosenScenarios({ engine: 'webhook', only: values.only })
  for (const scenario of names) {
    const from = cpuMs()
    const { crossings, of } = await webhookCrossings(scenario, undefined, Number(values.sample))
    const dear = (cpuMs() - from) / 1000 > Number(values.dear)
    const step = dear ? Math.max(1, Math.ceil(crossings.length / DEAR_SAMPLE)) : 1
    const chosen = crossings.filter((_, n) => n % step === 0)
    if (of > chosen.length) sampled[scenario] = { cut: chosen.length, of }
    jobs.push(...chosen)
  }
  console.error(`${jobs.length} crossings of ${names.length} scenarios, ${seconds()} s`)
  const traces = new Set()
  const wrong = []
  const voids = []
  const cost = new Map()
  let [done, told] = [0, performance.now()]
  await workOff(fileURLToPath(import.meta.url), jobs, Number(values.processes), ({ crossing, violations, struck, trace, cpuMs: ms }) => {
    done++
    cost.set(crossing.scenario, (cost.get(crossing.scenario) ?? 0) + ms)
    traces.add(`${crossing.scenario} ${trace}`)
    if (!struck) voids.push(crossing)
    if (violations.length > 0) {
      wrong.push({ ...crossing, violations })
      if (wrong.length <= WRONG_TOLD) console.error(JSON.stringify(wrong.at(-1)))
    }
    if (performance.now() - told >= PROGRESS_MS) {
      told = performance.now()
      console.error(`${done} of ${jobs.length}, ${seconds()} s, ${wrong.length} violations`)
    }
  })
  for (const each of voids.slice(0, 20)) console.log(JSON.stringify({ void: each }))
  const ok = wrong.length === 0 && voids.length === 0
  console.log(JSON.stringify({ ok, seconds: seconds(), scenarios: names.length, cuts: done, sampled, dearestCpuSeconds: Object.fromEntries([...cost].toSorted((a, b) => b[1] - a[1]).slice(0, DEAREST).map(([name, ms]) => [name, Math.round(ms / 1000)])), traces: traces.size, voids: voids.length, violations: wrong.length }))
  process.exitCode = ok ? 0 : 1
}
