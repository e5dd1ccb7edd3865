/** Where webhooks go: what an operator does to endpoints. Each is one transaction on the store, beside whatever nodes run on it. */
import type { Clock } from '../../clock.ts'
import { ResilError } from '../../errors.ts'
import { suggestion } from '../../nearest.ts'
import type { Random } from '../../random.ts'
import { visible } from '../../visible.ts'
import type { Store, Tx } from '../store/store.ts'
import type { Demand } from './meaning.ts'
import { readPattern } from './patterns.ts'
import type { Kind } from './signature.ts'
import { newSecret } from './signature.ts'
import { readHeaders, readTarget } from './target.ts'
import type { Vault } from './vault.ts'

export type Ordering = 'none' | 'key' | 'fifo'
export type EndpointState = 'enabled' | 'paused' | 'disabled' | 'removed'

/** How an endpoint wants to be spoken to. */
export interface Spec {
  description: string
  /** `key`: events with the same key one after another; `fifo`: all of them. */
  ordering: Ordering
  /** At most so many a second, evenly; 0: as many as it takes. */
  perSecond: number
  /** Concurrency at most; absent: the engine's. */
  places?: number
  /** One attempt, ms; absent: the engine's. */
  deadlineMs?: number
  /** Turns that this lane has for each turn of one of weight 1, 1 to 100. */
  weight: number
  headers: Record<string, string>
  demand: Demand
  /** It may answer "later", and acknowledge within this, ms; absent: it may not. */
  ackMs?: number
  /** A `stripe-signature` goes beside the standard one, for receivers that verify with Stripe's SDK. */
  stripeSignature?: boolean
}

export interface EndpointRow {
  lane: number
  id: string
  tenant: string
  url: string
  /** JSON. */
  patterns: string
  /** JSON, a Spec. */
  spec: string
  state: EndpointState
  reason: string | null
  changed_at: number
  created_at: number
  revision: number
}

/** How a lane stands, beside its endpoint. */
export interface LaneRow {
  lane: number
  ordering: Ordering
  seq: number
  owner: string | null
  fence: number
  delivered: number
  dead: number
  cancelled: number
  failures: number
  failing_since: number | null
  failed_at: number | null
  succeeded_at: number | null
  told: number
  breaker: string | null
  places: number
  quiet_until: number | null
  /** By how much the receiver's clock is ahead, ms, give or take a second; null: it has not said. */
  skew_ms: number | null
}

export interface Endpoint extends EndpointRow, Omit<LaneRow, 'lane'> {
  /** Not delivered yet, and not dead. */
  waiting: number
}

export interface NewEndpoint extends Partial<Spec> {
  url: string
  tenant?: string
  /** `order.created`, `order.*`, `*`; everything when absent. */
  patterns?: readonly string[]
  /** v1 (HMAC) when absent. */
  signature?: Kind
  /** The secret of an endpoint that moves here; a new one is made when absent. */
  secret?: string
}

export interface EndpointRules {
  /** Networks, in CIDR notation, that may be spoken to beside public ones. */
  allow: readonly string[]
  plainHttp: boolean
  deadlineMaxMs: number
  placesMost: number
}

/** Endpoints of one tenant: each event looks for its own among them. */
export const ENDPOINTS_PER_TENANT = 10_000
/** Patterns of one endpoint. */
const PATTERNS_MOST = 100
/** Old secrets that still sign while a rotation overlaps. */
const OLD_SECRETS_MOST = 10
export const DEFAULT_TENANT = 'default'
export const ROTATION_OVERLAP_MS = 86_400_000

export class Endpoints {
  readonly #store: Store
  readonly #clock: Clock
  readonly #random: Random
  readonly #vault: Vault
  readonly #rules: EndpointRules

  constructor(outside: { store: Store; clock: Clock; random: Random }, vault: Vault, rules: EndpointRules) {
    this.#store = outside.store
    this.#clock = outside.clock
    this.#random = outside.random.fork('endpoints')
    this.#vault = vault
    this.#rules = rules
  }

  /** The secret is shown here and never again. Throws INVALID_TARGET, INVALID_HEADER, INVALID_ENDPOINT, INVALID_PATTERN, INVALID_SECRET, TOO_MANY_ENDPOINTS. */
  async add(given: NewEndpoint): Promise<{ endpoint: Endpoint; secret: string }> {
    const { url, tenant = DEFAULT_TENANT, patterns = ['*'] } = given
    readTarget(url, this.#rules)
    if (patterns.length === 0 || patterns.length > PATTERNS_MOST) throw invalid(`an endpoint has 1 to ${PATTERNS_MOST} types`)
    for (const pattern of patterns) readPattern(pattern)
    if (!/^[\w.@:-]{1,100}$/.test(tenant)) throw invalid(`tenant "${visible(tenant.slice(0, 100))}" is none: letters, digits and _ . @ : - only`)
    const spec = this.#spec(given)
    const secret = given.secret ?? newSecret(given.signature ?? 'v1', this.#random)
    const id = this.#random.id('ep')
    const sealed = this.#vault.seal(id, secret)
    const fingerprint = this.#vault.fingerprintOf(secret)
    const now = this.#clock.now()
    return this.#store.transaction('endpoint:add', async (tx) => {
      const [count] = await tx.query<{ n: number }>("SELECT COUNT(*) AS n FROM endpoint WHERE tenant = :tenant AND state <> 'removed'", { tenant })
      if (count!.n >= ENDPOINTS_PER_TENANT) throw new ResilError('TOO_MANY_ENDPOINTS', `tenant ${tenant} has ${count!.n} endpoints`, 'remove those that are not used')
      const [row] = await tx.query<{ lane: number }>(
        `INSERT INTO endpoint (id, tenant, url, patterns, spec, state, changed_at, created_at, revision)
         VALUES (:id, :tenant, :url, :patterns, :spec, 'enabled', :now, :now, :revision) RETURNING lane`,
        { id, tenant, url, patterns: JSON.stringify(patterns), spec: JSON.stringify(spec), now, revision: await nextRevision(tx) },
      )
      const { lane } = row!
      await tx.query('INSERT INTO lane (lane, ordering, seq, fence, delivered, dead, cancelled, failures, told, places) VALUES (:lane, :ordering, 0, 0, 0, 0, 0, 0, 0, 0)', { lane, ordering: spec.ordering })
      for (const pattern of new Set(patterns)) await tx.query('INSERT INTO subscription (tenant, pattern, lane) VALUES (:tenant, :pattern, :lane)', { tenant, pattern, lane })
      await tx.query('INSERT INTO secret (lane, sealed, fingerprint, created_at) VALUES (:lane, :sealed, :fingerprint, :now)', { lane, sealed, fingerprint, now })
      return { endpoint: await known(tx, id), secret }
    })
  }

  async list(tenant?: string): Promise<Endpoint[]> {
    return this.#store.transaction('endpoint:list', (tx) => tx.query<Endpoint>(`${WITH_LANE} WHERE state <> 'removed' ${tenant === undefined ? '' : 'AND tenant = :tenant'} ORDER BY e.lane`, tenant === undefined ? {} : { tenant }))
  }

  /** Throws NO_SUCH_ENDPOINT. */
  show(id: string): Promise<Endpoint> {
    return this.#store.transaction('endpoint:show', (tx) => known(tx, id))
  }

  /** The secrets that sign now, newest first, without what they are. */
  secrets(id: string): Promise<{ fingerprint: string; created_at: number; expires_at: number | null }[]> {
    const now = this.#clock.now()
    return this.#store.transaction('endpoint:secrets', async (tx) => {
      const { lane } = await known(tx, id)
      return tx.query('SELECT fingerprint, created_at, expires_at FROM secret WHERE lane = :lane AND (expires_at IS NULL OR expires_at > :now) ORDER BY id DESC', { lane, now })
    })
  }

  /**
   * `paused` and `disabled` hold what comes; `enabled` lets it go, with a clean slate. Throws NO_SUCH_ENDPOINT.
   * `who` and `why` are for the audit.
   */
  setState(id: string, state: 'enabled' | 'paused' | 'disabled', { who, why }: { who: string; why: string }): Promise<Endpoint> {
    const now = this.#clock.now()
    return this.#store.transaction('endpoint:state', async (tx) => {
      const { lane } = await known(tx, id)
      await changeState(tx, lane, state, state === 'enabled' ? null : why, now)
      // What was known of its health is of no use any more.
      if (state === 'enabled') await tx.query('UPDATE lane SET failures = 0, failing_since = NULL, failed_at = NULL, told = 0, breaker = NULL, quiet_until = NULL WHERE lane = :lane', { lane })
      await audit(tx, now, who, `endpoint ${state}`, id, why)
      return known(tx, id)
    })
  }

  /** What it is told and how. Throws as `add` does, and NO_SUCH_ENDPOINT. The ordering of what waits already stays what it was. */
  change(id: string, given: Partial<Spec> & { url?: string; patterns?: readonly string[] }, { who, why }: { who: string; why: string }): Promise<Endpoint> {
    if (given.url !== undefined) readTarget(given.url, this.#rules)
    for (const pattern of given.patterns ?? []) readPattern(pattern)
    if (given.patterns !== undefined && (given.patterns.length === 0 || given.patterns.length > PATTERNS_MOST)) throw invalid(`an endpoint has 1 to ${PATTERNS_MOST} types`)
    const now = this.#clock.now()
    return this.#store.transaction('endpoint:change', async (tx) => {
      const { lane, tenant, spec, url, patterns } = await known(tx, id)
      const { url: _url, patterns: _patterns, ...rest } = given
      const after = this.#spec({ ...(JSON.parse(spec) as Spec), ...rest })
      await tx.query('UPDATE endpoint SET url = :url, patterns = :patterns, spec = :spec, changed_at = :now, revision = :revision WHERE lane = :lane', {
        lane, now, url: given.url ?? url, spec: JSON.stringify(after), patterns: given.patterns ? JSON.stringify(given.patterns) : patterns, revision: await nextRevision(tx),
      })
      await tx.query('UPDATE lane SET ordering = :ordering WHERE lane = :lane', { lane, ordering: after.ordering })
      if (given.patterns) {
        await tx.query('DELETE FROM subscription WHERE lane = :lane AND tenant = :tenant', { lane, tenant })
        for (const pattern of new Set(given.patterns)) await tx.query('INSERT INTO subscription (tenant, pattern, lane) VALUES (:tenant, :pattern, :lane)', { tenant, pattern, lane })
      }
      await audit(tx, now, who, 'endpoint changed', id, why)
      return known(tx, id)
    })
  }

  /** A new secret signs beside the old ones, for `overlapMs`; 0 revokes them now. It is shown here and never again. Throws NO_SUCH_ENDPOINT. */
  async rotate(id: string, { overlapMs = ROTATION_OVERLAP_MS, signature = 'v1' as Kind, who, why }: { overlapMs?: number; signature?: Kind; who: string; why: string }): Promise<{ endpoint: Endpoint; secret: string }> {
    if (!(overlapMs >= 0)) throw invalid('an overlap is 0 or more')
    const secret = newSecret(signature, this.#random)
    const sealed = this.#vault.seal(id, secret)
    const fingerprint = this.#vault.fingerprintOf(secret)
    const now = this.#clock.now()
    return this.#store.transaction('endpoint:rotate', async (tx) => {
      const { lane } = await known(tx, id)
      const until = now + overlapMs
      await tx.query('DELETE FROM secret WHERE lane = :lane AND expires_at IS NOT NULL AND expires_at <= :now', { lane, now })
      const [{ n }] = (await tx.query<{ n: number }>('SELECT COUNT(*) AS n FROM secret WHERE lane = :lane', { lane })) as [{ n: number }]
      if (overlapMs > 0 && n > OLD_SECRETS_MOST) throw invalid(`${n} secrets sign already`)
      if (overlapMs === 0) await tx.query('DELETE FROM secret WHERE lane = :lane', { lane })
      else await tx.query('UPDATE secret SET expires_at = :until WHERE lane = :lane AND (expires_at IS NULL OR expires_at > :until)', { lane, until })
      await tx.query('INSERT INTO secret (lane, sealed, fingerprint, created_at) VALUES (:lane, :sealed, :fingerprint, :now)', { lane, sealed, fingerprint, now })
      await tx.query('UPDATE endpoint SET changed_at = :now, revision = :revision WHERE lane = :lane', { lane, now, revision: await nextRevision(tx) })
      await audit(tx, now, who, overlapMs === 0 ? 'secret revoked and replaced' : 'secret rotated', id, why)
      return { endpoint: await known(tx, id), secret }
    })
  }

  /** What waits for it is cancelled; its history stays. Throws NO_SUCH_ENDPOINT. */
  remove(id: string, { who, why }: { who: string; why: string }): Promise<{ cancelled: number }> {
    const now = this.#clock.now()
    return this.#store.transaction('endpoint:remove', async (tx) => {
      const { lane } = await known(tx, id)
      await changeState(tx, lane, 'removed', why, now)
      await tx.query('DELETE FROM subscription WHERE lane = :lane AND tenant = (SELECT tenant FROM endpoint WHERE lane = :lane)', { lane })
      const cancelled = await tx.query("UPDATE delivery SET state = 'cancelled', reason = 'endpoint removed', ended_at = :now WHERE lane = :lane AND state IN ('pending', 'chained') RETURNING id", { lane, now })
      await tx.query('UPDATE lane SET cancelled = cancelled + :n WHERE lane = :lane', { lane, n: cancelled.length })
      await tx.query('DELETE FROM secret WHERE lane = :lane', { lane })
      await audit(tx, now, who, 'endpoint removed', id, why)
      return { cancelled: cancelled.length }
    })
  }

  #spec(given: Partial<Spec>): Spec {
    const { deadlineMaxMs, placesMost } = this.#rules
    const { description = '', ordering = 'none', perSecond = 0, places, deadlineMs, weight = 1, headers = {}, demand = {}, ackMs, stripeSignature } = given
    if (!description.isWellFormed() || description.length > 500) throw invalid('a description has at most 500 characters')
    if (!['none', 'key', 'fifo'].includes(ordering)) throw invalid(`ordering "${visible(String(ordering))}" is none of none, key, fifo`)
    const within = (what: string, value: number | undefined, least: number, most: number) => {
      if (value !== undefined && !(value >= least && value <= most)) throw invalid(`${what} is ${value}: it is from ${least} to ${most}`)
    }
    within('a rate', perSecond === 0 ? undefined : perSecond, 0.01, 10_000)
    within('concurrency', places, 1, placesMost)
    within('a deadline, ms,', deadlineMs, 100, deadlineMaxMs)
    within('a weight', weight, 1, 100)
    within('the time for an acknowledgement, ms,', ackMs, 1000, 86_400_000)
    if (demand.pointer && !demand.pointer.path.startsWith('/')) throw invalid('a JSON pointer begins with a slash')
    return { description, ordering, perSecond, weight, headers: readHeaders(headers), demand, ...(places === undefined ? {} : { places }), ...(deadlineMs === undefined ? {} : { deadlineMs }), ...(ackMs === undefined ? {} : { ackMs }), ...(stripeSignature ? { stripeSignature } : {}) }
  }
}

const WITH_LANE = `SELECT e.*, l.ordering, l.seq, l.owner, l.fence, l.delivered, l.dead, l.cancelled, l.failures, l.failing_since, l.failed_at, l.succeeded_at, l.told, l.breaker, l.places, l.quiet_until, l.skew_ms,
  l.seq - l.delivered - l.dead - l.cancelled AS waiting
  FROM endpoint e JOIN lane l ON l.lane = e.lane`

/** Throws NO_SUCH_ENDPOINT with near matches. */
export async function known(tx: Tx, id: string): Promise<Endpoint> {
  const [row] = await tx.query<Endpoint>(`${WITH_LANE} WHERE e.id = :id AND e.state <> 'removed'`, { id })
  if (row) return row
  const ids = await tx.query<{ id: string }>("SELECT id FROM endpoint WHERE state <> 'removed' ORDER BY lane LIMIT 1000")
  throw new ResilError('NO_SUCH_ENDPOINT', `there is no endpoint "${visible(id)}"`, ids.length === 0 ? 'resil webhook endpoint add makes one' : suggestion(id, ids.map((each) => each.id)))
}

/** Inside the caller's transaction. */
export async function changeState(tx: Tx, lane: number, state: EndpointState, reason: string | null, now: number): Promise<void> {
  await tx.query('UPDATE endpoint SET state = :state, reason = :reason, changed_at = :now, revision = :revision WHERE lane = :lane', { lane, state, reason, now, revision: await nextRevision(tx) })
}

/** Greater than any before it, in the order in which transactions commit. */
async function nextRevision(tx: Tx): Promise<number> {
  const [row] = await tx.query<{ last: number }>('UPDATE revision SET last = last + 1 RETURNING last')
  return row!.last
}

export async function audit(tx: Tx, at: number, who: string, what: string, subject: string, why: string): Promise<void> {
  await tx.query('INSERT INTO audit (at, who, what, subject, why) VALUES (:at, :who, :what, :subject, :why)', { at, who, what, subject, why })
}

function invalid(why: string): ResilError {
  return new ResilError('INVALID_ENDPOINT', why, 'resil webhook endpoint add --help lists what there is')
}

/** Where a request goes, of a target that was read once. */
export function splitTarget(url: string): { origin: string; path: string } {
  const { origin, pathname, search } = new URL(url)
  return { origin, path: `${pathname}${search}` }
}
