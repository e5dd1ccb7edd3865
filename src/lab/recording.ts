/** Every run leaves `.resil/runs/<id>.ndjson`: the plan first, which makes it again, then its events, as they were but for secrets. */
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, statSync, writeSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { ResilError } from '../errors.ts'
import type { Event } from '../events.ts'
import { redacted } from '../secrets.ts'
import type { Plan } from './plan.ts'

export const RUNS_FOLDER = join('.resil', 'runs')

/** Bytes gathered before they are written. */
const BUFFER_BYTES = 64 * 1024

/** Largest recording that is read back, bytes. */
export const LARGEST_RECORDING_BYTES = 512 * 1024 * 1024

export interface Recording {
  plan: Plan
  events: Event[]
}

export class Recorder {
  readonly file: string
  readonly #fd: number
  #buffer = ''

  /** Throws CANNOT_RECORD when the folder cannot be written. */
  constructor(run: string, plan: Plan, folder = RUNS_FOLDER) {
    this.file = join(folder, `${run}.ndjson`)
    try {
      mkdirSync(folder, { recursive: true })
      this.#fd = openSync(this.file, 'w', 0o600)
    } catch (error) {
      throw new ResilError('CANNOT_RECORD', `the run cannot be recorded in ${resolve(folder)}: ${error instanceof Error ? error.message : String(error)}`, 'run resil where it may write, for example in your project')
    }
    this.#buffer = `${JSON.stringify({ plan })}\n`
  }

  write(event: Event): void {
    this.#buffer += `${redacted(JSON.stringify(event))}\n`
    if (this.#buffer.length > BUFFER_BYTES) this.#flush()
  }

  close(): void {
    this.#flush()
    closeSync(this.#fd)
  }

  #flush(): void {
    writeSync(this.#fd, this.#buffer)
    this.#buffer = ''
  }
}

/** A run by its id, by the beginning of it, or by its file. Throws NO_SUCH_RUN, BAD_RECORDING. */
export function readRecording(run: string, folder = RUNS_FOLDER): Recording {
  const file = existsSync(run) ? run : join(folder, matching(run, folder))
  const facts = statSync(file)
  if (!facts.isFile()) throw new ResilError('BAD_RECORDING', `${file} is not a file`, 'name a file under .resil/runs')
  if (facts.size > LARGEST_RECORDING_BYTES) throw new ResilError('BAD_RECORDING', `${file} is larger than any recording`, 'name a file under .resil/runs')
  const lines = readFileSync(file, 'utf8').split('\n').filter((line) => line !== '')
  try {
    const [head, ...events] = lines.map((line) => JSON.parse(line) as unknown)
    const plan = (head as { plan?: Plan } | null | undefined)?.plan
    if (!isPlan(plan)) throw new Error('its first line is no plan')
    if (!events.every((event) => typeof (event as Event | null)?.seq === 'number' && typeof (event as Event).type === 'string')) throw new Error('a line is no event')
    return { plan, events: events as Event[] }
  } catch (error) {
    throw new ResilError('BAD_RECORDING', `${file} is no recording: ${error instanceof Error ? error.message : String(error)}`, 'name a run under .resil/runs')
  }
}

function isPlan(plan: Plan | undefined): plan is Plan {
  return typeof plan?.scenario === 'string' && (plan.mode === 'sim' || plan.mode === 'wire') && typeof plan.seed === 'number' && typeof plan.subject?.kind === 'string' && Array.isArray(plan.toxics) && Array.isArray(plan.invariants) && (plan.options === undefined || typeof plan.options.clicks === 'number')
}

/** The file of the latest run. Throws NO_SUCH_RUN. */
export function newestRecording(folder = RUNS_FOLDER): string {
  const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.ndjson')).map((name) => join(folder, name)) : []
  const newest = files.map((file) => ({ file, at: statSync(file).mtimeMs })).sort((a, b) => b.at - a.at)[0]
  if (!newest) throw new ResilError('NO_SUCH_RUN', `there is no run in ${folder}`, 'run something first: resil pay --double-click')
  return newest.file
}

function matching(run: string, folder: string): string {
  const all = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.ndjson')) : []
  const found = all.filter((name) => name.startsWith(run))
  if (found.length === 1) return found[0]!
  throw new ResilError('NO_SUCH_RUN', found.length === 0 ? `there is no run "${run}" in ${folder}` : `"${run}" could be ${found.length} runs`, all.length === 0 ? 'run something first: resil pay --double-click' : `there are ${all.slice(0, 10).map((name) => name.slice(0, -'.ndjson'.length)).join(', ')}`)
}
