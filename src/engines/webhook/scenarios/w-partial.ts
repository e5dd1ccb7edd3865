import { cutAnswers } from '../attempts.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'
import { ends, ill, ILL_IN_REAL_TIME } from '../ill.ts'

export const scenario: WebhookScenario = {
  name: 'W-PARTIAL',
  summary: 'an answer breaks off: after its status it is an answer, and the delivery is marked; before it, nobody knows, and the message is sent again',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'network', mode: 'omission' }],
  settingsInRealTime: ILL_IN_REAL_TIME,
  async drive(world) {
    const endpoint = await world.subscribe('customer-1')
    const body = await ill(world, endpoint, 'customer-1', 'partial_body')
    world.expect('with a status and half a body it is delivered, and marked', body.length === 3 && body.every(({ outcome, detail }) => outcome === 'delivered' && detail === 'broken') && (await cutAnswers(world)) === 3, `${ends(body)}; ${await cutAnswers(world)} are marked`)
    const requests = world.inbox('customer-1').length
    world.expect('it is not sent again', requests === 3, `${requests} requests`)
    const head = await ill(world, endpoint, 'customer-1', 'partial_head')
    world.expect('with half a head it is a failure', head.length === 3 && head.every(({ outcome, status }) => outcome === 'unreachable' && status === null), ends(head))
    const effects = world.inbox('customer-1').filter(({ processed }) => processed).length
    world.expect('each has its effect once', effects === 6, `${effects} effects, ${world.inbox('customer-1').length} requests`)
  },
}
