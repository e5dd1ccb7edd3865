import { plural } from '../../../invariant.ts'
import { atTheEnd } from '../evidence.ts'

export const invariant = atTheEnd('w7-key-order', 'where order was asked for, what belongs together arrives one after another', ({ observed, received }) => {
  const chainOf = new Map(observed.filter(({ chain, customer }) => chain !== null && customer !== null).map((row) => [`${row.customer}/${row.event}`, row]))
  const last = new Map<string, { n: number; seq: number }>()
  const violations = received.flatMap(({ seq, customer, id, processed }) => {
    const row = processed ? chainOf.get(`${customer}/${id}`) : undefined
    if (!row) return []
    const chain = `${row.endpoint}/${row.chain}`
    const before = last.get(chain)
    last.set(chain, { n: Math.max(row.n, before?.n ?? 0), seq })
    return before && row.n < before.n ? [{ why: `${customer} did number ${row.n} of "${row.chain}" behind number ${before.n}`, witness: [before.seq, seq] }] : []
  })
  return { violations, looked: plural(new Set([...chainOf.values()].map(({ endpoint, chain }) => `${endpoint}/${chain}`)).size, 'chain') }
})
