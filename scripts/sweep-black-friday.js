// `npm run sweep:black-friday`: the full Black Friday (a hundred customers a second, the storm from t = 20 s to t = 80 s, 9,000 customers on average) over
// many seeds in virtual time (--seeds 100, --from 1), under our policies and under the breaker of the textbooks. On two processes (--processes 2).
// --per-second 50 halves customers and slots alike. Prints the figures last, as one line of JSON; exit code 1 when a promise was broken or a bar was missed.
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { workOff } from './work-off.js'

const { values } = parseArgs({ options: { seeds: { type: 'string', default: '100' }, from: { type: 'string', default: '1' }, processes: { type: 'string', default: '2' }, 'per-second': { type: 'string', default: '100' }, child: { type: 'boolean', default: false } } })

/** Of what any policy could have had paid in time, the median: at least, and for the textbook at most. */
const OURS_AT_LEAST = 0.88
const TEXTBOOK_AT_MOST = 0.1
const AMPLIFIED_AT_MOST = 1.1
/** Bank slots for each customer a second: 120 for a hundred. */
const SLOTS_EACH = 1.2

const perSecond = Number(values['per-second'])

if (values.child) {
  const { load, run } = await import('../dist/lab/run.js')
  const { blackFriday } = await import('../dist/engines/payment/storm.js')
  const { textbook } = await import('../dist/engines/payment/compare.js')
  const story = blackFriday({ name: 'B11', summary: 'the full Black Friday' }, { perSecond, slots: Math.round(SLOTS_EACH * perSecond), calmMs: 20_000, stormMs: 60_000, afterMs: 10_000, leastOfMost: 0 })
  const planOf = (seed) => ({ scenario: 'B11', mode: 'sim', seed, subject: { kind: 'reference' }, toxics: [], invariants: [], options: { clicks: 2, amountMinor: 9900, currency: 'USD' }, again: `npm run sweep:black-friday -- --seeds 1 --from ${seed}` })
  const units = await load(planOf(1))
  process.on('message', async ({ seed, policy, retries }) => {
    let figures = {}
    const scenario = { ...(retries ? blackFriday({ name: 'B11', summary: 'shops that try again' }, { perSecond, slots: Math.round(SLOTS_EACH * perSecond), calmMs: 20_000, stormMs: 60_000, afterMs: 10_000, leastOfMost: 0, shops: 10 }) : story), settings: policy === 'textbook' ? textbook.settings : {} }
    const { findings, verdict } = await run(planOf(seed), { untold: true, sinks: [(event) => { if (event.type === 'storm.measured') figures = event }] }, { ...units, scenario })
    const violated = findings.filter(({ verdict }) => verdict === 'violated')
    process.send({ seed, policy, retries, verdict, figures, broken: violated.filter(({ invariant }) => !invariant.startsWith('expected: ')).map(({ invariant, violations }) => `${invariant}: ${violations[0].why}`), missed: violated.filter(({ invariant }) => invariant.startsWith('expected: ')).map(({ invariant, violations }) => `${invariant}: ${violations[0].why}`), doubles: violated.filter(({ invariant }) => invariant === 'at-most-one-charge').length, lies: violated.filter(({ invariant }) => invariant === 'answer-matches-ledger').length })
  })
} else {
  const started = performance.now()
  const jobs = []
  for (let seed = Number(values.from); seed < Number(values.from) + Number(values.seeds); seed++) jobs.push({ seed, policy: 'ours' }, { seed, policy: 'textbook' }, { seed, policy: 'ours', retries: true })
  const results = []
  await workOff(fileURLToPath(import.meta.url), jobs, Number(values.processes), (result) => {
    results.push(result)
    if (results.length % 10 === 0) console.error(`${results.length} of ${jobs.length}, ${Math.round((performance.now() - started) / 1000)} s`)
  }, ['--per-second', values['per-second']])

  const quantile = (of, share) => of.toSorted((a, b) => a - b)[Math.min(of.length - 1, Math.floor(share * of.length))]
  const round = (value) => Math.round(value * 1000) / 1000
  const spread = (of, field) => ({ least: round(quantile(of.map(({ figures }) => figures[field]), 0)), median: round(quantile(of.map(({ figures }) => figures[field]), 0.5)), most: round(quantile(of.map(({ figures }) => figures[field]), 1)) })
  const summary = (of) => ({
    ofMost: spread(of, 'ofMost'),
    paid: spread(of, 'paid'),
    amplification: spread(of, 'amplification'),
    callsPerPayment: spread(of, 'callsPerPayment'),
    paidAfter: spread(of, 'paidAfter'),
    paidRecovered: spread(of, 'paidRecovered'),
    customers: of.reduce((sum, { figures }) => sum + figures.customers, 0),
    unresolved: of.reduce((sum, { figures }) => sum + figures.unresolved, 0),
    doubleCharges: of.reduce((sum, { doubles }) => sum + doubles, 0),
    lies: of.reduce((sum, { lies }) => sum + lies, 0),
  })
  /** Where shops try again, who was paid at his first try says little. */
  const repeats = (of) => {
    const { amplification, callsPerPayment, paidRecovered, customers, unresolved, doubleCharges, lies } = summary(of)
    return { amplification, callsPerPayment, paidRecovered, customers, unresolved, doubleCharges, lies }
  }
  const ours = results.filter(({ policy, retries }) => policy === 'ours' && !retries)
  const retrying = results.filter(({ retries }) => retries)
  const textbook = results.filter(({ policy }) => policy === 'textbook')
  const figures = { seeds: Number(values.seeds), ours: summary(ours), tenShopsThatRetry: repeats(retrying), textbook: summary(textbook) }
  const broken = results.filter(({ broken }) => broken.length > 0)
  for (const { seed, policy, broken: promises } of broken.slice(0, 10)) console.log(JSON.stringify({ seed, policy, broken: promises }))
  for (const { seed, missed } of [...ours, ...retrying].filter(({ missed }) => missed.length > 0).slice(0, 10)) console.log(JSON.stringify({ seed, missed }))
  const calm = [...ours, ...retrying].every(({ figures }) => figures.unresolved === 0 && figures.amplification <= AMPLIFIED_AT_MOST)
  const ok = broken.length === 0 && calm && figures.ours.ofMost.median >= OURS_AT_LEAST && figures.textbook.ofMost.median < TEXTBOOK_AT_MOST
  console.log(JSON.stringify({ ok, seconds: Math.round((performance.now() - started) / 1000), ...figures, broken: broken.length }))
  process.exitCode = ok ? 0 : 1
}
