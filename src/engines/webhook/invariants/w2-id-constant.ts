import { plural } from '../../../invariant.ts'
import { atTheEnd } from '../evidence.ts'

export const invariant = atTheEnd('w2-id-constant', 'an event has the same id and the same number at an endpoint, however often it is sent', ({ received, observed }) => {
  const known = new Map(observed.filter(({ customer }) => customer !== null).map(({ customer, n, event }) => [`${customer}/${event}/${n}`, true]))
  const violations = received
    .filter(({ id, customer, sequence }) => id === null || sequence === null || !known.has(`${customer}/${id}/${sequence}`))
    .map(({ seq, id, customer, sequence }) => ({ why: `${customer} was sent ${id ?? 'no id'} as number ${sequence ?? 'none'}, which the store does not know`, witness: [seq] }))
  return { violations, looked: plural(received.length, 'request'), undecided: received.length === 0 ? 'no customer saw a request' : undefined }
})
