/** The bank's memory of idempotency keys, in the manner of its dialect. */
import { hash } from 'node:crypto'
import type { Clock } from '../../clock.ts'
import type { Log } from '../../events.ts'
import { problem } from '../../network.ts'
import type { HttpRequest, HttpResponse } from '../../network.ts'
import { answer, isText } from '../mock.ts'
import type { LieSchedule, Work } from '../mock.ts'
import type { Dialect } from './dialects.ts'
import type { Charge, Refund } from './ledger.ts'

/** One life of a key. */
export interface KeyRecord {
  fingerprint: string
  bornAt: number
  inProgress: boolean
  /** The answer that it replays. */
  kept: HttpResponse | undefined
  /** How what it made stands now, as an answer; absent when it made nothing. */
  latest: (() => HttpResponse) | undefined
  /** What was booked under it. */
  charges: Charge[]
  refunds: Refund[]
}

export interface KeysSetup {
  dialect: Dialect
  clock: Clock
  log: Log
  schedule: LieSchedule
  /** Takes a place in the ledger, or says why there is none. */
  takeSlot: () => Work | undefined
}

export class Keys {
  readonly #setup: KeysSetup
  /** In the order of their birth. */
  readonly #records = new Map<string, KeyRecord>()

  constructor(setup: KeysSetup) {
    this.#setup = setup
  }

  /** The request's key; null when there is none, undefined when it is no key. */
  of({ headers }: HttpRequest): string | null | undefined {
    const key = headers[this.#setup.dialect.header] ?? headers['idempotency-key'] ?? null
    return key === null || isText(key, this.#setup.dialect.keyCharacters) ? key : undefined
  }

  /** The key's present life. */
  find(key: string): KeyRecord | undefined {
    this.#forgetOld()
    const known = this.#records.get(key)
    if (known && !known.inProgress && this.#setup.schedule.take('key')) this.#records.delete(key)
    return this.#records.get(key)
  }

  /** At most one execution in a key's life: `begin` is not called for a request that the key already answers. */
  once(key: string | null, parameters: unknown[], begin: (record: KeyRecord) => Work): Work {
    const { dialect, clock, log, takeSlot } = this.#setup
    const heeded = dialect.heedsKeys ? key : null
    const fingerprint = hash('sha256', JSON.stringify(parameters), 'base64')
    const known = heeded === null ? undefined : this.find(heeded)
    const standing = known && this.#standing(known)
    if (known && (known.inProgress || standing)) {
      if (known.fingerprint !== fingerprint && dialect.otherBody === 'refuse') {
        return this.#echo(key, answer(problem(400, 'idempotency_error', 'keys for idempotent requests can only be used with the same parameters', { code: 'idempotency_error' })))
      }
      if (!standing) return this.#echo(key, answer(inUse()))
      log.emit('bank.replayed', { key, charge: known.charges.at(-1)?.id ?? null })
      return this.#echo(key, answer({ ...standing, headers: { ...standing.headers, 'idempotent-replayed': 'true' } }))
    }
    const full = takeSlot()
    if (full) return full
    const record: KeyRecord = { fingerprint, bornAt: clock.monotonic(), inProgress: true, kept: undefined, latest: undefined, charges: known?.charges ?? [], refunds: known?.refunds ?? [] }
    if (heeded !== null) {
      this.#records.delete(heeded)
      this.#records.set(heeded, record)
    }
    return this.#echo(key, { fail: () => this.free(record, problem(500, 'internal_error', 'something went wrong in here', { code: 'internal_error' })), ...begin(record) })
  }

  /** The execution is over, and this is its answer. */
  keep(record: KeyRecord, response: HttpResponse): HttpResponse {
    record.inProgress = false
    if (response.status < 400 || this.#setup.dialect.keepsErrors) record.kept = response
    return response
  }

  /** The execution ended before it began: the key remembers nothing. */
  free(record: KeyRecord, response: HttpResponse): HttpResponse {
    record.inProgress = false
    return response
  }

  /** What the key answers now, if anything. */
  #standing(known: KeyRecord): HttpResponse | undefined {
    const { replays, completes } = this.#setup.dialect
    if (known.inProgress) return undefined
    if (known.latest && (replays === 'latest' || (completes && !known.kept))) return known.latest()
    return known.kept
  }

  #echo(key: string | null, work: Work): Work {
    if (key === null || !this.#setup.dialect.echoesKey) return work
    const echoed = async (response: HttpResponse | Promise<HttpResponse>): Promise<HttpResponse> => {
      const { headers, ...rest } = await response
      return { ...rest, headers: { ...headers, 'idempotency-key': key, ...(rest.status === 409 && { 'transient-error': 'true' }) } }
    }
    return { ...work, finish: () => echoed(work.finish()) }
  }

  #forgetOld(): void {
    const deadline = this.#setup.clock.monotonic() - this.#setup.dialect.keyLifetimeMs
    for (const [key, record] of this.#records) {
      if (record.bornAt > deadline) return
      this.#records.delete(key)
    }
  }
}

/** 409: the first request with this key is still in progress. */
export function inUse(): HttpResponse {
  return problem(409, 'idempotency_key_in_use', 'the first request with this key is still in progress', { code: 'idempotency_key_in_use' }, { 'retry-after': '1' })
}
