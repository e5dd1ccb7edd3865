// Work for several processes, for sweeps that play many runs.
import { fork } from 'node:child_process'

/**
 * Gives `jobs`, which may grow meanwhile, to so many processes, one at a time to each. A process runs `file` with --child and `args`, answers each message with one, and
 * ends when it is cut off. `answered` is called with every answer. Rejects when a process ends otherwise.
 * @param {string} file @param {unknown[]} jobs @param {number} processes @param {(answer: any) => void} answered @param {string[]} [args]
 */
export async function workOff(file, jobs, processes, answered, args = []) {
  let next = 0
  const worker = () =>
    new Promise((resolve, reject) => {
      const child = fork(file, ['--child', ...args])
      const give = () => (next < jobs.length ? child.send(jobs[next++]) : child.disconnect())
      child.on('message', (answer) => {
        answered(answer)
        give()
      })
      child.on('error', reject)
      child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`a worker ended with ${code}`))))
      give()
    })
  await Promise.all(Array.from({ length: processes }, worker))
}
