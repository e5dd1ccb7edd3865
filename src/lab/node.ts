/**
 * The entry of a child process that is one life of one engine node. It is told what to be over its channel, says what its engine says,
 * and dies by SIGKILL at the crossing that it was armed with.
 */
import { writeSync } from 'node:fs'
import { NodeClock, SystemClock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { Log } from '../events.ts'
import { Random } from '../random.ts'
import type { CronSettings } from '../engines/cron/engine.ts'
import type { CreateWebhook } from '../engines/webhook/engine.ts'
import type { WebhookSettings } from '../engines/webhook/settings.ts'
import { AUTHORITY } from '../proxy/evil-certificates.ts'
import { Life } from './crash.ts'
import type { FromNode, NodeOrders, ToNode } from './node-channel.ts'
import { DEATH_FD, DRAIN_MS } from './node-channel.ts'
import { serveEngine } from './serve.ts'
import type { Served } from './serve.ts'
import { loadEngine, loadModule } from './units.ts'

/** The machine's, that somebody may set. */
const clock = new NodeClock(new SystemClock())
let served: Pick<Served, 'close'> | undefined
let life: Life | undefined

function send(message: FromNode): void {
  if (process.connected) process.send!(message)
}

function fail(error: unknown): void {
  send({ failed: error instanceof ResilError ? { code: error.code, message: error.message, hint: error.hint } : { bug: error instanceof Error ? (error.stack ?? error.message) : String(error) } })
}

async function start(orders: NodeOrders): Promise<void> {
  clock.step(orders.steppedMs)
  life = new Life({
    clock,
    onSpoilt: (fault) => send({ spoilt: fault }),
    points: orders.points,
    onDeath: (site) => {
      writeSync(DEATH_FD, site)
      process.kill(process.pid, 'SIGKILL')
    },
  })
  const log: Log = { emit: (type, fields = {}) => send({ event: { type, fields, at: clock.now() } }) }
  if (orders.engine === 'cron') return startCron(orders, log)
  if (orders.engine === 'webhook') return startWebhooks(orders, log)
  const engine = await serveEngine({
    clock,
    random: Random.seeded(orders.seed).fork(`node/${orders.node}/${orders.incarnation}`),
    log,
    node: orders.node,
    incarnation: orders.incarnation,
    db: orders.db,
    port: orders.port,
    services: orders.services,
    settings: orders.settings,
    createEngine: await loadEngine(orders.module),
    boundary: life,
  })
  served = engine
  engine.failed.catch(giveUp)
  send({ ready: { port: engine.port } })
}

async function startCron(orders: NodeOrders, log: Log): Promise<void> {
  const { runCronNode } = await import('./cron-alone.ts')
  const settings = orders.settings as Partial<CronSettings>
  const node = await runCronNode({ clock, log, db: orders.db, node: orders.node, host: '127.0.0.1', port: orders.port, env: process.env, settings, probe: true, lab: { boundary: life!, services: orders.services } })
  served = { close: () => node.close() }
  node.ended.then(() => process.disconnect(), giveUp)
  send({ ready: { port: Number(new URL(node.url).port) } })
}

async function startWebhooks(orders: NodeOrders, log: Log): Promise<void> {
  const { labKey, runWebhookNode } = await import('./webhook-alone.ts')
  const { node, incarnation, db, port, seed } = orders
  // Customers are called by their address.
  const names = new Map(Object.entries(orders.services).map(([name, url]) => [new URL(url).host, name]))
  const nameOf = (origin: string) => names.get(new URL(origin).host) ?? origin
  const create = orders.module === undefined ? undefined : (await loadModule<{ createEngine: CreateWebhook }>(orders.module, 'createEngine')).createEngine
  const running = await runWebhookNode({
    clock, log, db, node, port, create,
    place: { keys: () => [labKey(seed)], allow: ['127.0.0.1/32'], plainHttp: true, version: 'laboratory' },
    settings: orders.settings as Partial<WebhookSettings>,
    lab: { boundary: { store: (inner) => life!.store(inner), handle: (inner) => life!.handle(inner), network: (inner) => life!.network(inner, nameOf) }, random: Random.seeded(seed).fork(`node/${node}/${incarnation}`), incarnation, ca: AUTHORITY },
  })
  served = running
  running.failed.catch(giveUp)
  send({ ready: { port: running.port } })
}

function giveUp(error: unknown): void {
  fail(error)
  if (process.connected) process.disconnect()
}

process.on('message', (message: ToNode) => {
  if ('start' in message) {
    start(message.start).catch(giveUp)
    return
  }
  if ('step' in message) return clock.step(message.step)
  life?.arm(message.arm)
  send({ armed: true })
})

process.on('SIGTERM', () => {
  void (served?.close(DRAIN_MS) ?? Promise.resolve()).catch(fail).finally(() => process.connected && process.disconnect())
})
// Ctrl-C goes to the whole group of processes; the laboratory decides when a node ends.
process.on('SIGINT', () => {})
// Without the laboratory there is no reason to live, and nobody who would end it.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
