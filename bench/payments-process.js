// One process of `bench/payments.js`, told over its channel what to be: the mocks, a server under load, or the load.
// Every message {do, ...} is answered by one message, the result or {error}.
import { createServer } from 'node:http'
import { Pool } from 'undici'
import { SystemClock } from '../dist/clock.js'
import { silentLog } from '../dist/events.js'
import { HttpNetwork } from '../dist/http-client.js'
import { serveHttp } from '../dist/http-server.js'
import { Random } from '../dist/random.js'
import { createEngine } from '../dist/engines/payment/engine.js'
import { DEFAULTS } from '../dist/engines/payment/settings.js'
import { serveEngine } from '../dist/lab/serve.js'
import { bank } from '../dist/proxy/mocks/bank.js'
import { fraud } from '../dist/proxy/mocks/fraud.js'
import { notification } from '../dist/proxy/mocks/notification.js'

const TIMEOUT_MS = 5000

/** @param {unknown} error */
function die(error) {
  console.error(error)
  process.exit(1)
}

const clock = new SystemClock()
const random = Random.system()

/** CPU of this process so far, user and system, all threads, ms. */
function cpuMs() {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** @param {{ bankMs: number }} orders */
async function mocks({ bankMs }) {
  const mocks = [fraud, bank, notification].map((make, i) => {
    const ms = i === 1 ? bankMs : 0
    return make({ clock, random, log: silentLog, latency: { p50: ms, p99: ms } })
  })
  const services = {}
  for (const mock of mocks) services[mock.name] = (await serveHttp(mock.handle, { clock })).url
  return {
    services,
    /** Resolves once `payments` were notified, or throws. @param {{ payments: number }} orders */
    async settle({ payments }) {
      const start = clock.monotonic()
      while (mocks[2].ledger.notifications.length < payments) {
        if (clock.monotonic() > start + TIMEOUT_MS) throw new Error(`${mocks[2].ledger.notifications.length} of ${payments} payments were notified`)
        await clock.sleep(5)
      }
    },
  }
}

/**
 * The payment engine as `serve` runs it, with nobody reading its events.
 * More notifications under way at once than by default, so that none is left for the sweep: a round's work ends with the round. Places for all the
 * callers of the largest level: on a machine that is busy with the load itself the limit that the engine finds would turn some away.
 * @param {{ services: Record<string, string>, db: string }} orders
 */
async function engine({ services, db }) {
  let store
  const served = await serveEngine({
    clock, random, log: silentLog, node: 'a', incarnation: 1, db, port: 0, services, createEngine, settings: { notifyParallel: 1024, bulkhead: { ...DEFAULTS.bulkhead, floor: 256 } },
    boundary: { store: (inner) => (store = inner), network: (inner) => inner, handle: (inner) => inner },
  })
  return { url: served.url, close: () => served.close(1000), facts: () => ({ cpuMs: cpuMs(), ...store.facts() }) }
}

/** Makes the engine's three calls in the engine's order and keeps nothing: the notification, like the engine's, is not waited for. @param {{ services: Record<string, string> }} orders */
async function bare({ services }) {
  const network = new HttpNetwork({ clock, services })
  const call = async (service, path, key, body) => {
    const headers = { 'content-type': 'application/json', accept: 'application/json', 'idempotency-key': key }
    const outcome = await network.call(service, { method: 'POST', path, headers, body: JSON.stringify(body) }, { timeoutMs: TIMEOUT_MS })
    if (outcome.kind !== 'ok' || outcome.value.status > 202) throw new Error(`${service}: ${outcome.kind} ${outcome.value?.status ?? outcome.error.code}`)
    return JSON.parse(outcome.value.body)
  }
  const pay = async (text) => {
    const { amount, currency, order, card } = JSON.parse(text)
    const id = random.id('pay')
    const { decision } = await call('fraud', '/v1/assessments', id, { amount, currency, reference: id, card })
    if (decision !== 'allow') throw new Error('fraud said no')
    const charge = await call('bank', '/v1/charges', random.id('bk'), { amount, currency, reference: id, card })
    const receipt = random.id('evt')
    call('notification', '/v1/notifications', receipt, { id: receipt, payment: id, order, amount, currency }).catch(die)
    return { payment_id: id, state: charge.status, amount, currency, order, charge: charge.id }
  }
  const server = createServer((request, response) => {
    const chunks = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      pay(Buffer.concat(chunks).toString()).then(
        (paid) => response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify(paid)),
        (error) => response.writeHead(500).end(String(error)),
      )
    })
  })
  await new Promise((resolve) => server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 }, resolve))
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    facts: () => ({ cpuMs: cpuMs() }),
    close: async () => {
      server.closeAllConnections()
      await network.close()
    },
  }
}

/** The clients. In a closed loop each asks, waits for its answer, checks it, asks again. @param {{ services: Record<string, string> }} orders */
async function load({ services }) {
  let made = 0
  /** What every payment of ours must be in the bank's ledger: amount by payment id. @type {Map<string, number>} */
  const paid = new Map()
  const pools = new Map()

  async function client(pool, until, latencies) {
    while (clock.monotonic() < until) await pay(pool, clock.monotonic(), latencies)
  }

  /** One payment, timed from `start`. */
  async function pay(pool, start, latencies) {
    const n = ++made
    const amount = 100 + (n % 9900)
    const { statusCode, body } = await pool.request({
      method: 'POST',
      path: '/v1/payments',
      headers: { 'content-type': 'application/json', 'idempotency-key': `key-${n}` },
      body: JSON.stringify({ amount, currency: 'USD', order: `order-${n}`, card: 'tok_visa' }),
    })
    const text = await body.text()
    latencies.push(clock.monotonic() - start)
    const told = statusCode === 201 ? JSON.parse(text) : {}
    if (told.amount !== amount || told.order !== `order-${n}` || paid.has(told.payment_id)) throw new Error(`payment ${n} of ${amount} was answered ${statusCode} ${text}`)
    paid.set(told.payment_id, amount)
  }

  return {
    /** Answers when every client has its last answer. @param {{ url: string, clients: number, ms: number }} orders */
    async round({ url, clients, ms }) {
      const pool = pools.get(url) ?? new Pool(url, { connections: 256 })
      pools.set(url, pool)
      const latencies = []
      const start = clock.monotonic()
      await Promise.all(Array.from({ length: clients }, () => client(pool, start + ms, latencies)))
      const tookMs = clock.monotonic() - start
      latencies.sort((a, b) => a - b)
      return { payments: latencies.length, total: paid.size, tookMs, p50: latencies[latencies.length >> 1], p99: latencies[Math.floor(latencies.length * 0.99)] }
    },
    /** So many callers a second, who wait for nobody; each is timed from when it was due. @param {{ url: string, perSecond: number, ms: number }} orders */
    async open({ url, perSecond, ms }) {
      const pool = pools.get(url)
      const latencies = []
      const under = []
      const start = clock.monotonic()
      for (let n = 0; n * 1000 < perSecond * ms; n++) {
        const due = start + (n * 1000) / perSecond
        const early = due - clock.monotonic()
        if (early > 0) await clock.sleep(early)
        under.push(pay(pool, due, latencies))
      }
      await Promise.all(under)
      latencies.sort((a, b) => a - b)
      return { total: paid.size, p50: latencies[latencies.length >> 1] }
    },
    /** The bank has exactly one charge for each payment that was answered, of its amount, and none besides. */
    async verify() {
      const { charges, refunds, voids, declines } = await (await fetch(`${services.bank}/ledger`)).json()
      const wrong = charges.filter(({ reference, amount, status }) => status !== 'succeeded' || paid.get(reference) !== amount)
      if (wrong.length + refunds.length + voids.length + declines.length > 0) throw new Error(`the bank's ledger has what nobody was told: ${JSON.stringify([...wrong, ...refunds, ...voids, ...declines].slice(0, 3))}`)
      const charged = new Set(charges.map(({ reference }) => reference)).size
      if (charged !== charges.length || charged !== paid.size) throw new Error(`${paid.size} payments were answered, the bank has ${charges.length} charges for ${charged} of them`)
      return { payments: paid.size }
    },
  }
}

const roles = { mocks, engine, bare, load }
let self

async function obey({ do: what, ...orders }) {
  if (what === 'be') {
    self = await roles[orders.role](orders)
    return { url: self.url, services: self.services }
  }
  return self[what](orders)
}

process.on('message', (message) => {
  obey(message).then(
    (result) => process.send(result ?? {}),
    (error) => process.send({ error: error.stack ?? String(error) }),
  )
})
process.on('disconnect', () => process.exit())
