import { plural } from '../../../invariant.ts'
import { atTheEnd } from '../evidence.ts'

export const invariant = atTheEnd('i5-one-holder', 'an epoch has one holder, and epochs only grow', ({ reigns }) => {
  const violations = reigns.flatMap(({ seq, epoch, holder }, n) => {
    const before = reigns[n - 1]
    if (!before || epoch > before.epoch) return []
    return [{ why: epoch === before.epoch ? `epoch ${epoch} had ${before.holder} and ${holder}` : `epoch ${epoch} came behind epoch ${before.epoch}`, witness: [before.seq, seq] }]
  })
  return { violations, looked: plural(reigns.length, 'epoch') }
})
