import type { Scenario } from '../../../scenario.ts'
import type { PaymentAdapter } from '../adapter.ts'
import { headed, Shop } from '../shop.ts'
import { expectTold, next } from '../staging.ts'

/** What a client may say of its patience, and the ms that a service may believe of it (its own deadline when absent). */
const SAID: readonly { headers: Record<string, string>; ms?: number }[] = [
  { headers: {} },
  { headers: { 'x-request-timeout-ms': '3000' }, ms: 3000 },
  { headers: { 'x-envoy-expected-rq-timeout-ms': '3500' }, ms: 3500 },
  { headers: { 'grpc-timeout': '4S' }, ms: 4000 },
  { headers: { 'x-request-timeout-ms': '4000', 'grpc-timeout': '3S' }, ms: 3000 },
  { headers: { 'x-request-timeout-ms': 'soon' } },
  { headers: { 'x-request-timeout-ms': '-5' } },
  { headers: { 'x-request-timeout-ms': '3000, 4000' } },
  { headers: { 'x-request-timeout-ms': '999999999' } },
  { headers: { 'x-request-timeout-ms': '1e2' } },
]
/** Nobody is told to have this little because of a header that says nothing. */
const LEAST_MS = 1500

export const scenario: Scenario<PaymentAdapter> = {
  name: 'T3',
  summary: 'each hop is told what is left of the client\'s deadline; headers that are garbage, negative or too large do no harm',
  engine: 'payment',
  invariants: ['at-most-one-charge', 'answer-matches-ledger', 'no-lost-payment', 'within-deadline'],
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  async drive(world) {
    const shop = new Shop(world)
    for (const { headers, ms = world.adapter.deadlineMs } of SAID) {
      const order = shop.order()
      const said = Object.entries(headers).map((header) => header.join(': ')).join(', ') || 'nothing'
      const sent = next(world, 'client.sent')
      const atFraud = next(world, 'fraud.assessed', (event) => event['amount'] === order.amount)
      const atBank = next(world, 'bank.received', (event) => event['amount'] === order.amount)
      const reply = await shop.pay(order, `client that says ${said}`, headed(headers))
      const { t: start } = (await sent)!
      const [fraud, bank] = [await atFraud, await atBank]
      const ofFraud = Number(fraud?.['timeoutMs'] ?? Number.NaN)
      const ofBank = Number(bank?.['timeoutMs'] ?? Number.NaN)
      const left = ms - ((bank?.t ?? 0) - start)
      world.expect(`fraud is told less than ${ms} ms when the client says ${said}`, ofFraud > 0 && ofFraud < ms, `told ${ofFraud}`)
      world.expect(`the bank is told what is left of ${ms} ms when the client says ${said}`, ofBank < left && ofBank >= LEAST_MS, `told ${ofBank} with ${Math.round(left)} left`)
      expectTold(world, 'each is answered', reply, 'charged', 'pending')
      expectTold(world, 'each is charged', await shop.askUntilTold(order, 'client'), 'charged')
    }
  },
}
