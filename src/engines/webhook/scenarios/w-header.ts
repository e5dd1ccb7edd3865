import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'
import { codeOf } from '../refused.ts'

const FORBIDDEN: readonly Record<string, string>[] = [
  { 'x-tenant': 'a\r\nx-injected: 1' },
  { 'x-tenant': 'a\nb' },
  { 'x-tenant': 'a\u0000b' },
  { 'x-tenant': '€' },
  { 'x-ten ant': 'a' },
  { 'x-tenant\r\nx-injected': 'a' },
  { '': 'a' },
  { host: 'elsewhere.example' },
  { Host: 'elsewhere.example' },
  { 'webhook-id': 'evt_1' },
  { 'Webhook-Signature': 'v1,forged' },
  { 'webhook-timestamp': '0' },
  { 'webhook-anything': '1' },
  { 'svix-signature': 'v1,forged' },
  { connection: 'close' },
  { 'content-length': '0' },
  { 'content-type': 'text/plain' },
  { 'content-encoding': 'gzip' },
  { 'transfer-encoding': 'chunked' },
  { te: 'trailers' },
  { trailer: 'x' },
  { upgrade: 'h2c' },
  { expect: '100-continue' },
  { 'proxy-authorization': 'x' },
  { 'user-agent': 'somebody else' },
  { 'x-tenant': 'a', 'X-Tenant': 'b' },
  { 'x-tenant': 'a'.repeat(5000) },
  Object.fromEntries(Array.from({ length: 21 }, (_, n) => [`x-${n}`, 'a'])),
]

export const scenario: WebhookScenario = {
  name: 'W-HDR',
  summary: 'a stranger registers an endpoint with headers that would forge, frame or lead astray what is sent: each is refused, when it is registered and when it is changed',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const { id, url } = await world.subscribe('customer-1', { headers: { 'x-tenant': 'a', authorization: 'Bearer of-their-own' } })
    for (const headers of FORBIDDEN) {
      const name = JSON.stringify(Object.keys(headers)[0]!)
      const shown = JSON.stringify(headers).slice(0, 60)
      const added = await codeOf(() => world.endpoints.add({ url, headers }))
      const changed = await codeOf(() => world.endpoints.change(id, { headers }, { who: 'the scenario', why: 'it is tried' }))
      world.expect(`${name} of ${shown} is refused`, added === 'INVALID_HEADER' && changed === 'INVALID_HEADER', `${added}, ${changed}`)
    }
    await world.stream(3, 0)
    world.expect('what may be set changes nothing', (await world.settled(30_000)) && world.inbox('customer-1').every(({ signed }) => signed === 'valid'), JSON.stringify(await world.counts()))
    world.expect('there is one endpoint', (await world.endpoints.list()).length === 1, `${(await world.endpoints.list()).length}`)
  },
}
