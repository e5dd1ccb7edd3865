// Payments a second and CPU a payment of the payment engine, as multiples of a bare node:http handler that makes the same calls and keeps nothing.
//
//   load ──> engine | bare | bare again ──> mocks (fraud 0 ms, bank 20 ms or 0 ms, notification 0 ms)      each a process of its own
//
// The rounds of the three servers are interleaved, so that a busy machine is busy for all; medians of the rounds. `bare again` is the same handler in a
// second process: how far its ratio is from 1 is how far the others can be trusted. Every answer is checked, and at the end of each level the bank's ledger.
//   --quick         under a minute, for a first look
//   --profile DIR   CPU profiles of the engine's processes go there
// One JSON line last; exit code 1 under the floor, or when an answer or the ledger was wrong.
import { fork } from 'node:child_process'
import { availableParallelism, loadavg } from 'node:os'
import { mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

/** Of the bare handler's rate, at 64 clients and a bank of 20 ms; and how many times its CPU a payment may take. */
const FLOOR = 0.45
const GOAL = 0.7
const CPU_MOST = 3.5
/** In an open loop at half of what the engine can do there: what it may add to the median, ms. */
const ADDED_P50_MOST = 10
const OPEN_SHARE = 0.5
const BAR = { clients: 64, bankMs: 20 }

const LEVELS = [1, 16, 64, 256]
const SERVERS = ['bare', 'engine', 'bareAgain']
/** Before the first round each server gets this many clients at least, whatever the level: one client would compile nothing in a second. */
const WARM_CLIENTS = 64
/** What statfs says of a file system in memory, where fsync costs nothing. */
const TMPFS = 0x01021994

const { values: options } = parseArgs({ options: { quick: { type: 'boolean', default: false }, profile: { type: 'string' } } })
const plan = options.quick
  ? { warmMs: 400, banks: [{ ms: 20, levels: LEVELS, rounds: 3, roundMs: 500 }, { ms: 0, levels: [64], rounds: 3, roundMs: 500 }] }
  : { warmMs: 1000, banks: [{ ms: 20, levels: LEVELS, rounds: 5, roundMs: 2500 }, { ms: 0, levels: LEVELS, rounds: 3, roundMs: 1500 }] }

/** A child process, and how to ask it. @param {string} role @param {object} orders */
async function start(role, orders) {
  const execArgv = role === 'engine' && options.profile ? ['--cpu-prof', `--cpu-prof-dir=${options.profile}`] : []
  const child = fork(fileURLToPath(new URL('payments-process.js', import.meta.url)), { execArgv })
  const gone = new Promise((_, reject) => child.once('exit', (code, signal) => reject(new Error(`${role} ended with ${code ?? signal}`))))
  gone.catch(() => {}) // told to whoever asks
  const ask = async (what, more = {}) => {
    const answered = new Promise((resolve) => child.once('message', resolve))
    child.send({ do: what, ...more })
    const answer = await Promise.race([answered, gone])
    if (answer.error) throw new Error(`${role}: ${answer.error}`)
    return answer
  }
  const end = () => new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once('exit', resolve)
    child.disconnect()
  })
  try {
    return { ...(await ask('be', { role, ...orders })), ask, end }
  } catch (error) {
    await end()
    throw error
  }
}

/** @param {number[]} values */
function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1]
}

const rounded = (value, digits = 2) => Number(value.toFixed(digits))

/** One level, on fresh processes and a fresh database. */
async function level(folder, bank, clients) {
  const started = []
  const begin = async (role, orders) => {
    const process = await start(role, orders)
    started.push(process)
    return process
  }
  try {
    const mocks = await begin('mocks', { bankMs: bank.ms })
    const { services } = mocks
    const servers = {
      bare: await begin('bare', { services }),
      engine: await begin('engine', { services, db: join(folder, `bank-${bank.ms}-clients-${clients}.db`) }),
      bareAgain: await begin('bare', { services }),
    }
    const load = await begin('load', { services })
    for (const name of SERVERS) {
      const { total } = await load.ask('round', { url: servers[name].url, clients: Math.max(clients, WARM_CLIENTS), ms: plan.warmMs })
      await mocks.ask('settle', { payments: total })
    }

    const rounds = Object.fromEntries(SERVERS.map((name) => [name, []]))
    for (let i = 0; i < bank.rounds; i++) {
      for (let j = 0; j < SERVERS.length; j++) {
        const name = SERVERS[(i + j) % SERVERS.length]
        const before = await servers[name].ask('facts')
        const { payments, total, tookMs, p50, p99 } = await load.ask('round', { url: servers[name].url, clients, ms: bank.roundMs })
        await mocks.ask('settle', { payments: total })
        const after = await servers[name].ask('facts')
        rounds[name].push({ rate: (payments / tookMs) * 1000, cpuMs: (after.cpuMs - before.cpuMs) / payments, p50, p99, groupsPerPayment: (after.groups - before.groups) / payments })
      }
    }
    // Callers who do not wait for one another, at half of what the engine can do: what it adds when it is not pushed.
    const open = Object.fromEntries(SERVERS.map((name) => [name, []]))
    if (clients === BAR.clients && bank.ms === BAR.bankMs) {
      const perSecond = OPEN_SHARE * median(rounds.engine.map(({ rate }) => rate))
      for (let i = 0; i < bank.rounds; i++) {
        for (let j = 0; j < SERVERS.length; j++) {
          const name = SERVERS[(i + j) % SERVERS.length]
          const { total, p50 } = await load.ask('open', { url: servers[name].url, perSecond, ms: bank.roundMs })
          await mocks.ask('settle', { payments: total })
          open[name].push(p50)
        }
      }
    }

    const facts = await servers.engine.ask('facts')
    if (facts.journal !== 'wal' || facts.synchronous !== 2) throw new Error(`not durable: journal ${facts.journal}, synchronous ${facts.synchronous}`)
    const { payments } = await load.ask('verify')
    await servers.engine.ask('close')

    const of = (name, field) => median(rounds[name].map((round) => round[field]))
    // Each round against its own neighbours: the machine's mood changes more between rounds than within one.
    const ratio = (name, field) => rounded(median(rounds[name].map((round, i) => round[field] / rounds.bare[i][field])))
    const figures = Object.fromEntries(SERVERS.map((name) => [name, { rate: rounded(of(name, 'rate'), 0), cpuMs: rounded(of(name, 'cpuMs'), 3), p50: rounded(of(name, 'p50'), 1), p99: rounded(of(name, 'p99'), 1) }]))
    return {
      bankMs: bank.ms, clients, ...figures,
      rateRatio: ratio('engine', 'rate'), cpuRatio: ratio('engine', 'cpuMs'), aaRate: ratio('bareAgain', 'rate'), aaCpu: ratio('bareAgain', 'cpuMs'),
      commitsPerPayment: rounded(of('engine', 'groupsPerPayment')), payments,
      ...(open.engine.length > 0 ? { openP50: Object.fromEntries(SERVERS.map((name) => [name, rounded(median(open[name]), 1)])), addedP50: rounded(median(open.engine.map((p50, i) => p50 - open.bare[i])), 1) } : {}),
    }
  } finally {
    for (const process of started.reverse()) await process.end()
  }
}

// On the disk of the checkout: a system's folder for temporary files may be in memory.
const cache = fileURLToPath(new URL('../node_modules/.cache/', import.meta.url))
mkdirSync(cache, { recursive: true })
if (statfsSync(cache).type === TMPFS) console.log('NOTE  the database is on a file system in memory: durability is free here, and the figures flatter')
const folder = mkdtempSync(join(cache, 'resil-bench-'))

console.log(`payments: engine against a bare handler that keeps nothing, node ${process.version}, ${availableParallelism()} cores, load ${loadavg()[0].toFixed(1)}`)
console.log('The load, the server and the mocks are processes that compete for these cores: rates are of the whole machine, CPU is of the server alone. Read the ratios.')
const columns = (cells) => cells.map((cell, i) => String(cell).padStart(i === 0 ? 8 : 10)).join('')
const results = []
try {
  for (const bank of plan.banks) {
    console.log(`\nbank ${bank.ms} ms, fraud 0 ms, notification 0 ms; ${bank.rounds} rounds of ${bank.roundMs / 1000} s each; every commit of the engine is durable (WAL, synchronous FULL: one fsync)`)
    console.log(columns(['clients', 'bare/s', 'engine/s', 'ratio', 'A/A', 'bare ms', 'engine ms', 'CPU ratio', 'A/A', 'p50 ms', 'bare p50', 'p99 ms', 'bare p99', 'fsync/pay']))
    for (const clients of bank.levels) {
      const r = await level(folder, bank, clients)
      results.push(r)
      console.log(columns([clients, r.bare.rate, r.engine.rate, r.rateRatio, r.aaRate, r.bare.cpuMs, r.engine.cpuMs, r.cpuRatio, r.aaCpu, r.engine.p50, r.bare.p50, r.engine.p99, r.bare.p99, r.commitsPerPayment]))
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}

const { rateRatio, cpuRatio, addedP50, openP50 } = results.find(({ clients, bankMs }) => clients === BAR.clients && bankMs === BAR.bankMs)
const held = rateRatio >= FLOOR && cpuRatio <= CPU_MOST && addedP50 <= ADDED_P50_MOST
const payments = results.reduce((sum, result) => sum + result.payments, 0)
console.log(`\n${payments} payments, each answered 201 with its amount, and the bank has exactly one charge for each and none besides.`)
console.log(`At ${BAR.clients} clients and a bank of ${BAR.bankMs} ms the engine does ${rateRatio} of the bare handler's rate; the floor is ${FLOOR}, the goal ${GOAL}: ${rateRatio >= GOAL ? 'goal reached' : rateRatio >= FLOOR ? 'met' : 'MISSED'}.`)
console.log(`It takes ${cpuRatio} times the CPU a payment, at most ${CPU_MOST}: ${cpuRatio <= CPU_MOST ? 'met' : 'MISSED'}. In an open loop at half of its capacity it adds ${addedP50} ms to the median of ${openP50.bare} ms, at most ${ADDED_P50_MOST}: ${addedP50 <= ADDED_P50_MOST ? 'met' : 'MISSED'}.`)
console.log(JSON.stringify({ bench: 'payments', node: process.version, cores: availableParallelism(), quick: options.quick, bar: { ...BAR, rateRatio, floor: FLOOR, goal: GOAL, cpuRatio, cpuMost: CPU_MOST, addedP50, addedP50Most: ADDED_P50_MOST, held }, results }))
if (!held) process.exitCode = 1
