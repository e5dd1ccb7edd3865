// CPU of `resil --help` as a multiple of `node -e 0`. Rounds are interleaved, so that a busy machine is busy for both; medians of each.
// One JSON line last; exit code 1 over the target.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const ROUNDS = 15
const TARGET = 4
const run = fileURLToPath(new URL('../bin/run.js', import.meta.url))

const subjects = {
  node: ['-e', '0'],
  help: [run, '--help'],
  list: [run, 'list', 'toxics', '--json'],
}

/** CPU in ms, user and system, of this command: what the kernel charged a shell for its only child. @param {string[]} args */
function cpuMs(args) {
  const { status, stdout, stderr } = spawnSync('sh', ['-c', '"$@" >/dev/null && times', 'sh', process.execPath, ...args], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}: ${stderr}`)
  // The second line is the children's: 0m0.06s 0m0.01s
  const spent = [...stdout.trim().split('\n')[1].matchAll(/(\d+)m([\d.,]+)s/g)]
  return spent.reduce((sum, [, minutes, seconds]) => sum + Number(minutes) * 60_000 + Number(seconds.replace(',', '.')) * 1000, 0)
}

/** @param {number[]} values */
function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1]
}

const spent = Object.fromEntries(Object.keys(subjects).map((name) => [name, []]))
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, args] of Object.entries(subjects)) spent[name].push(cpuMs(args))
}
const ms = Object.fromEntries(Object.entries(spent).map(([name, values]) => [name, median(values)]))
const times = Number((ms.help / ms.node).toFixed(2))
for (const [name, value] of Object.entries(ms)) console.log(`${name.padEnd(6)} ${value.toFixed(0).padStart(5)} ms  ${(value / ms.node).toFixed(1)} x node`)
console.log(JSON.stringify({ bench: 'startup', node: process.version, rounds: ROUNDS, cpuMs: ms, times, target: TARGET, held: times <= TARGET }))
if (times > TARGET) process.exitCode = 1
