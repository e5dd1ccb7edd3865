// `npm run sweep:control`: mutated requests to the control API of dist/, the same that the suite sends a few of. --runs 50000, --seed 1.
// What came back and memory are told first, the count last; exit code 1 when an answer was wrong, memory grew or a socket was left.
import { parseArgs } from 'node:util'
import { toxics as loaders } from '../dist/catalog.js'
import { SystemClock } from '../dist/clock.js'
import { EventLog } from '../dist/events.js'
import { openAdmin } from '../dist/proxy/admin.js'
import { Proxies } from '../dist/proxy/proxies.js'
import { Random } from '../dist/random.js'
import { fuzzControl } from '../test/proxy/admin-fuzz.js'

/** What the heap may grow by after a fifth of the runs, once collected: nothing that a run leaves is this small 40,000 times. */
const HEAP_GROWTH_MIB = 8

const { values } = parseArgs({ options: { runs: { type: 'string', default: '50000' }, seed: { type: 'string', default: '1' } } })
const toxics = Object.fromEntries(await Promise.all(Object.entries(loaders).map(async ([name, load]) => [name, await load()])))
const started = performance.now()
const { runs, statuses, early, late, close } = await fuzzControl({ runs: Number(values.runs), seed: values.seed, modules: { EventLog, openAdmin, Proxies, Random, SystemClock, toxics } })
const left = await close()
const mib = (bytes) => Math.round(bytes / 104_857.6) / 10
const heapGrowthMiB = mib(late.heapUsed - early.heapUsed)
const ok = left === 0 && heapGrowthMiB < HEAP_GROWTH_MIB
console.log(JSON.stringify({ ok, seed: values.seed, seconds: Math.round((performance.now() - started) / 1000), statuses, heapMiB: [mib(early.heapUsed), mib(late.heapUsed)], rssMiB: [mib(early.rss), mib(late.rss)], heapGrowthMiB, socketsLeft: left, runs }))
process.exitCode = ok ? 0 : 1
