/** Where recorded traffic stands: a run's recording, the lines of a service that ran with --json, or a service's database. */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { DEFAULTS } from '../engines/payment/settings.ts'
import type { Said, Traffic } from '../engines/payment/traffic.ts'
import { trafficIn, trafficOf } from '../engines/payment/traffic.ts'
import { ResilError } from '../errors.ts'
import { LARGEST_RECORDING_BYTES, newestRecording, readRecording } from './recording.ts'
import { readPayments } from './standing-store.ts'

export interface RecordedTraffic {
  traffic: Traffic
  /** In words. */
  source: string
}

/** A run by its id, the beginning of it, its file, or a file of events; the newest run when there is none. Throws NO_SUCH_RUN, BAD_RECORDING, NO_TRAFFIC. */
export function trafficOfRun(run: string = newestRecording()): RecordedTraffic {
  const events = isLog(run) ? linesOf(run) : (readRecording(run).events as readonly Said[])
  return some(trafficOf(events), run)
}

/** What a service's database kept. Throws STORE_*, NO_TRAFFIC. */
export async function trafficOfStore(db: string): Promise<RecordedTraffic> {
  const { deadlineMs, reserveMs, commitMs } = DEFAULTS
  return some(await readPayments(db, (store) => trafficIn(store, deadlineMs, deadlineMs - reserveMs - commitMs)), db)
}

function some(traffic: Traffic, source: string): RecordedTraffic {
  if (traffic.calls.length === 0) throw new ResilError('NO_TRAFFIC', `${source} holds no call to a service`, 'record one first: resil pay --bank-slow, or resil pay serve --json > FILE')
  return { traffic, source }
}

/** A file whose first line is an event, or what a service says when it is ready, and no run's plan. */
function isLog(file: string): boolean {
  if (!existsSync(file) || !statSync(file).isFile()) return false
  if (statSync(file).size > LARGEST_RECORDING_BYTES) throw new ResilError('BAD_RECORDING', `${file} is larger than any recording`, 'cut out the time that you ask about')
  const first = parsed(readFileSync(file, 'utf8').split('\n', 1)[0]!)
  return typeof first?.['type'] === 'string'
}

/** Its last line may be cut short while the service runs. */
function linesOf(file: string): Said[] {
  return readFileSync(file, 'utf8').split('\n').flatMap((line) => {
    const event = parsed(line)
    return typeof event?.['type'] === 'string' && typeof event['t'] === 'number' ? [event as unknown as Said] : []
  })
}

function parsed(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined // cut short, or somebody else's line
  }
}
