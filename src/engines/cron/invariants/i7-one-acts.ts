import { plural } from '../../../invariant.ts'
import { atTheEnd } from '../evidence.ts'

export const invariant = atTheEnd('i7-one-acts', 'no two nodes trust themselves to lead at one time', ({ trust }) => {
  if (!trust) return { violations: [], looked: '', undecided: 'nobody could look into the nodes: they are processes of their own' }
  return { violations: trust.twice.map((why) => ({ why, witness: [trust.seq] })), looked: plural(trust.looks, 'look') }
})
