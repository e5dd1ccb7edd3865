// What the proxy costs: requests a second, latencies, CPU a request and memory a connection, against six lines of node:net and against HTTP forwarding.
// Interleaved rounds, each way in a process of its own, the service and the load in two more: all share this machine, so read the ratios.
//   node bench/proxy.js [--quick]
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const quick = process.argv.includes('--quick')
const ROUNDS = quick ? 5 : 15
const ROUND_MS = quick ? 300 : 500
/** Before the first round: until the compiler has seen enough. */
const WARM_MS = quick ? 1500 : 3000
const TEN = Array.from({ length: 10 }, (_, n) => ({ type: ['http_error', 'lost_response', 'latency', 'http_delay', 'duplicate_request'][n % 5], name: `t${n}`, attributes: { path: `/never/${n}/**` } }))

const children = []
async function start(role, orders = {}) {
  const child = fork(fileURLToPath(new URL('proxy-process.js', import.meta.url)), { execArgv: ['--expose-gc'] })
  children.push(child)
  const ask = async (message) => {
    child.send(message)
    const [answer] = await once(child, 'message')
    if (answer.error) throw new Error(`${role}: ${answer.error}`)
    return answer
  }
  const { port } = await ask({ do: 'be', role, ...orders })
  return { port, ask }
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]
const round = (value, digits = 2) => Number(value.toFixed(digits))

const service = await start('service')
const load = await start('load')
const upstream = service.port
const ways = {
  direct: { ...service, none: true },
  pipe: await start('pipe', { upstream }),
  again: await start('pipe', { upstream }),
  ours: await start('ours', { upstream, toxics: [] }),
  ten: await start('ours', { upstream, toxics: TEN }),
  slow: await start('ours', { upstream, toxics: [{ type: 'latency', attributes: { latency: 20 } }] }),
  forward: await start('forward', { upstream }),
}
const NAMES = { direct: 'direct', pipe: 'pipe, six lines', again: 'the same pipe again', ours: 'ours, no toxic', ten: 'ours, ten rules that do not match', slow: 'ours, a latency of 20 ms', forward: 'HTTP forwarding (httpxy)' }

const WORK = {
  '1 KiB, keep-alive': { clients: 32, size: 's', fresh: false },
  '1 MiB bodies': { clients: 8, size: 'l', fresh: false },
  'connection per request': { clients: 16, size: 's', fresh: true },
}

async function measure(way, work, ms = ROUND_MS) {
  const before = await way.ask({ do: 'facts' })
  const told = await load.ask({ do: 'round', port: way.port, ms, ...work })
  const after = await way.ask({ do: 'facts' })
  return { ...told, cpuUs: (after.cpuUs - before.cpuUs) / told.requests }
}

const figures = {}
for (const [title, work] of Object.entries(WORK)) {
  const rounds = []
  for (const way of Object.values(ways)) await measure(way, work, WARM_MS)
  for (let n = 0; n < ROUNDS; n++) {
    const one = {}
    const names = Object.keys(ways)
    for (let i = 0; i < names.length; i++) {
      // Each begins a round as often as the others, and follows each neighbour as often as it precedes it.
      const name = names[(n % 2 ? names.length - i + n : i + n) % names.length]
      one[name] = await measure(ways[name], work)
    }
    rounds.push(one)
  }
  console.log(`\n${title}, ${work.clients} at once, median of ${ROUNDS} rounds`)
  console.log('                                     req/s   to pipe    p50 ms   p99 ms   CPU us   to pipe')
  figures[title] = {}
  for (const name of Object.keys(ways)) {
    const of = (field) => median(rounds.map((one) => one[name][field]))
    // Of the two pipes, so that the yardstick is steadier than one; the second is told against the first.
    const pipes = (one, field) => (name === 'again' ? one.pipe[field] : (one.pipe[field] + one.again[field]) / 2)
    const to = (field) => median(rounds.map((one) => one[name][field] / pipes(one, field)))
    const told = { rate: round(of('rate'), 0), rateToPipe: round(to('rate'), 3), p50: round(of('p50')), p99: round(of('p99')), cpuUs: round(of('cpuUs'), 1), cpuToPipe: round(to('cpuUs'), 3) }
    figures[title][name] = name === 'direct' ? { ...told, cpuUs: null, cpuToPipe: null } : told
    console.log(`${NAMES[name].padEnd(34)} ${String(told.rate).padStart(8)}  ${told.rateToPipe.toFixed(2).padStart(7)}  ${told.p50.toFixed(2).padStart(8)} ${told.p99.toFixed(2).padStart(8)}  ${name === 'direct' ? '' : `${told.cpuUs.toFixed(1).padStart(7)}  ${told.cpuToPipe.toFixed(2).padStart(7)}`}`)
  }
}

// what a latency of 20 ms adds beyond itself
const overshoot = {}
for (const clients of [1, 50]) {
  const beyond = []
  for (let n = 0; n < Math.min(ROUNDS, 7); n++) {
    const work = { clients, size: 's', fresh: false }
    const straight = await measure(ways.direct, work)
    beyond.push((await measure(ways.slow, work, ROUND_MS * 2)).p50 - 20 - straight.p50)
  }
  overshoot[clients] = round(median(beyond))
}
console.log(`\nlatency 20 ms: p50 is late by ${overshoot[1]} ms at 1 connection, ${overshoot[50]} ms at 50`)

// memory of connections that say nothing
const IDLE = 2000
const settle = () => new Promise((resolve) => setTimeout(resolve, 300))
const idle = await start('ours', { upstream, toxics: [] }) // a fresh one: what another has grown to before would be used again
await load.ask({ do: 'idle', port: idle.port, connections: 100 })
await load.ask({ do: 'drop' })
await settle()
const before = await idle.ask({ do: 'facts', collected: true })
await load.ask({ do: 'idle', port: idle.port, connections: IDLE })
await settle()
const after = await idle.ask({ do: 'facts', collected: true })
await load.ask({ do: 'drop' })
await settle()
const idleKiB = round((after.rss - before.rss) / 1024 / IDLE, 1)
console.log(`${IDLE} idle connections: ${idleKiB} KiB each (connections open then: ${after.connections - before.connections})`)

const ABORTS = 10_000
await load.ask({ do: 'abort', port: ways.ours.port, requests: ABORTS, clients: 50 })
await settle()
const { connections } = await ways.ours.ask({ do: 'facts' })
console.log(`${ABORTS} aborted requests: ${connections} connections left`)

const keepAlive = figures['1 KiB, keep-alive']
const floors = {
  'A/A within 3 %': [Math.abs(keepAlive.again.cpuToPipe - 1), 0.03],
  'CPU a request, no toxic, to the pipe': [keepAlive.ours.cpuToPipe, 1.2],
  'CPU a request, ten rules, to the pipe': [keepAlive.ten.cpuToPipe, 1.35],
  '1 MiB throughput, the pipe to ours': [round(1 / figures['1 MiB bodies'].ours.rateToPipe, 3), round(1 / 0.85, 3)],
  'latency late at 1, ms': [overshoot[1], 1.5],
  'latency late at 50, ms': [overshoot[50], 3],
  'KiB an idle connection': [idleKiB, 20],
  'connections left after aborts': [connections, 0],
}
console.log()
for (const [name, [value, most]] of Object.entries(floors)) console.log(`${value <= most ? 'met   ' : 'MISSED'}  ${name}: ${round(value, 3)}, at most ${most}`)
for (const child of children) child.disconnect()
console.log(JSON.stringify({ rounds: ROUNDS, figures, overshootMs: overshoot, idleKiB, connectionsLeft: connections, floors: Object.fromEntries(Object.entries(floors).map(([name, [value, most]]) => [name, { value, most, met: value <= most }])) }))
