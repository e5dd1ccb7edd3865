// Builds the shim of shim.c, and arms it from within a process that was started with it.
import { execFileSync, spawnSync } from 'node:child_process'
import { unlinkSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Why the shim cannot be had on this machine, or undefined. */
export function shimUnavailable() {
  if (process.platform !== 'linux') return 'the shim stands between a process and glibc on Linux'
  if (!process.report.getReport().header.glibcVersionRuntime) return 'the shim needs glibc'
  return spawnSync('gcc', ['--version']).status === 0 ? undefined : 'there is no gcc to build the shim with'
}

/** @param {string} to the shared object. */
export function buildShim(to) {
  execFileSync('gcc', ['-Wall', '-Wextra', '-Werror', '-O2', '-shared', '-fPIC', '-o', to, fileURLToPath(new URL('shim.c', import.meta.url)), '-lpthread'])
}

/** Operations on files of `folder` are counted from 0 anew, and struck from `from` on, `times` in a row. `kind`: none, kill, eio, enospc. */
export function arm(folder, { kind, from, times } = { kind: 'none', from: 0, times: 0 }) {
  unlinkSync(`/storage-shim/${kind} ${from} ${times} ${folder}`)
}
