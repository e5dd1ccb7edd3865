import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const KEYS = ['a', 'b', 'c', 'd', 'e'] as const
const MESSAGES = 200
const STOPPED = 'a'

export const scenario: WebhookScenario = {
  name: 'W-ORDER',
  summary: 'three customers fail over the messages of one key: without order the others overtake them, in order of keys only that key waits, and in the order of all everything does',
  engine: 'webhook',
  customers: 3,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'omission' }],
  async drive(world) {
    const orderings = ['none', 'key', 'fifo'] as const
    for (const [n, ordering] of orderings.entries()) await world.subscribe(`customer-${n + 1}`, { ordering })
    const ids = new Map<string, number>()
    const make = (n: number) => ({ type: 'order.changed', key: KEYS[n % KEYS.length]!, data: { n, key: KEYS[n % KEYS.length]! } })
    const send = async (from: number, to: number) => {
      for (let n = from; n < to; n++) ids.set((await world.produce(make(n))).id!, n)
    }
    const arrived = (customer: string) => world.inbox(customer).filter(({ processed }) => processed).map(({ id }) => ids.get(id!)!)
    const rising = (numbers: readonly number[]) => numbers.every((n, i) => i === 0 || n > numbers[i - 1]!)
    await send(0, MESSAGES / 2)
    await world.settled(30_000)
    for (const customer of world.customers) world.mood(customer, { kind: 'gone_for', keys: [STOPPED] })
    await send(MESSAGES / 2, MESSAGES)
    await world.clock.sleep(10_000)
    const of = (customer: string, key: string) => arrived(customer).filter((n) => KEYS[n % KEYS.length] === key)
    const each = MESSAGES / KEYS.length
    const stopped = { none: of('customer-1', STOPPED).length, key: of('customer-2', STOPPED).length, fifo: arrived('customer-3').length }
    world.expect('what fails waits everywhere', stopped.none === each / 2 && stopped.key === each / 2, JSON.stringify(stopped))
    world.expect('W-ORDER-none: all others arrive', arrived('customer-1').length === MESSAGES - each / 2, `${arrived('customer-1').length} arrived`)
    world.expect('W-ORDER-key: all other keys arrive, each in its order', KEYS.every((key) => rising(of('customer-2', key)) && (key === STOPPED || of('customer-2', key).length === each)), `${arrived('customer-2').length} arrived`)
    world.expect('W-ORDER-endpoint: nothing passes what fails', stopped.fifo === MESSAGES / 2, `${stopped.fifo} arrived`)
    for (const customer of world.customers) world.mood(customer, { kind: 'healthy' })
    world.expect('all arrives when they are mended', (await world.settled(900_000)) && world.customers.every((customer) => arrived(customer).length === MESSAGES), JSON.stringify(await world.counts()))
    world.expect('W-ORDER-key: each key is in its order to the end', KEYS.every((key) => rising(of('customer-2', key))), '')
    world.expect('W-ORDER-endpoint: all is in its order to the end', rising(arrived('customer-3')), '')
    world.expect('W-ORDER-none: order was not kept, for it was not asked for', !rising(arrived('customer-1')), '')
  },
}
