/**
 * Runs jobs that are programs or modules.
 *
 * A program gets RESIL_TICK_KEY, RESIL_SCHEDULE, RESIL_SCHEDULED_AT, RESIL_FENCING_TOKEN, RESIL_ATTEMPT, RESIL_CHECKPOINT (what the last committed
 * step left) and RESIL_STEP (its number) in its environment. On file descriptor 3 it may write lines: `checkpoint DATA` commits a step, which is
 * answered by `ok` on file descriptor 4 once it is durable, `progress 50` tells per cent. Its output is kept, the last of it, and thrown away beyond that.
 *
 * It runs in a process group of its own, so that what it has started ends with it: asked first, by force STOP_GRACE_MS later.
 */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import type { Clock } from '../clock.ts'
import type { Job } from '../engines/cron/spec.ts'
import type { Ended, Run, Runner } from '../engines/cron/worker.ts'
import { CHECKPOINT_MAX, OUTPUT_KEPT } from '../engines/cron/worker.ts'

/** From SIGTERM to SIGKILL. */
const STOP_GRACE_MS = 5000
/** A program that has ended and left its output open to another does not hold its worker longer than this. */
const CLOSE_MS = 500

/** What a job module exports as `run`: resolves with a word for the ledger, or throws. */
export type JobModule = { run(run: Run): Promise<unknown> }

export function jobRunner({ clock, env }: { clock: Clock; env: Record<string, string | undefined> }): Runner {
  return {
    knows: (job) => job.kind !== 'module' || existsSync(job.file),
    run: (job, run) => (job.kind === 'command' ? runProgram(job.argv, run, clock, env) : job.kind === 'module' ? runModule(job, run) : Promise.resolve({ ok: false, output: 'no program', final: true })),
  }
}

async function runModule({ file }: Job & { kind: 'module' }, run: Run): Promise<Ended> {
  const { run: job } = (await import(pathToFileURL(resolve(file)).href)) as Partial<JobModule>
  if (typeof job !== 'function') return { ok: false, output: `${file} exports no function called run`, final: true }
  const said = await job(run)
  return { ok: true, output: typeof said === 'string' ? said : '' }
}

function runProgram(argv: readonly string[], run: Run, clock: Clock, env: Record<string, string | undefined>): Promise<Ended> {
  const [file, ...args] = argv as [string, ...string[]]
  return new Promise((settle) => {
    let output = ''
    let ended: Ended | undefined
    let cancel = () => {}
    const child = spawn(file, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe'], env: { ...env, ...environmentOf(run) } })
    const finish = (how: Ended) => {
      if (ended) return
      ended = how
      cancel()
      run.signal.removeEventListener('abort', stop)
      killGroup(child, 'SIGKILL') // what it left behind
      const late = clock.after(CLOSE_MS, done)
      child.once('close', () => {
        late()
        done()
      })
    }
    const done = () => {
      for (const stream of child.stdio) stream?.destroy()
      settle({ ...ended!, output: `${output}${ended!.output}` })
    }
    const stop = () => {
      killGroup(child, 'SIGTERM')
      cancel = clock.after(STOP_GRACE_MS, () => killGroup(child, 'SIGKILL'))
    }
    const keep = (data: Buffer) => {
      output = (output + data.toString('utf8')).slice(-OUTPUT_KEPT)
    }
    child.stdout!.on('data', keep)
    child.stderr!.on('data', keep)
    hear(child.stdio[3] as Readable, child.stdio[4] as unknown as Writable, run)
    child.on('error', (error: NodeJS.ErrnoException) => {
      // It never ran: there is nothing to close.
      ended = { ok: false, output: `${file} cannot be run: ${error.code === 'ENOENT' ? 'there is no such program' : error.message}`, final: error.code === 'ENOENT' }
      cancel()
      run.signal.removeEventListener('abort', stop)
      settle(ended)
    })
    child.on('exit', (code, signal) => finish({ ok: code === 0, output: code === 0 ? '' : `\nended with ${signal ?? `exit code ${code}`}` }))
    if (run.signal.aborted) stop()
    else run.signal.addEventListener('abort', stop, { once: true })
  })
}

function environmentOf(run: Run): Record<string, string> {
  return {
    RESIL_TICK_KEY: run.key,
    RESIL_SCHEDULE: run.schedule,
    RESIL_SCHEDULED_AT: new Date(run.scheduledAt).toISOString(),
    RESIL_FENCING_TOKEN: String(run.token),
    RESIL_ATTEMPT: String(run.attempt),
    RESIL_STEP: String(run.step),
    RESIL_CHECKPOINT: run.checkpoint ?? '',
  }
}

/** Longest line that a program may say, bytes. */
const LINE_MAX = CHECKPOINT_MAX + 64

/** Lines of a program, one after another; a commit is answered when it is durable. */
function hear(said: Readable, told: Writable, run: Run): void {
  let text = ''
  let before: Promise<void> = Promise.resolve()
  said.setEncoding('utf8')
  for (const stream of [said, told]) stream.on('error', () => {}) // it has gone
  said.on('data', (data: string) => {
    text += data
    if (text.length > LINE_MAX) text = ''
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n')) {
      const line = text.slice(0, end)
      text = text.slice(end + 1)
      const [, word, rest] = /^(checkpoint|progress) ?(.*)$/s.exec(line) ?? []
      if (word === 'progress' && Number.isFinite(Number(rest))) run.progress(Number(rest))
      else if (word === 'checkpoint') {
        before = before
          .then(() => run.commit(rest!))
          .then(() => void told.write('ok\n'))
          .catch(() => void told.write('fenced\n')) // the worker stops it
      }
    }
  })
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal)
  } catch {
    // they have all ended
  }
}
