/** The built command line on a real pseudo-terminal. */
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import { spawn } from 'node-pty'

export const root = fileURLToPath(new URL('../..', import.meta.url))

/** What is not shown by then never is, ms, unless a test knows better. */
const LONGEST_MS = 40_000

export interface Terminal {
  readonly pid: number
  /** Everything that was written to the terminal so far, escape sequences included. */
  readonly raw: string
  press(keys: string): void
  /** Resolves when what has been written since `from` matches; rejects with the screen after `withinMs`. */
  shows(text: RegExp, from?: number, withinMs?: number): Promise<void>
  /** The exit code. */
  ended: Promise<number>
}

export function openTerminal(args: readonly string[], { columns, rows = 40, cwd, env = {} }: { columns: number; rows?: number; cwd: string; env?: Record<string, string> }): Terminal {
  const { CI, NO_COLOR, FORCE_COLOR, ...inherited } = process.env
  const pty = spawn(process.execPath, [`${root}bin/run.js`, ...args], { name: 'xterm-256color', cols: columns, rows, cwd, env: { ...inherited, ...env } })
  let raw = ''
  let exit: number | undefined
  const waiting = new Set<() => void>()
  const tell = () => waiting.forEach((check) => check())
  pty.onData((data) => {
    raw += data
    tell()
  })
  const ended = new Promise<number>((resolve) => {
    pty.onExit(({ exitCode }) => {
      exit = exitCode
      tell()
      resolve(exitCode)
    })
  })
  return {
    pid: pty.pid,
    get raw() {
      return raw
    },
    press: (keys) => pty.write(keys),
    ended,
    shows: (text, from = 0, withinMs = LONGEST_MS) =>
      new Promise((resolve, reject) => {
        const fail = (why: string) => {
          clearTimeout(timer)
          waiting.delete(check)
          reject(new Error(`${why}: ${text} was not shown; the end of what was:\n${plain(raw.slice(-3000))}\n(looked for ${text})`))
        }
        const timer = setTimeout(() => fail('too late'), withinMs)
        const check = () => {
          if (text.test(plain(raw.slice(from)))) {
            clearTimeout(timer)
            waiting.delete(check)
            resolve()
          } else if (exit !== undefined) fail(`ended with ${exit}`)
        }
        waiting.add(check)
        check()
      }),
  }
}

/** Without escape sequences. */
export const plain = stripVTControlCharacters
