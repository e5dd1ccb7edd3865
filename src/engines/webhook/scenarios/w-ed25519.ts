import { signer } from '../signature.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

/** Published with the libraries of Standard Webhooks. */
const SECRET = 'whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=='
const PUBLIC_KEY = 'whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4='
const SIGNATURE = 'v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=='
const OVERLAP_MS = 60_000

export const scenario: WebhookScenario = {
  name: 'W-ED25519',
  summary: 'the published vector of ed25519 signatures is signed to the letter, and an endpoint with such a key is sent what its public half verifies, through a rotation to HMAC too',
  engine: 'webhook',
  customers: 2,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const signature = signer([{ secret: SECRET }]).sign('msg_p5jXN8AQM9LWM0D4loKWxJek', 1_614_265_330, '{"test": 2432232314}')
    world.expect('the vector is signed to the letter', signature === SIGNATURE, signature)
    const { id } = await world.subscribe('customer-1', { secret: SECRET })
    const { id: own } = await world.subscribe('customer-2', { signature: 'v1a' })
    world.trust('customer-1', [PUBLIC_KEY])
    await world.stream(20, 20)
    const { secret } = await world.endpoints.rotate(id, { overlapMs: OVERLAP_MS, who: 'operator', why: 'it wants receipts' })
    await world.endpoints.rotate(own, { overlapMs: OVERLAP_MS, signature: 'v1a', who: 'operator', why: 'it is time' })
    await world.stream(20, 20)
    world.trust('customer-1', [secret])
    await world.stream(20, 20)
    world.expect('all comes to rest', await world.settled(30_000), JSON.stringify(await world.counts()))
    for (const customer of world.customers) {
      const signed = world.inbox(customer).map((arrival) => arrival.signed)
      world.expect(`all is verified at ${customer}`, signed.length === 60 && signed.every((word) => word === 'valid'), [...new Set(signed)].join(' '))
    }
  },
}
