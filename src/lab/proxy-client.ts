/** Asks a running proxy over its control API. */
import type { Clock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import { HttpNetwork } from '../http-client.ts'
import { parseJson } from '../network.ts'

/** An answer comes at once or not at all, ms. */
const PATIENCE_MS = 5000

export interface ToxicFacts {
  name: string
  type: string
  stream: string
  toxicity: number
  attributes: Record<string, number | string>
  hits?: number
}

export interface ProxyFacts {
  name: string
  listen: string
  upstream: string
  enabled: boolean
  toxics: ToxicFacts[]
}

export interface ProxyClient {
  /** The answer's JSON; undefined for an empty one. Throws PROXY_UNREACHABLE, and PROXY_REFUSED with the words of the answer. */
  ask<T>(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<T>
  close(): Promise<void>
}

/** `patienceMs`: an answer that takes longer is none. Throws INVALID_URL. */
export function openProxyClient(url: string, token: string | undefined, clock: Clock, patienceMs = PATIENCE_MS): ProxyClient {
  const network = new HttpNetwork({ clock, services: { control: url } })
  return {
    async ask<T>(method: string, path: string, body?: unknown): Promise<T> {
      const headers: Record<string, string> = { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }
      const outcome = await network.call('control', { method, path, headers, body: body === undefined ? '' : JSON.stringify(body) }, { timeoutMs: patienceMs })
      if (outcome.kind !== 'ok') throw new ResilError('PROXY_UNREACHABLE', `no proxy answers at ${url}: ${outcome.error.message}`, 'start one with resil proxy start, or name another with --control', { cause: outcome.error })
      const { status, body: text } = outcome.value
      if (status < 300) return (text === '' ? undefined : parseJson(text)) as T
      const told = parseJson(text) as { error?: string; title?: string } | undefined
      throw new ResilError('PROXY_REFUSED', told?.error ?? told?.title ?? `the proxy answered ${status}`, status === 401 ? 'give its token with --token-file' : '')
    },
    close: () => network.close(),
  }
}

/** One segment of a path. */
export const segment = (name: string): string => encodeURIComponent(name)
