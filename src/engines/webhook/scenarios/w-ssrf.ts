import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'
import { codeOf } from '../refused.ts'

/** The laboratory opens 127.0.0.1 alone. */
const FORBIDDEN = [
  'http://127.0.0.2/', 'http://127.1.1.1:8080/', 'http://2130706434/', 'http://0x7f.2/', 'http://0177.0.0.2/', 'http://127.２/',
  'http://0.0.0.0/', 'http://0/', 'http://10.0.0.1/', 'http://172.16.0.1/', 'http://172.31.255.255/', 'http://192.168.1.1/', 'http://100.64.0.1/', 'http://198.18.0.1/', 'http://192.0.2.1/', 'http://224.0.0.1/', 'http://240.0.0.1/', 'http://255.255.255.255/',
  'http://169.254.169.254/latest/meta-data/', 'http://[fd00:ec2::254]/', 'http://[fe80::1]/', 'http://[::]/', 'http://[::2]/', 'http://[::ffff:10.0.0.1]/', 'http://[::ffff:a9fe:a9fe]/', 'http://[64:ff9b::a9fe:a9fe]/', 'http://[64:ff9b:1::a00:1]/', 'http://[2002:a9fe:a9fe::1]/', 'http://[2001::1]/', 'http://[fc00::1]/', 'http://[ff02::1]/', 'http://[100::1]/', 'http://[5f00::1]/',
  'https://user:secret@customer.example/', 'ftp://customer.example/', 'file:///etc/passwd', 'gopher://customer.example/', 'javascript:alert(1)', 'https://', 'customer.example/hook', 'https://customer.example:25/', 'https://customer.example/a b', 'https://customer.example\\@10.0.0.1/', 'https://customer.example/\r\nx: y', 'https://customer.example/#fragment', `https://customer.example/${'a'.repeat(3000)}`,
]

export const scenario: WebhookScenario = {
  name: 'W-SSRF',
  summary: 'a stranger registers addresses of our own networks in every spelling, and lets himself be redirected there: each is refused, and none is spoken to',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const { id } = await world.subscribe('customer-1')
    for (const url of FORBIDDEN) {
      const added = await codeOf(() => world.endpoints.add({ url }))
      const changed = await codeOf(() => world.endpoints.change(id, { url }, { who: 'the scenario', why: 'it is tried' }))
      world.expect(`${url.slice(0, 60)} is refused`, added === 'INVALID_TARGET' && changed === 'INVALID_TARGET', `${added}, ${changed}`)
    }
    world.expect('there is one endpoint', (await world.endpoints.list()).length === 1, `${(await world.endpoints.list()).length}`)
    world.mood('customer-1', { kind: 'redirect', status: 307, location: 'http://169.254.169.254/latest/meta-data/' })
    await world.stream(2, 0)
    await world.clock.sleep(1000)
    world.mood('customer-1', { kind: 'healthy' })
    world.expect('a redirect there is a failure, and what was sent arrives where it should', (await world.settled(60_000)) && world.processed('customer-1').length === 2, JSON.stringify(await world.counts()))
    const links = new Set(world.of('exchange.opened').map((event) => event['link']))
    world.expect('nobody else was spoken to', [...links].every((link) => link === 'customer-1' || String(link).startsWith('webhooks')), [...links].join(', '))
  },
}
