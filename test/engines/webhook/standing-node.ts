/** The webhook engine as a service on real sockets and a file, as `resil webhook serve` runs it. */
import { join } from 'node:path'
import { SystemClock } from '../../../src/clock.ts'
import type { EventLog } from '../../../src/events.ts'
import type { WebhookSettings } from '../../../src/engines/webhook/settings.ts'
import type { WebhookNode } from '../../../src/lab/webhook-alone.ts'
import { labKey, runWebhookNode } from '../../../src/lab/webhook-alone.ts'

export function standingNode(folder: string, log: EventLog, settings: Partial<WebhookSettings>): Promise<WebhookNode> {
  return runWebhookNode({
    clock: new SystemClock(),
    log: log.from('engine', 'n1'),
    db: join(folder, 'webhooks.db'),
    node: 'n1',
    port: 0,
    place: { keys: () => [labKey(1)], allow: ['127.0.0.1/32'], plainHttp: true, version: '0.0.0' },
    settings,
  })
}
