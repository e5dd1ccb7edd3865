// One process of `bench/cron.js`, told over its channel what to be: an engine on a database, or a candidate of etcd's election.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { SystemClock } from '../dist/clock.js'
import { EventLog } from '../dist/events.js'
import { CronEngine } from '../dist/engines/cron/engine.js'
import { openSqlite } from '../dist/engines/store/sqlite.js'
import { Random } from '../dist/random.js'

const clock = new SystemClock()

/** An engine whose workers know no job: what is measured is the leader. */
async function engine({ db, ttlMs }) {
  const store = await openSqlite(db, { clock, random: Random.system() })
  const log = new EventLog('bench', clock)
  const seen = { recorded: 0, lost: 0, firstAt: 0, lastAt: 0 }
  log.subscribe((event) => {
    if (event.type === 'tick.recorded') {
      seen.recorded++
      seen.firstAt ||= clock.now()
      seen.lastAt = clock.now()
    } else if (event.type === 'leader.lost') seen.lost++
    else if (event.type === 'leader.elected') process.send({ elected: true })
  })
  const node = new CronEngine({ clock, random: Random.system(), store, log: log.from('engine', 'n1'), node: 'n1', incarnation: 1, network: { call: () => Promise.reject(new Error('no network')) }, runner: { knows: () => false, run: () => Promise.reject(new Error('no jobs')) } }, { ttlMs, slots: 1 })
  const stop = new AbortController()
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  node.start(stop.signal).catch((error) => process.send({ error: String(error?.stack) }))
  return {
    facts() {
      const { user, system } = process.cpuUsage()
      const facts = { ...seen, cpuMs: (user + system) / 1000, rssMiB: process.memoryUsage().rss / 1048576, loopMaxMs: delay.max / 1e6 }
      delay.reset()
      return facts
    },
  }
}

/** etcd's own recipe, over its gateway: a lease, a campaign that waits, and then work that is compared with the campaign's revision. */
async function candidate({ url, ttlS, name }) {
  const ask = async (path, body) => {
    const response = await fetch(`${url}${path}`, { method: 'POST', body: JSON.stringify(body) })
    return response.json()
  }
  const b64 = (text) => Buffer.from(text).toString('base64')
  const { ID } = await ask('/v3/lease/grant', { TTL: ttlS })
  setInterval(() => void ask('/v3/lease/keepalive', { ID }).catch(() => {}), (ttlS * 1000) / 3)
  ask('/v3/election/campaign', { name: b64('cron'), value: b64(name), lease: ID }).then(async ({ leader }) => {
    process.send({ elected: true })
    for (;;) {
      const { succeeded } = await ask('/v3/kv/txn', { compare: [{ key: leader.key, target: 'CREATE', result: 'EQUAL', create_revision: leader.rev }], success: [{ requestPut: { key: b64('job'), value: b64(String(clock.now())) } }] })
      if (succeeded) process.send({ committed: clock.now() })
      await clock.sleep(100)
    }
  }, (error) => process.send({ error: String(error) }))
  return { facts: () => ({}) }
}

let role
process.on('message', async ({ do: what, ...orders }) => {
  try {
    if (what === 'be') {
      role = await { engine, candidate }[orders.role](orders)
      process.send({ ready: true })
    } else process.send({ facts: role.facts() })
  } catch (error) {
    process.send({ error: String(error?.stack ?? error) })
  }
})
process.on('disconnect', () => process.exit())
