import { blackFriday } from '../storm.ts'

/** About a thousand customers, for a screen: a sample of B11, too small for its figures. */
export const scenario = blackFriday(
  { name: 'black-friday', summary: 'half of what the bank does fails and the rest takes seconds, with a thousand customers at the till: nobody pays twice, nobody is told a lie, and all is well again at once' },
  { perSecond: 40, slots: 48, calmMs: 5000, stormMs: 12_000, afterMs: 8000, leastOfMost: 0.25 },
)
