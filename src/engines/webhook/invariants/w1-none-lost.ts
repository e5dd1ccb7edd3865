import { plural } from '../../../invariant.ts'
import type { Observed } from '../evidence.ts'
import { atTheEnd } from '../evidence.ts'

export const invariant = atTheEnd('w1-none-lost', 'what was accepted has arrived, or stands where somebody can see it: held, or dead with a reason', ({ accepted, observed, received }) => {
  const byEvent = new Map<string, Observed[]>()
  for (const row of observed) byEvent.set(row.event, [...(byEvent.get(row.event) ?? []), row])
  const answered = new Set(received.filter(({ status }) => status >= 200 && status < 300).map(({ customer, id }) => `${customer}/${id}`))
  const violations = accepted.flatMap(({ seq, event, deliveries }) => {
    const rows = byEvent.get(event) ?? []
    if (rows.length < deliveries) return [{ why: `${event} was accepted for ${plural(deliveries, 'endpoint')} and the store has ${plural(rows.length, 'delivery').replace('deliverys', 'deliveries')}`, witness: [seq] }]
    return rows.flatMap((row) => {
      const witness = [seq, row.seq]
      if (row.state === 'delivered') return row.customer === null || answered.has(`${row.customer}/${event}`) ? [] : [{ why: `${event} counts as delivered, and ${row.customer} never took it`, witness }]
      if (row.state === 'dead') return row.reason === null ? [{ why: `${event} is dead without a reason`, witness }] : []
      if (row.state === 'cancelled' || row.held) return []
      return [{ why: `${event} for ${row.customer ?? row.endpoint} still waits (${row.state}, ${plural(row.tries, 'attempt')})`, witness }]
    })
  })
  return { violations, looked: `${plural(accepted.length, 'event')}, ${observed.filter(({ state }) => state === 'delivered').length} delivered`, undecided: accepted.length === 0 ? 'no event was accepted' : undefined }
})
