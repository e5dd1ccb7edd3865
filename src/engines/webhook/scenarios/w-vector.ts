import { signer } from '../signature.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

/** Published with Standard Webhooks. */
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const SIGNATURE = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='

export const scenario: WebhookScenario = {
  name: 'W-VECTOR',
  summary: 'the published vector of HMAC signatures is signed to the letter, and an endpoint that has its secret is sent what it can verify',
  engine: 'webhook',
  customers: 1,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const signature = signer([{ secret: SECRET }]).sign('msg_p5jXN8AQM9LWM0D4loKWxJek', 1_614_265_330, '{"test": 2432232314}')
    world.expect('the vector is signed to the letter', signature === SIGNATURE, signature)
    await world.subscribe('customer-1', { secret: SECRET })
    world.trust('customer-1', [SECRET])
    await world.stream(20, 20, (n) => ({ type: 'order.created', body: n === 0 ? '{"test": 2432232314}' : JSON.stringify({ n, text: 'ü 🦀 \u0000 a\r\nb' }) }))
    world.expect('all comes to rest', await world.settled(30_000), JSON.stringify(await world.counts()))
    const signed = world.inbox('customer-1').map((arrival) => arrival.signed)
    world.expect('all of it is verified', signed.length === 20 && signed.every((word) => word === 'valid'), signed.join(' '))
  },
}
