import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'
import { pointless } from '../pointless.ts'

export const scenario: WebhookScenario = {
  name: 'W-304',
  summary: 'a customer answers 304 Not Modified: that is no success, and the message arrives when it is mended',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  drive: (world) => pointless(world, 304),
}
