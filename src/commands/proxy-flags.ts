/** What the commands of the proxy have in common. */
import { readFileSync } from 'node:fs'
import { Flags } from '@oclif/core'
import { SystemClock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { ProxyAlone, ProxyAlonePlan } from '../lab/proxy-alone.ts'
import { openProxyClient } from '../lab/proxy-client.ts'
import type { ProxyClient } from '../lab/proxy-client.ts'
import { adHocProxy, readProxyConfig } from '../lab/proxy-config.ts'
import type { ProxyConfig } from '../lab/proxy-config.ts'
import { readJournal } from '../lab/proxy-journal.ts'
import type { Replayed } from '../lab/proxy-journal.ts'
import { anySeed } from '../lab/run.ts'
import type { Voice } from '../lab/standing.ts'
import { loadToxics } from '../lab/units.ts'
import { visible } from '../visible.ts'
import type { ExitCode } from './failure.ts'
import { port, seed } from './flags.ts'

const tokenFile = Flags.string({ summary: 'a file whose first line is the token of the control API', helpValue: 'FILE' })

/** For a proxy that is started here. */
export const planFlags = (usual: number) => ({
  config: Flags.string({ summary: "proxies, toxics and schedule: YAML, or Toxiproxy's JSON", helpValue: 'FILE' }),
  listen: Flags.string({ summary: 'one proxy without a file: PORT or HOST:PORT', helpValue: 'ADDRESS', dependsOn: ['upstream'], exclusive: ['config'] }),
  upstream: Flags.string({ summary: 'where it goes', helpValue: 'HOST:PORT', dependsOn: ['listen'] }),
  toxic: Flags.string({ summary: 'a fault on it from the start, e.g. latency=200ms,jitter=50ms@upstream (resil list toxics)', multiple: true, helpValue: 'SPEC', dependsOn: ['listen'] }),
  port: port({ summary: `port of the control API; 0 takes a free one [default: ${usual}]` }),
  host: Flags.string({ summary: 'address of the control API; another one than this machine needs --allow-remote and --token-file', default: '127.0.0.1' }),
  'allow-remote': Flags.boolean({ summary: 'let the control API stand where others reach it' }),
  'token-file': tokenFile,
  seed: seed({ summary: 'the same seed and the same requests give the same faults' }),
  journal: Flags.string({ summary: 'write each fault that strikes and each change to a file', helpValue: 'FILE' }),
  replay: Flags.string({ summary: 'start as a journal says, make its changes again at the same counts, and tell whether the same faults struck', helpValue: 'JOURNAL', exclusive: ['config', 'listen', 'seed'] }),
})

interface PlanFlags {
  config?: string
  listen?: string
  upstream?: string
  toxic?: string[]
  port?: number
  host: string
  'allow-remote': boolean
  'token-file'?: string
  seed?: number
  journal?: string
  replay?: string
}

export const USUAL_PORT = 8474

/** `usualPort`: of the control API, when nobody says. */
export async function planOf(flags: PlanFlags, usualPort: number, version: string): Promise<ProxyAlonePlan> {
  const toxics = await loadToxics()
  if (flags.journal !== undefined && flags.journal === flags.replay) throw new ResilError('ONE_JOURNAL', `--journal would write over ${flags.replay}, which is replayed`, 'name another file')
  const replay = flags.replay === undefined ? undefined : readJournal(flags.replay)
  const read: ProxyConfig = replay ? { seed: replay.seed, proxies: [...replay.proxies] } : flags.config === undefined ? { proxies: flags.listen === undefined ? [] : [adHocProxy(flags.listen, flags.upstream!, flags.toxic ?? [], toxics)] } : readProxyConfig(flags.config, toxics)
  const local = flags.host === 'localhost' || flags.host === '::1' || flags.host.startsWith('127.')
  if (!local && !flags['allow-remote']) throw new ResilError('REMOTE_CONTROL', `--host ${flags.host} would let others control the proxy`, 'keep it on 127.0.0.1, or say --allow-remote and give it a --token-file')
  return { ...read, seed: flags.seed ?? read.seed ?? anySeed(), host: flags.host, port: flags.port ?? read.port ?? usualPort, token: tokenIn(flags['token-file']), version, journal: flags.journal, replay }
}

/** Throws BAD_TOKEN. */
function tokenIn(file: string | undefined): string | undefined {
  if (file === undefined) return undefined
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new ResilError('BAD_TOKEN', `${file} cannot be read: ${(error as NodeJS.ErrnoException).code}`, 'give a file whose first line is the token')
  }
  const token = text.split('\n')[0]!.trim()
  if (!/^[!-~]{16,256}$/.test(token)) throw new ResilError('BAD_TOKEN', `the first line of ${file} is no token`, 'write 16 to 256 letters, digits and signs, without blanks: openssl rand -hex 32')
  return token
}

/** Differences that are told one by one. */
const MAX_DIFFERENCES = 20

/**
 * Stops it and tells which faults struck, and of a replay what came again. 3 when a journal could not be kept; and under `strict` when a fault
 * never struck or the replay differs.
 */
export async function endProxy(proxy: ProxyAlone, strict: boolean, voice: Voice): Promise<ExitCode> {
  const tally = proxy.tally()
  const replayed = proxy.replayed()
  const trouble = await proxy.close()
  for (const { proxy: name, toxic, type, hits } of tally) voice.answer(`${visible(name)}  ${visible(toxic)}${toxic.startsWith(type) ? '' : ` (${type})`}  ${hits === 0 ? 'NEVER STRUCK' : hits === 1 ? 'struck once' : `struck ${hits} times`}`)
  if (replayed) for (const line of inWords(replayed)) voice.answer(visible(line))
  if (trouble !== undefined) voice.answer(`the journal is not whole: ${visible(trouble)}`)
  const ok = trouble === undefined && !(strict && (tally.some(({ hits }) => hits === 0) || replayed?.same === false))
  voice.emit({ type: 'stopped', ok, toxics: tally, ...(replayed && { replayed }), ...(trouble !== undefined && { trouble }) })
  return ok ? 0 : 3
}

function inWords({ same, hits, again, missing, extra, changes, unmade }: Replayed): string[] {
  if (same) return [`replayed: ${hits === 1 ? 'the same hit' : `the same ${hits} hits`} came again${changes === 0 ? '' : `, ${changes} ${changes === 1 ? 'change' : 'changes'} made again`}`]
  const list = [...missing.map((hit) => `  did not come again: ${hit}`), ...extra.map((hit) => `  was not there: ${hit}`), ...unmade.map((change) => `  change not made again: ${change}`)]
  return [`replayed: NOT THE SAME, ${again} of ${hits} hits came again`, ...list.slice(0, MAX_DIFFERENCES), ...(list.length > MAX_DIFFERENCES ? [`  and ${list.length - MAX_DIFFERENCES} more`] : [])]
}

/** For a command that asks a running proxy. */
export const controlFlags = {
  control: Flags.string({ summary: 'the control API of the proxy', helpValue: 'URL', env: 'TOXIPROXY_URL', default: `http://127.0.0.1:${USUAL_PORT}` }),
  'token-file': tokenFile,
}

export const controlUrl = ({ control }: { control: string }): string => (control.includes('://') ? control : `http://${control}`)

/** `patienceMs`: an answer that takes longer is none. */
export async function withClient<T>(flags: { control: string; 'token-file'?: string }, work: (client: ProxyClient) => Promise<T>, patienceMs?: number): Promise<T> {
  const client = openProxyClient(controlUrl(flags), tokenIn(flags['token-file']), new SystemClock(), patienceMs)
  try {
    return await work(client)
  } finally {
    await client.close()
  }
}

/** `latency 200, jitter 50`, without what does nothing. */
export function attributesInWords(attributes: Record<string, number | string>): string {
  return visible(Object.entries(attributes).filter(([, value]) => value !== '' && value !== 0).map(([name, value]) => `${name} ${value}`).join(', '))
}
