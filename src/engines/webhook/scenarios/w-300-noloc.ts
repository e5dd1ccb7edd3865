import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'
import { pointless } from '../pointless.ts'

export const scenario: WebhookScenario = {
  name: 'W-300-NOLOC',
  summary: 'a customer answers 300 and names no place: that is no success, and the message arrives when it is mended',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  drive: (world) => pointless(world, 300),
}
