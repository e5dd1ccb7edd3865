/**
 * A scheduler of the user's, judged by what it does: its command is started so many times, each copy in a process group of its own, and what its jobs do
 * at our resource, behind a link, is compared with the slots of its expression.
 *
 *   n1, n2, n3 (the command) ──▶ link resource ──▶ mock resource
 */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { NodeClock, SystemClock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import { EventLog } from '../events.ts'
import type { HttpServer } from '../http-server.ts'
import { serveHttp } from '../http-server.ts'
import type { Network } from '../network.ts'
import { Random } from '../random.ts'
import { parseCrontab } from '../engines/cron/crontab.ts'
import type { SubjectScenario, SubjectStage } from '../engines/cron/stage.ts'
import { empty, fold } from '../engines/cron/view.ts'
import { Link } from '../proxy/link.ts'
import { resource } from '../proxy/mocks/resource.ts'
import type { HostileLink } from '../proxy/rules.ts'
import { Rules } from '../proxy/rules.ts'
import { visible } from '../visible.ts'
import type { Toxic } from '../proxy/toxic.ts'
import type { Plan } from './plan.ts'
import { processEnvironment } from './plan.ts'
import type { Opened } from './run.ts'
import type { Body, StageSetup } from './world.ts'
import { LabStage } from './world.ts'

/** How long a copy that is told to end may take before it is killed, ms. */
const END_MS = 3000
/** What is kept of what a copy prints, bytes. */
const LAST_WORDS_BYTES = 4096
/** Copies may need so long until they schedule, ms: slots before that are not judged. */
const WARM_UP_MS = 1500

interface Copy {
  child: ChildProcess | undefined
  ending: boolean
  incarnation: number
  exited: Promise<void>
}

class CommandBody implements Body {
  readonly clock = new SystemClock()
  readonly clients: Network = { call: () => Promise.reject(new ResilError('SUBJECT_NOT_OURS', 'a scheduler under proof is not spoken to')) }
  readonly mortal = true
  readonly #log: EventLog
  readonly #argv: readonly string[]
  readonly #copies = new Map<string, Copy>()
  readonly #links: Link[]
  readonly #servers: HttpServer[]
  readonly #url: string
  #bug: unknown

  constructor(parts: { log: EventLog; argv: readonly string[]; links: Link[]; servers: HttpServer[]; url: string }) {
    this.#log = parts.log
    this.#argv = parts.argv
    this.#links = parts.links
    this.#servers = parts.servers
    this.#url = parts.url
  }

  link(name: string): HostileLink {
    const link = this.#links.find((each) => each.name === name)
    if (!link) throw new ResilError('UNKNOWN_LINK', `there is no link "${name}"`, `there is ${this.#links.map((each) => each.name).join(', ')}`)
    return link
  }

  get links(): HostileLink[] {
    return this.#links
  }

  alive(node: string): boolean {
    return this.#copy(node).child !== undefined
  }

  start(node: string): Promise<void> {
    const copy = this.#copy(node)
    const [file, ...args] = this.#argv as [string, ...string[]]
    copy.incarnation++
    copy.ending = false
    const child = spawn(file, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'], env: { ...processEnvironment(), RESIL_REPLICA: node, RESIL_RESOURCE_URL: this.#url } })
    let said = ''
    const keep = (data: Buffer) => {
      said = (said + data.toString('utf8')).slice(-LAST_WORDS_BYTES)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    copy.child = child
    copy.exited = new Promise((resolve) => {
      const end = (how: string) => {
        if (copy.child === child) copy.child = undefined
        if (!copy.ending) {
          this.#log.emit('lab', 'node.ended', { how }, node)
          const lines = said.trim().split('\n')
          const last = visible((lines.find((line) => /error/i.test(line)) ?? lines.at(-1) ?? '').trim())
          this.#bug ??= new ResilError('SUBJECT_ENDED', `copy ${node} of your scheduler ended by itself: ${how}${last === '' ? '' : `, after it said: ${last}`}`, 'it must go on until it is told to end; it finds the resource at $RESIL_RESOURCE_URL')
        }
        resolve()
      }
      child.once('error', (error: NodeJS.ErrnoException) => end(error.code === 'ENOENT' ? `there is no program ${file}` : error.message))
      child.once('exit', (code, signal) => end(signal ?? `exit code ${code}`))
    })
    this.#log.emit('lab', 'node.started', { incarnation: copy.incarnation, pid: child.pid }, node)
    return Promise.resolve()
  }

  async kill(node: string): Promise<void> {
    const copy = this.#copy(node)
    if (!copy.child) return
    copy.ending = true
    this.#signal(node, 'SIGKILL')
    await copy.exited
    this.#log.emit('lab', 'node.killed', { incarnation: copy.incarnation, site: 'scenario' }, node)
  }

  async terminate(node: string): Promise<void> {
    const copy = this.#copy(node)
    if (!copy.child) return
    copy.ending = true
    this.#signal(node, 'SIGTERM')
    const cancel = this.clock.after(END_MS, () => this.#signal(node, 'SIGKILL'))
    await copy.exited
    cancel()
    this.#log.emit('lab', 'node.terminated', { incarnation: copy.incarnation }, node)
  }

  pause(node: string): void {
    this.#signal(node, 'SIGSTOP')
    this.#log.emit('lab', 'node.paused', { incarnation: this.#copy(node).incarnation }, node)
  }

  resume(node: string): void {
    this.#signal(node, 'SIGCONT')
    this.#log.emit('lab', 'node.resumed', { incarnation: this.#copy(node).incarnation }, node)
  }

  step(): void {
    throw new ResilError('SUBJECT_NOT_OURS', 'the clock of a scheduler under proof cannot be set', 'choose another scenario')
  }

  arm(): void {
    throw new ResilError('SUBJECT_NOT_OURS', 'a scheduler under proof cannot be cut at a crossing', 'choose another scenario')
  }

  async close(): Promise<void> {
    await Promise.all(
      [...this.#copies].map(async ([node, copy]) => {
        if (!copy.child) return
        copy.ending = true
        this.#signal(node, 'SIGKILL')
        await copy.exited
      }),
    )
    for (const link of this.#links) await link.close()
    for (const server of this.#servers) await server.close(0)
    if (this.#bug !== undefined) throw this.#bug
  }

  #copy(node: string): Copy {
    const known = this.#copies.get(node)
    if (known) return known
    const copy: Copy = { child: undefined, ending: false, incarnation: 0, exited: Promise.resolve() }
    this.#copies.set(node, copy)
    return copy
  }

  /** To the copy and all that it has started. */
  #signal(node: string, signal: NodeJS.Signals): void {
    const pid = this.#copy(node).child?.pid
    if (pid === undefined) return
    try {
      process.kill(-pid, signal)
    } catch {
      // it has just ended
    }
  }
}

class ProofStage extends LabStage implements SubjectStage {
  readonly periodMs: number
  readonly #next: (afterMs: number) => number

  constructor(setup: StageSetup, periodMs: number, next: (afterMs: number) => number) {
    super(setup)
    this.periodMs = periodMs
    this.#next = next
  }

  async nextSlot(ms = 0): Promise<number> {
    const slot = this.#next(this.clock.now())
    await this.clock.sleep(slot + ms - this.clock.now())
    this.note('slot.begun', { slot })
    return slot
  }
}

export async function openProof(plan: Plan, scenario: SubjectScenario, toxics: Record<string, Toxic>, id: string): Promise<Opened> {
  const { subject } = plan
  if (subject.kind !== 'command') throw new ResilError('NEEDS_SUBJECT', `${scenario.name} judges a scheduler of your own`, `run it as: resil prove cron --scenario ${scenario.name} -- COMMAND`)
  const clock = new SystemClock()
  const log = new EventLog(id, clock)
  const random = Random.seeded(plan.seed)
  const crontab = parseCrontab(subject.expr, { zone: subject.zone })
  const next = (after: number) => crontab.next(after) ?? Number.POSITIVE_INFINITY
  const mock = resource({ clock, random: random.fork('resource'), log: log.from('mock'), latency: { p50: 2, p99: 10 } })
  const server = await serveHttp(mock.handle, { clock })
  const said = log.from('proxy')
  const link = new Link({ name: 'resource', listen: { port: plan.ports?.['resource'] ?? 0 }, upstream: { host: '127.0.0.1', port: server.port }, rules: new Rules({ link: 'resource', seed: plan.seed, toxics, clock, log: said }), clock, log: said })
  await link.setEnabled(true).catch(async (error: unknown) => {
    await server.close(0)
    throw error
  })
  const url = `http://127.0.0.1:${link.address.port}/v1/effects`
  const body = new CommandBody({ log, argv: subject.argv, links: [link], servers: [server], url })
  const nodes = Array.from({ length: plan.nodes ?? scenario.nodes ?? 3 }, (_, n) => `n${n + 1}`)
  const script = new NodeClock(clock)
  const world = new ProofStage({ body, log, random, nodes, mocks: { resource: mock }, script }, subject.periodMs, next)
  let fromMs = 0
  return {
    body,
    world,
    log,
    urls: { resource: url },
    live: (work) => work,
    script,
    options: { nodes: nodes.length, ttlMs: subject.periodMs, leaderless: true, expr: subject.expr, zone: subject.zone },
    async begin() {
      for (const node of nodes) await body.start(node)
      await clock.sleep(WARM_UP_MS)
      fromMs = clock.now()
    },
    drive: () => scenario.drive(world),
    // The last slots come to the end of their tolerance first.
    async observe() {
      const toMs = clock.now()
      await clock.sleep(subject.toleranceMs)
      const audit = log.from('audit')
      for (let slot = next(fromMs); slot <= toMs; slot = next(slot)) audit.emit('slot.expected', { slot, untilAt: Math.min(slot + subject.toleranceMs, next(slot)) })
    },
    close: () => body.close(),
    press: () => ({ does: 'nothing: the scheduler is not ours' }),
    follow() {
      let view = empty()
      return {
        sink: (event) => {
          view = fold(view, event)
        },
        story: () => {
          const { effects, repeated, kills, pauses } = view.counts
          return `${nodes.length} copies of ${subject.argv.join(' ')}, ${kills} killed, ${pauses} stopped. ${effects} effects${repeated > 0 ? `, ${repeated} repeats told apart by key` : ''}.`
        },
      }
    },
  }
}
