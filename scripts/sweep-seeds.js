// `npm run sweep:seeds`: every scenario in virtual time under other seeds than the tests play, as many as --seconds (10) of CPU allow for each, --seeds (200) at most,
// beginning with --from (1001). --engine payment, cron or webhook alone; --only W-500,U6. On two processes (--processes 2); with --seconds 5 it takes nine minutes.
// Prints the figures last; exit code 1 when one of them did not hold, each of which is told with its seed.
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { chosenScenarios } from './chosen-scenarios.js'
import { workOff } from './work-off.js'

const { values } = parseArgs({ options: { processes: { type: 'string', default: '2' }, seconds: { type: 'string', default: '10' }, seeds: { type: 'string', default: '200' }, from: { type: 'string', default: '1001' }, engine: { type: 'string' }, only: { type: 'string' }, child: { type: 'boolean', default: false } } })

/** What is told of one that did not hold. */
const FINDINGS_TOLD = 3
/** Between two words of progress. */
const PROGRESS_MS = 30_000

if (values.child) {
  const { load, run } = await import('../dist/lab/run.js')
  const planOf = (scenario, seed) => ({ scenario, mode: 'sim', seed, subject: { kind: 'reference' }, toxics: [], invariants: [], again: '' })
  const play = async (scenario, seed, loaded) => {
    try {
      const { verdict, findings, unfired } = await run(planOf(scenario, seed), { untold: true }, loaded)
      return verdict === 'held' ? undefined : { scenario, seed, verdict, unfired, findings: findings.filter((finding) => finding.verdict !== 'held').slice(0, FINDINGS_TOLD).map(({ invariant, violations }) => `${invariant}: ${violations[0]?.why ?? 'undecided'}`) }
    } catch (error) {
      return { scenario, seed, verdict: 'threw', findings: [`${error?.code ?? ''} ${error?.message ?? error}`] }
    }
  }
  process.on('message', async ({ scenario }) => {
    const { user, system } = process.cpuUsage()
    const cpuMs = () => (process.cpuUsage().user + process.cpuUsage().system - user - system) / 1000
    const loaded = await load(planOf(scenario, 1))
    const wrong = []
    let seed = Number(values.from)
    for (; seed < Number(values.from) + Number(values.seeds) && cpuMs() < 1000 * Number(values.seconds); seed++) {
      const found = await play(scenario, seed, loaded)
      if (found) wrong.push(found)
    }
    process.send({ scenario, runs: seed - Number(values.from), wrong })
  })
} else {
  const started = performance.now()
  const jobs = (await chosenScenarios(values)).map((scenario) => ({ scenario }))
  const runsOf = []
  const wrong = []
  let told = performance.now()
  await workOff(fileURLToPath(import.meta.url), jobs, Number(values.processes), (answer) => {
    runsOf.push(answer.runs)
    wrong.push(...answer.wrong)
    for (const each of answer.wrong) console.log(JSON.stringify(each))
    if (performance.now() - told < PROGRESS_MS) return
    told = performance.now()
    console.error(`${runsOf.length} of ${jobs.length} scenarios, ${Math.round((performance.now() - started) / 1000)} s, ${wrong.length} did not hold`)
  }, ['--seconds', values.seconds, '--seeds', values.seeds, '--from', values.from])
  const ok = wrong.length === 0
  console.log(JSON.stringify({ ok, seconds: Math.round((performance.now() - started) / 1000), scenarios: jobs.length, least: Math.min(...runsOf), runs: runsOf.reduce((sum, runs) => sum + runs, 0), wrong: wrong.length }))
  process.exitCode = ok ? 0 : 1
}
