/**
 * The entry of a child process that is one life of one engine node. It is told what to be over its channel, says what its engine says,
 * and dies by SIGKILL at the crossing that it was armed with.
 */
import { writeSync } from 'node:fs'
import { SystemClock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import { Random } from '../random.ts'
import { Life } from './crash.ts'
import type { FromNode, NodeOrders, ToNode } from './node-channel.ts'
import { DEATH_FD, DRAIN_MS } from './node-channel.ts'
import { serveEngine } from './serve.ts'
import type { Served } from './serve.ts'
import { loadEngine } from './units.ts'

const clock = new SystemClock()
let served: Served | undefined
let life: Life | undefined

function send(message: FromNode): void {
  if (process.connected) process.send!(message)
}

function fail(error: unknown): void {
  send({ failed: error instanceof ResilError ? { code: error.code, message: error.message, hint: error.hint } : { bug: error instanceof Error ? (error.stack ?? error.message) : String(error) } })
}

async function start(orders: NodeOrders): Promise<void> {
  life = new Life({
    clock,
    onSpoilt: (fault) => send({ spoilt: fault }),
    points: orders.points,
    onDeath: (site) => {
      writeSync(DEATH_FD, site)
      process.kill(process.pid, 'SIGKILL')
    },
  })
  served = await serveEngine({
    clock,
    random: Random.seeded(orders.seed).fork(`node/${orders.node}/${orders.incarnation}`),
    log: { emit: (type, fields = {}) => send({ event: { type, fields, at: clock.now() } }) },
    node: orders.node,
    incarnation: orders.incarnation,
    db: orders.db,
    port: orders.port,
    services: orders.services,
    settings: orders.settings,
    createEngine: await loadEngine(orders.module),
    boundary: life,
  })
  served.failed.catch((error: unknown) => {
    fail(error)
    process.disconnect()
  })
  send({ ready: { port: served.port } })
}

process.on('message', (message: ToNode) => {
  if ('start' in message) {
    start(message.start).catch((error: unknown) => {
      fail(error)
      process.disconnect()
    })
    return
  }
  life?.arm(message.arm)
  send({ armed: true })
})

process.on('SIGTERM', () => {
  void (served?.close(DRAIN_MS) ?? Promise.resolve()).catch(fail).finally(() => process.disconnect())
})
// Ctrl-C goes to the whole group of processes; the laboratory decides when a node ends.
process.on('SIGINT', () => {})
// Without the laboratory there is no reason to live, and nobody who would end it.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
