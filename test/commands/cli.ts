/** Runs the built command line as users do: as a process. */
import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcessWithoutNullStreams, SpawnSyncOptions } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))

/** Longest run of a command here, ms: a hang is a failure, and says so with its output. */
const LONGEST_RUN_MS = 15_000

export interface Ended {
  exit: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
  /** The lines of stdout, parsed. */
  json(): any[]
}

function ended(exit: number | null, signal: NodeJS.Signals | null, stdout: string, stderr: string): Ended {
  return { exit, signal, stdout, stderr, json: () => stdout.trimEnd().split('\n').map((line) => JSON.parse(line)) }
}

/** Without the colours and interference of whoever runs the tests. */
function cleanEnv(env: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const { NO_COLOR, FORCE_COLOR, DEBUG, CI, NODE_ENV, NODE_OPTIONS, ...rest } = process.env
  return { ...rest, ...env }
}

function call(script: string, args: readonly string[], { env, ...options }: SpawnSyncOptions = {}): Ended {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [`${root}${script}`, ...args], { timeout: LONGEST_RUN_MS, encoding: 'utf8', env: cleanEnv(env), ...options })
  return ended(status, signal, String(stdout), String(stderr))
}

/** `resil ...args`, to its end. */
export const resil = (args: readonly string[], options?: SpawnSyncOptions): Ended => call('bin/run.js', args, options)

/** The commands under fixture/. */
export const fixture = (args: readonly string[], options?: SpawnSyncOptions): Ended => call('test/commands/fixture/run.js', args, options)

export interface Running {
  child: ChildProcessWithoutNullStreams
  /** Resolves when stdout contains `text`. Rejects when the process ends before. */
  said(text: string | RegExp): Promise<void>
  /** So far. */
  readonly stdout: string
  ended: Promise<Ended>
}

/** A command that goes on; `script` is relative to the checkout. Killed after `longestMs`. `through` are the words of a command that becomes it. */
export function start(script: string, args: readonly string[], env?: NodeJS.ProcessEnv, { cwd, longestMs = LONGEST_RUN_MS, through = [] }: { cwd?: string; longestMs?: number; through?: readonly string[] } = {}): Running {
  const [command, ...words] = [...through, process.execPath, `${root}${script}`, ...args] as [string, ...string[]]
  const child = spawn(command, words, { cwd, env: cleanEnv(env), timeout: longestMs, killSignal: 'SIGKILL' })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const end = once(child, 'close').then(([exit, signal]) => ended(exit, signal, stdout, stderr))
  return {
    child,
    ended: end,
    get stdout() {
      return stdout
    },
    async said(text) {
      const isThere = () => (typeof text === 'string' ? stdout.includes(text) : text.test(stdout))
      while (!isThere()) {
        const over = await Promise.race([once(child.stdout, 'data').then(() => undefined), end])
        if (over && !isThere()) throw new Error(`it ended (${over.exit ?? over.signal}) before it said ${String(text)}: ${over.stdout}${over.stderr}`)
      }
    },
  }
}
