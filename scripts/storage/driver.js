// The process that is cut: lives of the payment engine, one for each job that comes down the channel (descriptor 3), in virtual time. It waits for every
// answer of the world without doing anything else, so that the same job makes the same operations in the same order each time.
import { readSync, statSync, writeSync } from 'node:fs'
import { VirtualClock } from '../../dist/clock.js'
import { Random } from '../../dist/random.js'
import { begin, pay } from './life.js'
import { SCRIPTS } from './scripts.js'
import { arm } from './shim.js'

const CHANNEL = 3
/** Virtual ms after which a life that has not ended never will. */
const ENDLESS_MS = 3_600_000

const { store, engine } = JSON.parse(process.argv[2])
const openSqlite = store && (await import(store)).openSqlite
const createEngine = engine && (await import(engine)).createEngine

let heard = ''
/** The next line from the channel, or undefined at its end. */
function receive() {
  const chunk = Buffer.alloc(65_536)
  for (;;) {
    const end = heard.indexOf('\n')
    if (end >= 0) {
      const line = heard.slice(0, end)
      heard = heard.slice(end + 1)
      return JSON.parse(line)
    }
    const bytes = readSync(CHANNEL, chunk)
    if (bytes === 0) return undefined
    heard += chunk.toString('utf8', 0, bytes)
  }
}

/** `fault` as in shim.js; `tries` a client makes; `closes` in order, or leaves the file as it is in its hands. */
async function live({ db, folder, script, epoch, fault, tries, closes }) {
  const clock = new VirtualClock(epoch)
  const run = (work) => clock.run(work, { untilMs: ENDLESS_MS })
  const say = (message) => writeSync(CHANNEL, `${JSON.stringify({ at: clock.now(), ...message })}\n`)
  const { life, phases } = SCRIPTS[script]
  const latency = Random.seeded(`latency ${life}`)
  let charges = 0
  let diesAfter = Infinity
  const ask = (service, request) => {
    say({ ask: service, request })
    const answer = receive()
    if (request.path === '/v1/charges' && ++charges >= diesAfter) process.kill(process.pid, 'SIGKILL')
    return answer
  }
  arm(folder, fault)
  let served
  try {
    served = await run(begin({ db, clock, life, ask, latencyMs: () => latency.int(10, 90), openSqlite, createEngine, complain: (complaint) => say({ complaint }) }))
  } catch (error) {
    say({ refused: error.code ?? error.message })
  }
  if (served) {
    const { handle } = served
    const payOne = (order) => pay({ handle, clock, say, order, tries })
    for (const { lies = [], inTurn = [], atOnce = [], fillTo = 0, diesAfter: last = Infinity } of phases) {
      for (const lie of lies) say({ lie })
      diesAfter = charges + last
      for (let n = 101; fillTo > 0 && statSync(`${db}-wal`).size < fillTo; n++) await run(payOne(`fill-${n}`))
      for (const order of inTurn) await run(payOne(order))
      await run(Promise.all(atOnce.map(payOne)))
      await served.anchor(run)
    }
  }
  if (served && closes) {
    await run(served.stop())
    await served.anchor(run)
    await run(served.store.close())
  }
  say({ done: true })
  receive()
  arm(folder)
}

process.on('unhandledRejection', (error) => writeSync(CHANNEL, `${JSON.stringify({ complaint: `nobody handled ${error?.code ?? error}` })}\n`))

for (let job = receive(); job; job = receive()) await live(job)
