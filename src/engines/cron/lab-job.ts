/**
 * Jobs of the laboratory, as a module that needs no file: `lab:ms=200,steps=4` takes 200 ms a step, does one effect a step under `KEY/STEP`, and commits
 * it; without steps it does one effect under its key. `fail=1` fails each time, `quiet=1` has no effect, `hang=1` never ends by itself;

 * `block=3000` keeps the loop of its node busy for 3 s at its first attempt; only a node of build 2 or newer knows `needs=2`.
 */
import type { Job } from './spec.ts'

export interface LabJob {
  ms: number
  steps: number
  fail: boolean
  quiet: boolean
  hang: boolean
  needs: number
  block: number
}

const PREFIX = 'lab:'

/** Undefined for any other job. */
export function labJob(job: Job): LabJob | undefined {
  if (job.kind !== 'module' || !job.file.startsWith(PREFIX)) return undefined
  const options = new Map(job.file.slice(PREFIX.length).split(',').map((part) => part.split('=') as [string, string]))
  return { ms: Number(options.get('ms') ?? 0), steps: Number(options.get('steps') ?? 0), fail: options.get('fail') === '1', quiet: options.get('quiet') === '1', hang: options.get('hang') === '1', needs: Number(options.get('needs') ?? 1), block: Number(options.get('block') ?? 0) }
}

export const asLabJob = (text: string): Job => ({ kind: 'module', file: `${PREFIX}${text}` })
