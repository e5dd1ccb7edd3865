/**
 * A fenced resource: what jobs do their effects on, and the ground truth of what took effect.
 *
 * | route                                                        | answers |
 * |--------------------------------------------------------------|---------|
 * | POST /v1/effects, with Idempotency-Key, Resil-Fencing-Token   | 201 `{applied: true}`; 200 `{applied: false}` when the key had its effect before; 409 when a newer token has been seen for it |
 * | GET /ledger                                                   | 200 `{effects, refused, duplicates}`, at once |
 *
 * A token fences those of the same key that are older: a worker that was thought dead and comes back too late. The key makes one effect of the two
 * when the late one comes first. Without a token the key alone counts; without a key every request is an effect of its own.
 */
import { json, parseJson, problem } from '../../network.ts'
import { answer, internalError, isText, ledgerFull, LEDGER_LIMIT, LieSchedule, malformed, objectOf, serve } from '../mock.ts'
import type { Asked, Latency, LieTable, Mock, MockSetup, Work } from '../mock.ts'

export const typicalLatency: Latency = { p50: 5, p99: 30 }

export const lies = {
  error_500: { asks: 'effect', summary: 'answers 500 and does nothing' },
  applied_then_500: { asks: 'effect', summary: 'does it, then answers 500' },
  late_answer: { asks: 'effect', ms: 5000, summary: 'does it and answers after ms' },
} satisfies LieTable

export interface Effect {
  /** null when none was sent. */
  key: string | null
  token: number | null
  /** What the request said it is about. */
  what: string | null
  /** ms since 1970, the resource's clock. */
  at: number
}

export interface ResourceLedger {
  readonly effects: readonly Effect[]
  /** Requests with a token that was too old. */
  readonly refused: readonly Effect[]
  /** Requests whose key had its effect before. */
  readonly duplicates: readonly Effect[]
}

export function resource(setup: MockSetup): Mock & { readonly ledger: ResourceLedger } {
  const { clock, log } = setup
  const schedule = new LieSchedule('resource', lies, log)
  const ledger = { effects: [] as Effect[], refused: [] as Effect[], duplicates: [] as Effect[] }
  const applied = new Set<string>()
  const highest = new Map<string, number>()
  let taken = 0

  function effect(asked: Asked): Work {
    const key = asked.headers['idempotency-key'] ?? null
    const given = asked.headers['resil-fencing-token']
    const token = given === undefined ? null : Number(given)
    if (key !== null && !isText(key)) return malformed('an Idempotency-Key has 1 to 255 characters')
    if (token !== null && !(Number.isSafeInteger(token) && token >= 0)) return malformed('a Resil-Fencing-Token is a whole number from 0')
    const body = objectOf(parseJson(asked.body))
    const what = isText(body?.['what']) ? body['what'] : null
    if (++taken > LEDGER_LIMIT) return answer(ledgerFull(LEDGER_LIMIT))
    log.emit('resource.asked', { key, token, what })
    const lie = schedule.take('effect')
    if (lie?.kind === 'error_500') return answer(internalError())
    return {
      waitMs: lie?.kind === 'late_answer' ? lie.ms : undefined,
      finish() {
        const entry: Effect = { key, token, what, at: clock.now() }
        if (key !== null && token !== null) {
          const seen = highest.get(key) ?? -1
          if (token < seen) {
            ledger.refused.push(entry)
            log.emit('resource.refused', { key, token, seen })
            return problem(409, 'fenced', 'A newer token has been seen for this key', { seen })
          }
          highest.set(key, token)
        }
        if (key !== null && applied.has(key)) {
          ledger.duplicates.push(entry)
          log.emit('resource.repeated', { key, token })
          return json(200, { applied: false })
        }
        if (key !== null) applied.add(key)
        ledger.effects.push(entry)
        log.emit('resource.applied', { key, token, what })
        return lie?.kind === 'applied_then_500' ? internalError() : json(201, { applied: true })
      },
    }
  }

  return {
    name: 'resource',
    ledger,
    handle: serve(setup, {
      '/v1/effects': { POST: effect },
      '/ledger': { GET: () => answer(json(200, ledger), 0) },
    }),
    lie: (lie) => schedule.add(lie),
    heal: () => schedule.clear(),
  }
}
