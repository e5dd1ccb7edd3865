// `npm run sweep:exchanges`: mutated HTTP exchanges through links of dist/, the same of which the suite makes a few. --runs 50000, --seed 1.
// What happened and memory are told first, the count last; exit code 1 when a byte was wrong, memory grew or a socket was left.
import { parseArgs } from 'node:util'
import { toxics as loaders } from '../dist/catalog.js'
import { SystemClock } from '../dist/clock.js'
import { EventLog } from '../dist/events.js'
import { Proxies } from '../dist/proxy/proxies.js'
import { Random } from '../dist/random.js'
import { fuzzExchanges } from '../test/proxy/exchange-fuzz.js'

/** What the heap may grow by after a fifth of the runs, once collected: nothing that a run leaves is this small 40,000 times. */
const HEAP_GROWTH_MIB = 8

const { values } = parseArgs({ options: { runs: { type: 'string', default: '50000' }, seed: { type: 'string', default: '1' } } })
const toxics = Object.fromEntries(await Promise.all(Object.entries(loaders).map(async ([name, load]) => [name, await load()])))
const started = performance.now()
const { runs, kinds, exact, told, early, late, close } = await fuzzExchanges({ runs: Number(values.runs), seed: values.seed, modules: { EventLog, Proxies, Random, SystemClock, toxics } })
const left = await close()
const mib = (bytes) => Math.round(bytes / 104_857.6) / 10
const heapGrowthMiB = mib(late.heapUsed - early.heapUsed)
const ok = left === 0 && heapGrowthMiB < HEAP_GROWTH_MIB
console.log(JSON.stringify({ ok, seed: values.seed, seconds: Math.round((performance.now() - started) / 1000), kinds, exact, hits: told['toxic.hit'] ?? 0, heapMiB: [mib(early.heapUsed), mib(late.heapUsed)], rssMiB: [mib(early.rss), mib(late.rss)], heapGrowthMiB, socketsLeft: left, runs }))
process.exitCode = ok ? 0 : 1
