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
/** Lives of one process. */
const LIVES = 50
/** Operations from which the second death of `killTwice` is drawn; a recovery has some dozens, and then what its clients ask again. */
const RECOVERY_OPERATIONS = 80
/** Chances that the model `subset` is given at each point. */
const SUBSETS = 2

/**
 * How an operation may end. `tries` is what a client makes before it gives up; a life whose disk recovers goes on to its orderly end.
 * `full` and `fullForGood` strike only operations that need space.
 */
export const FAULTS = {
  kill: { kind: 'kill', times: 1, tries: 60, closes: true },
  eio: { kind: 'eio', times: 1, tries: 60, closes: true },
  eioForGood: { kind: 'eio', times: Number.MAX_SAFE_INTEGER, tries: 5, closes: false },
  full: { kind: 'enospc', times: 20, tries: 60, closes: true },
  fullForGood: { kind: 'enospc', times: Number.MAX_SAFE_INTEGER, tries: 5, closes: false },
}

export class Bench {
  #folder
  #shim
  #variant
  /** The process whose life was last cut, when it has survived. */
  #driver
  #templates = new Map()
  #traces = new Map()
  /** Images that were judged, by what is in them and what the world knew. */
  #judged = new Map()
  #serial = 0

  /** Works below `folder`. `variant` names modules by URL: `store` with openSqlite, `engine` with createEngine; without them, ours. */
  constructor(folder, variant = {}) {
    this.#folder = mkdtempSync(join(folder, 'bench-'))
    this.#shim = join(this.#folder, 'shim.so')
    this.#variant = variant
    buildShim(this.#shim)
  }

  /**
   * One life without a cut: what is to be cut. `messages` are those before it.
   * @returns {Promise<{ operations: import('./disk.js').Operation[], disk: Disk, messages: object[] }>}
   */
  async trace(script) {
    if (!this.#traces.has(script)) this.#traces.set(script, await this.#trace(script, { ...UNHURT, tries: 60, closes: true }))
    return this.#traces.get(script)
  }

  async #trace(script, fault) {
    const { folder, messages } = await this.#begin(script)
    const before = filesOf(folder)
    const log = join(this.#folder, `log-${this.#serial++}`)
    const driver = new Driver(this.#shim, this.#variant, log)
    const world = await worldOf(messages)
    await driver.live(this.#job(script, folder, fault, world), world)
    await driver.end()
    const operations = readLog(log, folder)
    const disk = new Disk(before, operations)
    const found = disk.image('kept', operations.length, Random.seeded(0))
    for (const [name, bytes] of filesOf(folder)) if (!found.get(name)?.equals(bytes)) throw new Error(`the order log does not tell all that happened to ${name}`)
    rmSync(folder, { recursive: true })
    rmSync(log)
    return { operations, disk, messages }
  }

  /** Cuts at the operation number `at` (marks are none) of the script, in a way of FAULTS. */
  async strike(script, fault, at) {
    const { kind, times, tries, closes } = FAULTS[fault]
    const { folder, messages } = await this.#begin(script)
    const world = await worldOf(messages)
    // A disk that failed has no process that could still hold it: what is judged is a copy without its shared memory.
    let left = folder
    const { gone } = await (await this.#living()).live(this.#job(script, folder, { kind, from: at, times, tries, closes }, world), world, () => {
      left = `${folder}-left`
      put(left, filesOf(folder))
    })
    const result = await this.#judge(script, left, world)
    if (gone !== (kind === 'kill')) result.violations.push(`broke: it ${gone ? 'died' : 'was not killed'}`)
    for (const each of new Set([folder, left])) rmSync(each, { recursive: true, force: true })
    return result
  }

  /** Kills the life at one operation, and the life that recovers at another, unless it ends before: `outlived`. */
  async killTwice(script, at) {
    const { folder, messages } = await this.#begin(script)
    const world = await worldOf(messages)
    const kill = { kind: 'kill', times: 1, tries: 60, closes: true }
    await (await this.#living()).live(this.#job(script, folder, { ...kill, from: at }, world), world)
    const second = `${script} again`
    const from = Random.seeded(`${script} ${at}`).int(0, RECOVERY_OPERATIONS)
    const { gone } = await (await this.#living()).live(this.#job(second, folder, { ...kill, from }, world), world)
    const result = await this.#judge(second, folder, world)
    rmSync(folder, { recursive: true })
    return { ...result, outlived: !gone }
  }

  /** Cuts the power after the first `prefix` operations and marks of the script's trace, by every model. */
  async powerCut(script, prefix) {
    const { disk, operations, messages } = await this.trace(script)
    const results = []
    for (const model of MODELS) {
      if (!disk.applies(model, prefix)) continue
      for (let n = 0; n < (model === 'subset' ? SUBSETS : 1); n++) {
        const files = disk.image(model, prefix, Random.seeded(`${script} ${prefix} ${model} ${n}`))
        results.push({ ...(await this.#judgeImage(script, files, [...messages, ...saidIn(operations.slice(0, prefix))])), model })
      }
    }
    return results
  }

  /** Lets the fsync that is operation number `at` fail, and cuts the power after each answer to a client that follows, when nothing unsynced is kept. */
  async forgottenSync(script, at) {
    const { disk, operations, messages } = await this.#trace(script, { kind: 'eio', from: at, times: 1, tries: 60, closes: true })
    const failed = operations.findIndex(({ struck }) => struck)
    const results = []
    for (let prefix = failed + 2; prefix <= operations.length; prefix++) {
      const [said] = saidIn(operations.slice(prefix - 1, prefix))
      if (!said?.answered && !said?.done) continue
      const files = disk.image('synced', prefix, Random.seeded(0))
      results.push({ ...(await this.#judgeImage(script, files, [...messages, ...saidIn(operations.slice(0, prefix))])), model: 'forgotten' })
    }
    return results
  }

  async #judge(script, folder, world) {
    const acknowledged = world.acknowledged
    const violations = await judge({ db: join(folder, DB), world, life: SCRIPTS[script].life + 1, orders: ordersOf(script) })
    return { violations, acknowledged, refused: world.refused }
  }

  /** Many cuts leave the same: `anew` when this one did not. */
  async #judgeImage(script, files, messages) {
    const hash = createHash('sha1').update(`${script} ${messages.length}`)
    for (const [name, bytes] of files) hash.update(`${name} ${bytes.length} `).update(bytes)
    const id = hash.digest('hex')
    const known = this.#judged.get(id)
    if (known) return { ...known, anew: false }
    const folder = join(this.#folder, `image-${this.#serial++}`)
    put(folder, files)
    const result = await this.#judge(script, folder, await worldOf(messages))
    rmSync(folder, { recursive: true })
    this.#judged.set(id, result)
    return { ...result, anew: true }
  }

  async close() {
    await this.#driver?.end()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** A process is used again as long as it lives, but not for ever: a life that was left open stays in its memory. */
  async #living() {
    if (this.#driver?.lives === LIVES) await this.#driver.end()
    if (!this.#driver || this.#driver.gone) this.#driver = new Driver(this.#shim, this.#variant)
    return this.#driver
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
  lives = 0

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
    this.lives++
    for (;;) {
      const { value: line, done: ended } = await this.#lines.next().catch(() => ({ done: true })) // reset: it died with an answer unread
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
    this.gone = true
    this.#child.stdio[3].end()
    await once(this.#child, 'exit')
  }

  #tell(message) {
    this.#child.stdio[3].write(`${JSON.stringify(message)}\n`)
  }
}

const saidIn = (operations) => operations.filter(({ kind }) => kind === 'mark').map(({ data }) => JSON.parse(data.toString()))

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
