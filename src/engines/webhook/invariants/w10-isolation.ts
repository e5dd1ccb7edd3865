import { plural } from '../../../invariant.ts'
import { atTheEnd } from '../evidence.ts'

/** Of those whose customer is well: so many arrive within so long, whatever becomes of others. */
const SHARE = 0.99
const WITHIN_MS = 5000

export const invariant = atTheEnd('w10-isolation', 'whoever is well is told at once, however ill the others are', (evidence) => {
  const { accepted, observed, received, ill, endpoints, interruptions } = evidence
  const well = new Set([...endpoints.keys()].filter((customer) => !ill.has(customer)))
  // Without anybody ill there is nothing to be kept from; and whose node died waits for the next one.
  if (well.size === endpoints.size || interruptions.length > 0) return { violations: [], looked: '0 messages beside an illness' }
  const acceptedAt = new Map(accepted.map((event) => [event.event, event]))
  const arrivals = new Map<string, { seq: number; t: number }>()
  for (const { seq, t, customer, id } of received) if (well.has(customer) && !arrivals.has(`${customer}/${id}`)) arrivals.set(`${customer}/${id}`, { seq, t })
  const lags = observed.flatMap(({ seq, event, customer, chain, replayed, held }) => {
    const from = acceptedAt.get(event)
    if (customer === null || !well.has(customer) || !from || chain !== null || replayed || held) return []
    const to = arrivals.get(`${customer}/${event}`)
    return [{ customer, event, ms: (to?.t ?? Number.POSITIVE_INFINITY) - from.t, witness: [from.seq, to?.seq ?? seq] }]
  })
  const late = lags.filter(({ ms }) => ms > WITHIN_MS)
  const allowed = Math.floor(lags.length * (1 - SHARE))
  const violations = late.length <= allowed ? [] : late.map(({ customer, event, ms, witness }) => ({ why: Number.isFinite(ms) ? `${customer}, which was well, was told of ${event} after ${Math.round(ms)} ms` : `${customer}, which was well, was never told of ${event}`, witness }))
  return { violations, looked: `${plural(lags.length, 'message')} beside an illness` }
})
