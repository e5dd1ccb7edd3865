// `npm run sweep:payments`: every scenario of payments in virtual time, then each crossing of a node's boundary in it cut by a crash (of scenarios with
// many, a seeded sample of 200; of crowds, at least 200 crashes in runs of a dozen), then every schedule of up to --depth faults (1) of the enumeration. On two processes (--processes 2).
// Prints the figures last; exit code 1 when anything was violated or a crash did not strike.
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { chosenScenarios } from './chosen-scenarios.js'
import { workOff } from './work-off.js'

const { values } = parseArgs({ options: { processes: { type: 'string', default: '2' }, depth: { type: 'string', default: '1' }, only: { type: 'string' }, child: { type: 'boolean', default: false } } })

/** Crashes that a crowd has to bear, runs of it to begin with, and at most. */
const CROWD_CRASHES = 200
const CROWD_RUNS = 12
const CROWD_RUNS_MOST = 150
/** Between two words of progress. */
const PROGRESS_MS = 30_000
/** Violations that are told, as they are found. */
const WRONG_TOLD = 200
/** Scenarios that are named as the dearest. */
const DEAREST = 8

if (values.child) {
  const { SAMPLE } = await import('../dist/lab/crossings.js')
  const { cut, cutCrowd, paymentCrossings } = await import('../dist/lab/payment-crossings.js')
  const samples = new Map()
  const sampleOf = async (scenario) => {
    if (!samples.has(scenario)) samples.set(scenario, (await paymentCrossings(scenario, undefined, SAMPLE)).crossings)
    return samples.get(scenario)
  }
  process.on('message', async (crossing) => {
    const { user, system } = process.cpuUsage()
    const cpuMs = () => (process.cpuUsage().user + process.cpuUsage().system - user - system) / 1000
    try {
      const run = crossing.crowd ? await cutCrowd(crossing.crowd, crossing.seed, await sampleOf(crossing.crowd)) : await cut(crossing)
      process.send({ ...run, cpuMs: cpuMs() })
    } catch (error) {
      process.send({ crossing, violations: [`it threw: ${error?.code ?? ''} ${error?.message ?? error}`], struck: true, trace: '', cpuMs: cpuMs() })
    }
  })
} else {
  const { SAMPLE } = await import('../dist/lab/crossings.js')
  const { CROWD, paymentCrossings } = await import('../dist/lab/payment-crossings.js')
  const { explore } = await import('../dist/lab/explore.js')
  const { workloads } = await import('../dist/engines/payment/workloads.js')
  const started = performance.now()
  const jobs = []
  const sampled = {}
  const crowds = {}
  const names = await chosenScenarios({ engine: 'payment', only: values.only })
  for (const scenario of names) {
    const { crossings, of } = await paymentCrossings(scenario, undefined, SAMPLE)
    if (of > CROWD) {
      crowds[scenario] = { crossings: of, begun: CROWD_RUNS, runs: 0, crashes: 0 }
      for (let seed = 1; seed <= CROWD_RUNS; seed++) jobs.push({ crowd: scenario, seed })
      continue
    }
    if (of > crossings.length) sampled[scenario] = of
    jobs.push(...crossings)
  }
  const cuts = jobs.filter(({ crowd }) => crowd === undefined).length
  console.error(`${cuts} crossings of ${names.length} scenarios, ${Math.round((performance.now() - started) / 1000)} s`)
  const traces = new Set()
  const wrong = []
  const voids = []
  const cost = new Map()
  let [done, told] = [0, performance.now()]
  await workOff(fileURLToPath(import.meta.url), jobs, Number(values.processes), ({ crossing, scenario, seed, crashes, violations, struck, trace, cpuMs }) => {
    done++
    const name = scenario ?? crossing.scenario ?? crossing.crowd
    cost.set(name, (cost.get(name) ?? 0) + cpuMs)
    traces.add(trace)
    if (violations.length > 0) {
      wrong.push({ ...(crossing ?? { scenario, seed }), violations })
      if (wrong.length <= WRONG_TOLD) console.error(JSON.stringify(wrong.at(-1)))
    }
    if (scenario !== undefined) {
      crowds[scenario].runs++
      const crowd = crowds[scenario]
      crowd.crashes += crashes
      if (crowd.crashes < CROWD_CRASHES && crowd.begun < CROWD_RUNS_MOST) jobs.push({ crowd: scenario, seed: ++crowd.begun })
    } else if (!struck) voids.push(crossing)
    if (performance.now() - told < PROGRESS_MS) return
    told = performance.now()
    console.error(`${done} of ${jobs.length}, ${Math.round((performance.now() - started) / 1000)} s, ${wrong.length} violations`)
  })
  const explored = values.only === undefined ? await explore({ depth: Number(values.depth), workloads: Object.keys(workloads), seed: 1, subject: { kind: 'reference' }, limit: 10_000_000 }) : undefined
  for (const each of voids.slice(0, 20)) console.log(JSON.stringify({ void: each }))
  for (const { token, findings } of explored?.convictions ?? []) console.log(JSON.stringify({ violated: token, findings }))
  const ok = wrong.length === 0 && voids.length === 0 && Object.values(crowds).every(({ crashes }) => crashes >= CROWD_CRASHES) && (explored?.violations ?? 0) === 0 && (explored?.voids.length ?? 0) === 0
  console.log(JSON.stringify({ ok, seconds: Math.round((performance.now() - started) / 1000), scenarios: names.length, cuts, crowds, sampled, dearestCpuSeconds: Object.fromEntries([...cost].toSorted((a, b) => b[1] - a[1]).slice(0, DEAREST).map(([name, ms]) => [name, Math.round(ms / 1000)])), voids: voids.length, traces: traces.size, violations: wrong.length, ...(explored ? { schedules: explored.schedules, byFaults: explored.byFaults, scheduleTraces: explored.traces, scheduleVoids: explored.voids.length, scheduleViolations: explored.violations } : {}) }))
  process.exitCode = ok ? 0 : 1
}
