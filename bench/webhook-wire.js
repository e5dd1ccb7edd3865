// What the processes of `bench/webhook.js` have in common: the message, how a sender that keeps nothing signs and sends it, and what a process has cost.
import { readFileSync, readdirSync } from 'node:fs'
import { Pool } from 'undici'
import { signer } from '../dist/engines/webhook/signature.js'

export const BODY_BYTES = 1024
/** Where its number and the time of its making stand in a body. */
export const N_AT = 6
export const N_DIGITS = 10
export const AT_AT = 24
export const AT_DIGITS = 16
const SECRET = `whsec_${Buffer.alloc(32, 5).toString('base64')}`
const TIMEOUT_MS = 15_000

/** One clock for all processes of the machine, whole microseconds. */
export const microseconds = () => Number(process.hrtime.bigint() / 1000n)

/** Message `n`, made now, of exactly BODY_BYTES bytes. */
export function bodyOf(n) {
  const head = `{"n":"${String(n).padStart(N_DIGITS, '0')}","at":"${String(microseconds()).padStart(AT_DIGITS, '0')}","pad":"`
  return `${head}${'x'.repeat(BODY_BYTES - head.length - 2)}"}`
}

/** Signed POSTs with undici's Pool.request, one pool an origin; what every queue's worker does here. Throws unless the answer is 2xx. */
export function senderOf(origins, connections) {
  const pools = origins.map((origin) => new Pool(origin, { connections }))
  const { sign } = signer([{ secret: SECRET }])
  return {
    async send({ n, endpoint, path, body }) {
      const seconds = Math.floor(Date.now() / 1000)
      const id = `evt_${n}`
      const answer = await pools[endpoint % pools.length].request({
        method: 'POST',
        path,
        headers: {
          'content-type': 'application/json',
          'user-agent': 'bench',
          'webhook-id': id,
          'webhook-timestamp': String(seconds),
          'webhook-signature': sign(id, seconds, body),
          'webhook-endpoint': `ep_${endpoint}`,
          'webhook-sequence': String(n),
          'webhook-attempt': '1',
        },
        body,
        headersTimeout: TIMEOUT_MS,
      })
      await answer.body.dump()
      if (answer.statusCode >= 300) throw new Error(`status ${answer.statusCode}`)
    },
    close: () => Promise.all(pools.map((pool) => pool.destroy())),
  }
}

/** @param {() => Promise<void>} work @param {number} many @param {number} parallel */
export async function inParallel(work, many, parallel) {
  let left = many
  await Promise.all(Array.from({ length: Math.min(many, parallel) }, async () => {
    while (left-- > 0) await work()
  }))
}

/** Calls `make(n)` for n from `from` on, `perSecond` times a second for `ms`, each at its own time, and waits for them all. */
export async function paced({ from, perSecond, ms }, make) {
  const under = []
  const start = performance.now()
  const many = Math.round((perSecond * ms) / 1000)
  for (let i = 0; i < many; i++) {
    const early = start + (i * 1000) / perSecond - performance.now()
    if (early > 0) await new Promise((resolve) => setTimeout(resolve, Math.ceil(early)))
    under.push(make(from + i))
  }
  await Promise.all(under)
  return { made: many }
}

/** CPU of this process so far, all threads, ms. */
export function ownCpuMs() {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** Ticks of /proc are of this many ms on every Linux that Debian runs on. */
const TICK_MS = 10

/** CPU of a process, of the children that it has now and of those that it had, ms; Linux only. */
export function cpuMsOf(pid) {
  const stat = (of) => {
    try {
      return readFileSync(`/proc/${of}/stat`, 'latin1').split(') ')[1].split(' ')
    } catch {
      return undefined // it has ended meanwhile: its parent counts it
    }
  }
  const [user, system, oldUser, oldSystem] = (stat(pid) ?? [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).slice(11, 15).map(Number)
  let ticks = user + system + oldUser + oldSystem
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const fields = stat(entry)
    if (fields && Number(fields[1]) === pid) ticks += Number(fields[11]) + Number(fields[12])
  }
  return ticks * TICK_MS
}

/** Obeys the parent: every message {do, ...} is answered by one message, the result or {error}. @param {Record<string, (orders: object) => Promise<object>>} roles */
export function obeyParent(roles) {
  let self
  const obey = async ({ do: what, ...orders }) => {
    if (what !== 'be') return self[what](orders)
    self = await roles[orders.role](orders)
    return self.told ?? {}
  }
  process.on('message', (message) => {
    obey(message).then(
      (result) => process.send(result ?? {}),
      (error) => process.send({ error: error.stack ?? String(error) }),
    )
  })
  process.on('disconnect', () => process.exit())
}
