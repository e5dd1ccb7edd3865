// Cuts one life of the payment engine at one point, in one way, and has judged what is left.
//
//   template ──> a folder ──> driver under the shim ──(cut)──> files, world ──> judge
//                              └─ once uncut: the order log ──> images of a power cut ──> judge
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { VIRTUAL_EPOCH_MS } from '../../dist/clock.js'
import { Random } from '../../dist/random.js'
import { Disk, MODELS, readLog } from './disk.js'
import { judge } from './judge.js'
import { ordersOf, SCRIPTS } from './scripts.js'
import { buildShim } from './shim.js'
import { World } from './world.js'

const DB = 'payments.db'
const DRIVER = fileURLToPath(new URL('driver.js', import.meta.url))
const UNHURT = { kind: 'none', from: 0, times: 0 }
/** Chances that the model `subset` is given at each point. */
const SUBSETS = 3

/**
 * How an operation may end. `tries` is what a client makes before it gives up; a life whose disk recovers goes on to its orderly end.
 * `full` and `fullForGood` strike only operations that need space.
 */
export const FAULTS = {
  kill: { kind: 'kill', times: 1, tries: 60 },
  eio: { kind: 'eio', times: 1, tries: 60, closes: true },
  eioForGood: { kind: 'eio', times: Number.MAX_SAFE_INTEGER, tries: 5, closes: false },
  full: { kind: 'enospc', times: 20, tries: 60, closes: true },
  fullForGood: { kind: 'enospc', times: Number.MAX_SAFE_INTEGER, tries: 5, closes: false },
}

export class Bench {
  #folder
  #shim
  #variant
  #drivers = new Map()
  #templates = new Map()
  #traces = new Map()
  /** Images that were judged already, by what is in them and what the world knew: many cuts leave the same. */
  #judged = new Map()
  #serial = 0

  /** Works below `folder`. `variant` names modules by URL: `store` with openSqlite, `engine` with createEngine; without them, ours. */
  constructor(folder, variant = {}) {
    this.#folder = mkdtempSync(join(folder, 'bench-'))
    this.#shim = join(this.#folder, 'shim.so')
    this.#variant = variant
    buildShim(this.#shim)
  }

  /** One life without a cut: what is to be cut. `operations` includes the marks. */
  async trace(script) {
    if (this.#traces.has(script)) return this.#traces.get(script)
    const { folder, messages } = await this.#begin(script)
    const before = filesOf(folder)
    const log = join(this.#folder, `${script}.log`)
    const driver = new Driver(this.#shim, this.#variant, log)
    const world = await worldOf(messages)
    const heard = await driver.live(this.#job(script, folder, { ...UNHURT, tries: 60, closes: true }, world), world)
    await driver.end()
    const operations = readLog(log, folder)
    const disk = new Disk(before, operations)
    const found = disk.image('kept', operations.length, Random.seeded(0))
    for (const [name, bytes] of filesOf(folder)) if (!found.get(name)?.equals(bytes)) throw new Error(`the order log does not tell all that happened to ${name}`)
    const said = operations.filter(({ kind }) => kind === 'mark').map(({ data }) => JSON.parse(data.toString()))
    const trace = { operations, disk, messages, said, heard }
    this.#traces.set(script, trace)
    return trace
  }

  /** Cuts the operation number `at` (marks are none) of the script. */
  async strike(script, fault, at) {
    const { folder, messages } = await this.#begin(script)
    const world = await worldOf(messages)
    const { kind, times, tries, closes } = FAULTS[fault]
    const driver = this.#driver(fault)
    const job = this.#job(script, folder, { kind, from: at, times, tries, closes }, world)
    // A disk that failed has no process that could still hold it: what is judged is a copy without its shared memory.
    let left = folder
    const heard = await driver.live(job, world, () => {
      left = `${folder}-left`
      put(left, filesOf(folder))
    })
    const struck = kind === 'kill' ? heard.gone : !heard.gone
    const acknowledged = world.acknowledged
    const violations = struck ? await judge({ db: join(left, DB), world, life: SCRIPTS[script].life + 1, orders: ordersOf(script) }) : [`broke: ${kind === 'kill' ? 'it was not killed' : 'it died'}`]
    for (const each of new Set([folder, left])) rmSync(each, { recursive: true, force: true })
    return { violations, acknowledged, images: 0 }
  }

  /** Cuts the power after the first `prefix` operations and marks of the script's trace, by every model. */
  async powerCut(script, prefix) {
    const { disk, operations, messages } = await this.trace(script)
    const said = operations.slice(0, prefix).filter(({ kind }) => kind === 'mark').map(({ data }) => JSON.parse(data.toString()))
    const results = []
    for (const model of MODELS) {
      if (!disk.applies(model, prefix)) continue
      for (let n = 0; n < (model === 'subset' ? SUBSETS : 1); n++) {
        const files = disk.image(model, prefix, Random.seeded(`${script} ${prefix} ${model} ${n}`))
        const hash = createHash('sha1').update(`${script} ${said.length}`)
        for (const [name, bytes] of files) hash.update(`${name} ${bytes.length} `).update(bytes)
        const id = hash.digest('hex')
        const known = this.#judged.get(id)
        const result = known ?? (await this.#judgeImage(script, files, [...messages, ...said]))
        this.#judged.set(id, result)
        results.push({ ...result, model, anew: !known })
      }
    }
    return results
  }

  async #judgeImage(script, files, messages) {
    const world = await worldOf(messages)
    const folder = join(this.#folder, `image-${this.#serial++}`)
    put(folder, files)
    const acknowledged = world.acknowledged
    const violations = await judge({ db: join(folder, DB), world, life: SCRIPTS[script].life + 1, orders: ordersOf(script) })
    rmSync(folder, { recursive: true })
    return { violations, acknowledged }
  }

  async close() {
    for (const driver of this.#drivers.values()) await driver.end()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** A process is used again as long as it lives. */
  #driver(fault) {
    const known = this.#drivers.get('driver')
    if (known && !known.gone) return known
    const driver = new Driver(this.#shim, this.#variant)
    this.#drivers.set('driver', driver)
    return driver
  }

  #job(script, folder, { kind, from, times, tries, closes }, world) {
    return { db: join(folder, DB), folder, script, epoch: Math.max(VIRTUAL_EPOCH_MS, world.now + 1000), fault: { kind, from, times }, tries, closes }
  }

  /** A folder as the script finds it, and the messages that led there. */
  async #begin(script) {
    const { from } = SCRIPTS[script]
    const folder = join(this.#folder, `life-${this.#serial++}`)
    if (!from) {
      mkdirSync(folder)
      return { folder, messages: [] }
    }
    if (!this.#templates.has(from)) this.#templates.set(from, await this.#lead(from))
    const { template, messages } = this.#templates.get(from)
    cpSync(template, folder, { recursive: true })
    return { folder, messages }
  }

  async #lead(script) {
    const { folder: template, messages } = await this.#begin(script)
    const world = await worldOf(messages)
    const driver = new Driver(this.#shim, this.#variant)
    const heard = await driver.live(this.#job(script, template, { ...UNHURT, tries: 60, closes: true }, world), world)
    if (!heard.gone) throw new Error(`${script} did not end by a kill`)
    put(template, filesOf(template)) // without the shared memory, like a machine that has been started anew
    return { template, messages: [...messages, ...heard.messages] }
  }
}

/** The process of driver.js, and the channel to it. */
class Driver {
  #child
  #lines
  gone = false

  constructor(shim, variant, log) {
    const env = { ...process.env, LD_PRELOAD: shim, ...(log && { RESIL_STORAGE_LOG: log }) }
    this.#child = spawn(process.execPath, [DRIVER, JSON.stringify(variant)], { stdio: ['ignore', 'inherit', 'inherit', 'pipe'], env })
    this.#child.stdio[3].on('error', () => {}) // it died; its silence says so
    this.#lines = createInterface({ input: this.#child.stdio[3] })[Symbol.asyncIterator]()
  }

  /** Tells `world` all that the life says, and answers what it was; `gone` when the process died. `done` is called before the life lets go of its file. */
  async live(job, world, done = () => {}) {
    const messages = []
    this.#tell(job)
    for (;;) {
      const { value: line, done: ended } = await this.#lines.next()
      if (ended) {
        if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit')
        this.gone = true
        return { messages, gone: true }
      }
      const message = JSON.parse(line)
      if (message.done) break
      messages.push(message)
      const answer = await world.hear(message)
      if (message.ask) this.#tell(answer)
    }
    done()
    this.#tell({})
    return { messages, gone: false }
  }

  async end() {
    if (this.gone) return
    this.#child.stdio[3].end()
    await once(this.#child, 'exit')
  }

  #tell(message) {
    this.#child.stdio[3].write(`${JSON.stringify(message)}\n`)
  }
}

async function worldOf(messages) {
  const world = new World()
  for (const message of messages) await world.hear(message)
  return world
}

/** What lies on the disk: shared memory does not. */
function filesOf(folder) {
  return new Map(readdirSync(folder).filter((name) => !name.endsWith('-shm')).map((name) => [name, readFileSync(join(folder, name))]))
}

function put(folder, files) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder)
  for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes)
}
