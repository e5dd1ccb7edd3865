/** Runs TypeScript of this repository in a process of its own, which a test may kill. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..')

export interface Program {
  start(args: string[]): ChildProcess
  remove(): void
}

/** `source` imports ours by paths from the root: `./src/clock.ts`. */
export function compile(source: string): Program {
  const cache = join(root, 'node_modules/.cache')
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, 'resil-child-'))
  const file = join(folder, 'child.mjs')
  buildSync({ stdin: { contents: source, resolveDir: root, loader: 'ts' }, bundle: true, platform: 'node', format: 'esm', external: ['better-sqlite3'], outfile: file })
  return {
    start: (args) => spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'inherit'] }),
    remove: () => rmSync(folder, { recursive: true }),
  }
}
