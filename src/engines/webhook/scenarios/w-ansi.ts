import { visible } from '../../../visible.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'
import { ends, ill } from '../ill.ts'

const ESCAPE = '\u001b'

export const scenario: WebhookScenario = {
  name: 'W-ANSI',
  summary: 'a customer answers with what a terminal obeys: what is kept of it is shown harmless, and none of it is in the stream of events',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const endpoint = await world.subscribe('customer-1')
    const attempts = await ill(world, endpoint, 'customer-1', 'ansi')
    world.expect('it is a failure like any other', attempts.length === 3 && attempts.every(({ outcome, status }) => outcome === 'failed' && status === 500), ends(attempts))
    const kept = attempts.map(({ body }) => body ?? '')
    world.expect('what it said is kept for whoever looks', kept.every((body) => body.includes(ESCAPE)), kept.map(visible).join(' '))
    world.expect('shown, it is harmless', kept.every((body) => body !== '' && !visible(body).includes(ESCAPE)), kept.map(visible).join(' '))
    const said = ['delivery.attempted', 'delivery.died', 'lane.parked', 'lane.probed', 'lane.woken', 'endpoint.failing', 'exchange.answered', 'customer.received'].flatMap((type) => world.of(type))
    const obeyed = said.filter((event) => Object.values(event).some((value) => typeof value === 'string' && visible(value) !== value))
    world.expect('none of it is in the stream of events', said.length > 0 && obeyed.length === 0, `${obeyed.length} of ${said.length} events`)
    const reasons = await world.store.transaction('look', (tx) => tx.query<{ reason: string | null; detail: string | null }>('SELECT d.reason, a.detail FROM attempt a JOIN delivery d ON d.id = a.delivery'))
    world.expect('no reason has it', reasons.every(({ reason, detail }) => visible(reason ?? '') === (reason ?? '') && visible(detail ?? '') === (detail ?? '')), `${reasons.length} looked at`)
  },
}
