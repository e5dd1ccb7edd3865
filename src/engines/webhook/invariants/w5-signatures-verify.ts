import { plural } from '../../../invariant.ts'
import { atTheEnd } from '../evidence.ts'

export const invariant = atTheEnd('w5-signatures-verify', 'every request is signed so that its receiver can tell it from any other', ({ received, skewed, stepped }) => {
  const checked = received.filter(({ signed }) => signed !== 'unchecked')
  const violations = checked
    .filter(({ signed, customer }) => signed === 'invalid' || signed === 'missing' || (signed === 'stale' && !stepped && !skewed.has(customer)))
    .map(({ seq, signed, customer, id }) => ({ why: `${customer} found the signature of ${id ?? 'a request'} ${signed}`, witness: [seq] }))
  return { violations, looked: plural(checked.length, 'signature'), undecided: checked.length === 0 ? 'no customer checked a signature' : undefined }
})
