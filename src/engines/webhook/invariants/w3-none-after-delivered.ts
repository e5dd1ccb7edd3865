import { atTheEnd } from '../evidence.ts'

export const invariant = atTheEnd('w3-none-after-delivered', 'what counts as delivered is not sent again, unless somebody asks for a replay', ({ repeats, observed }) => ({
  violations: (repeats?.examples ?? []).map(({ event, endpoint }) => ({ why: `${event} was sent to ${endpoint} again after it had been delivered`, witness: [repeats!.seq] })),
  looked: `${observed.filter(({ state }) => state === 'delivered').length} delivered`,
}))
