/** The chaos proxy alone: listeners, rules, schedule and control API in this process, until somebody says stop. */
import { constants } from 'node:os'
import { spawn } from 'node:child_process'
import type { Clock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { EventLog } from '../events.ts'
import { openAdmin } from '../proxy/admin.ts'
import { Proxies } from '../proxy/proxies.ts'
import type { Proxy } from '../proxy/proxies.ts'
import type { ProxyConfig } from './proxy-config.ts'
import type { Journal, JournalFile, Replayed } from './proxy-journal.ts'
import { Replay, writeJournal } from './proxy-journal.ts'
import { loadToxics } from './units.ts'

export interface ProxyAlonePlan extends ProxyConfig {
  seed: number
  /** Of the control API. */
  host: string
  port: number
  token?: string
  /** Of resil. */
  version: string
  /** A file that is written. */
  journal?: string
  /** A journal whose changes are made again; the schedule does not start then. */
  replay?: Journal
}

export interface ProxyAlone {
  /** The control API. */
  url: string
  proxies: Proxy[]
  /** Each toxic that was ever there, with how often it struck; those that were never there on no proxy are not in it. */
  tally(): Tally[]
  /** What came again of the journal that was given; undefined without one. */
  replayed(): Replayed | undefined
  /** Leaves nothing behind. Why the journal is not whole, or undefined when it is. */
  close(): Promise<string | undefined>
}

export interface Tally {
  proxy: string
  toxic: string
  type: string
  hits: number
}

/** Throws PORT_BUSY, LISTEN_FAILED, BAD_PROXY, BAD_ADDRESS, BAD_TOXIC, BAD_SCHEDULE, TOKEN_NEEDED, CANNOT_JOURNAL; then nothing is left behind. */
export async function openProxyAlone(plan: ProxyAlonePlan, { log, clock }: { log: EventLog; clock: Clock }): Promise<ProxyAlone> {
  const toxics = await loadToxics()
  const tallies = new Map<string, Tally>()
  const stop = log.subscribe((event) => {
    const { link, toxic, toxicType } = event
    const key = JSON.stringify([link, toxic])
    const tally = tallies.get(key) ?? { proxy: link, toxic, type: toxicType, hits: 0 }
    if (event.type === 'toxic.hit') tally.hits++
    tallies.set(key, tally)
  }, (type) => type === 'toxic.added' || type === 'toxic.hit')
  const proxies = new Proxies({ clock, log, seed: plan.seed, toxics })
  const { host, port, token, version } = plan
  const admin = await openAdmin({ proxies, log, clock, toxics, host, port, token, version })
  let journal: JournalFile | undefined
  let replay: Replay | undefined
  try {
    for (const spec of plan.proxies) await proxies.create(spec)
    const { seed, schedule = null } = plan
    if (plan.journal !== undefined) journal = writeJournal(plan.journal, { resil: version, seed, proxies: plan.proxies, schedule }, { proxies, log, clock })
    if (plan.replay) replay = new Replay(plan.replay, { proxies, log, clock })
    else if (schedule) admin.schedule.start(schedule)
  } catch (error) {
    journal?.close()
    await admin.close()
    await proxies.close()
    throw error
  }
  return {
    url: admin.url,
    get proxies() {
      return proxies.list()
    },
    tally: () => [...tallies.values()],
    replayed: () => replay?.result,
    close: async () => {
      replay?.close()
      journal?.close()
      await admin.close()
      await proxies.close()
      stop()
      return journal?.trouble
    },
  }
}

/** Where a command finds the proxies: RESIL_PROXY_NAME, with _HOST, _PORT and _URL, and RESIL_CONTROL_URL. */
export function environmentOf({ url, proxies }: ProxyAlone): Record<string, string> {
  const found: Record<string, string> = { RESIL_CONTROL_URL: url }
  for (const { name, link } of proxies) {
    const host = link.address.host === '::' ? '127.0.0.1' : link.address.host
    const address = `${host.includes(':') ? `[${host}]` : host}:${link.address.port}`
    const key = `RESIL_PROXY_${name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}`
    Object.assign(found, { [key]: address, [`${key}_HOST`]: host, [`${key}_PORT`]: String(link.address.port), [`${key}_URL`]: `http://${address}` })
  }
  return found
}

/** From a signal to the command's end by force, ms. */
const GRACE_MS = 5000

/** Runs a command to its end, in this terminal; answers its exit code, 128 and the signal's number when one ended it. Throws COMMAND_NOT_FOUND. */
export async function runCommand(command: readonly string[], { env, signal, clock }: { env: Record<string, string | undefined>; signal: AbortSignal; clock: Clock }): Promise<number> {
  const [file, ...args] = command as [string, ...string[]]
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: 'inherit', env })
    let cancel = () => {}
    const end = () => {
      child.kill('SIGTERM')
      cancel = clock.after(GRACE_MS, () => child.kill('SIGKILL'))
    }
    const settled = () => {
      cancel()
      signal.removeEventListener('abort', end)
    }
    child.on('error', (error: NodeJS.ErrnoException) => {
      settled()
      reject(new ResilError('COMMAND_NOT_FOUND', `${file} cannot be run: ${error.code === 'ENOENT' ? 'there is no such command' : error.message}`, 'write the command behind --, as on a command line', { cause: error }))
    })
    child.on('exit', (code, killed) => {
      settled()
      resolve(code ?? 128 + (killed ? constants.signals[killed] : 0))
    })
    if (signal.aborted) end()
    else signal.addEventListener('abort', end, { once: true })
  })
}
