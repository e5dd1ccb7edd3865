/** Commands that stand until they are told to go, run as users run them; and the services around `pay serve`, in this process so that a test can bend them. */
import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SystemClock } from '../../src/clock.ts'
import type { Event } from '../../src/events.ts'
import { EventLog } from '../../src/events.ts'
import { serveHttp } from '../../src/http-server.ts'
import { openMocks } from '../../src/lab/world.ts'
import { Random } from '../../src/random.ts'
import { root } from './cli.ts'

/** A service that stands longer than this was forgotten by its test, ms. */
const LONGEST_STAND_MS = 180_000

export interface Stood {
  exit: number | null
  signal: NodeJS.Signals | null
  stderr: string
  /** Lines of stdout, parsed. */
  lines: any[]
}

export interface Standing {
  child: ChildProcess
  /** The line that says where it stands. */
  ready: any
  /** The first line, from the beginning, for which `wanted` says yes. */
  until(wanted: (line: any) => boolean): Promise<any>
  ended: Promise<Stood>
  stop(signal?: NodeJS.Signals): Promise<Stood>
}

const running = new Set<ChildProcess>()

/** Kills what a failed test left standing. */
export function killAll(): void {
  for (const child of running) child.kill('SIGKILL')
}

/** `resil ...args --json`, once it is ready. Throws with its last words when it ends before. */
export async function stand(args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv; longestMs?: number } = {}): Promise<Standing> {
  const { NO_COLOR: _1, FORCE_COLOR: _2, DEBUG: _3, CI: _4, NODE_ENV: _5, NODE_OPTIONS: _6, ...env } = process.env
  const child = spawn(process.execPath, [`${root}bin/run.js`, ...args, '--json'], { stdio: ['ignore', 'pipe', 'pipe'], cwd: options.cwd, env: { ...env, ...options.env }, timeout: options.longestMs ?? LONGEST_STAND_MS, killSignal: 'SIGKILL' })
  running.add(child)
  const lines: any[] = []
  const waiting = new Set<() => void>()
  let rest = ''
  let stderr = ''
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop()!
    lines.push(...parts.map((line) => JSON.parse(line)))
    for (const look of waiting) look()
  })
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const ended = once(child, 'close').then(([exit, signal]): Stood => {
    running.delete(child)
    return { exit, signal, stderr, lines }
  })
  const until = (wanted: (line: any) => boolean): Promise<any> =>
    Promise.race([
      new Promise((resolve) => {
        const look = () => {
          const found = lines.find(wanted)
          if (found === undefined) return
          waiting.delete(look)
          resolve(found)
        }
        waiting.add(look)
        look()
      }),
      ended.then((stood) => {
        const found = lines.find(wanted)
        if (found === undefined) throw new Error(`it ended (${stood.exit ?? stood.signal}) before it said so: ${stderr}`)
        return found
      }),
    ])
  return {
    child,
    ready: await until((line) => line.type === 'ready'),
    until,
    ended,
    stop: (signal = 'SIGTERM') => {
      child.kill(signal)
      return ended
    },
  }
}

export interface Curled {
  status: number
  headers: Record<string, string>
  body: any
  text: string
}

/** The curl of this machine; what it is given is sent as it is. */
export function curl(url: string, args: readonly string[] = []): Promise<Curled> {
  return new Promise((resolve, reject) => {
    execFile('curl', ['-sS', '-i', '--max-time', '20', ...args, url], { maxBuffer: 64 * 1024 * 1024 }, (error, stdout) => {
      if (error) return reject(error)
      const [head, ...rest] = stdout.replace(/^HTTP\/1\.1 100 [^\r]*\r\n\r\n/, '').split('\r\n\r\n')
      const text = rest.join('\r\n\r\n')
      const [first, ...fields] = head!.split('\r\n')
      const headers = Object.fromEntries(fields.map((field) => [field.slice(0, field.indexOf(':')).toLowerCase(), field.slice(field.indexOf(':') + 1).trim()]))
      resolve({ status: Number(first!.split(' ')[1]), headers, body: text.startsWith('{') ? JSON.parse(text) : undefined, text })
    })
  })
}

/** A folder of the test's own; all of them go with `removeFolders`. */
const folders: string[] = []

export function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'resil-test-'))
  folders.push(made)
  return made
}

export function removeFolders(): void {
  for (const made of folders) rmSync(made, { recursive: true, force: true })
}

export type Around = Awaited<ReturnType<typeof openAround>>

/** Mocks that answer at once, on ports of their own. */
export async function openAround() {
  const clock = new SystemClock()
  const log = new EventLog('test', clock)
  const events: Event[] = []
  log.subscribe((event) => void events.push(event))
  const mocks = openMocks(clock, Random.system(), log.from('mock'), true)
  const servers = await Promise.all(Object.values(mocks).map((mock) => serveHttp(mock.handle, { clock })))
  const [fraud, bank, notification] = servers.map(({ url }) => url) as [string, string, string]
  return {
    mocks,
    log,
    /** Flags for `pay serve`. */
    flags: ['--fraud', fraud, '--bank', bank, '--notification', notification],
    /** Charges of an order at the bank: its references are the engine's payments. */
    charges: (payment: string) => events.filter((event) => event.type === 'bank.charged' && event['reference'] === payment),
    events,
    close: () => Promise.all(servers.map((server) => server.close(0))),
  }
}

export const order = (order: string, fields: object = {}) => JSON.stringify({ amount: 9900, currency: 'USD', order, card: 'tok_visa', ...fields })
