import { blackFriday } from '../storm.ts'

export const scenario = blackFriday(
  { name: 'B11', summary: 'a hundred customers a second while half of what the bank does fails and the rest is slow: most of what could be paid is, the others are told the truth' },
  { perSecond: 100, slots: 120, calmMs: 5000, stormMs: 30_000, afterMs: 10_000, leastOfMost: 0.6 },
)
