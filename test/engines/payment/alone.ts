/** One engine in virtual time between mocks that answer at once: what tests of its operator's tools have in common. */
import { createHmac } from 'node:crypto'
import { VirtualClock } from '../../../src/clock.ts'
import type { Engine } from '../../../src/engines/engine.ts'
import { createEngine } from '../../../src/engines/payment/engine.ts'
import { openSqlite } from '../../../src/engines/store/sqlite.ts'
import type { Store } from '../../../src/engines/store/store.ts'
import { ResilError } from '../../../src/errors.ts'
import { EventLog } from '../../../src/events.ts'
import { openMocks } from '../../../src/lab/world.ts'
import type { Network } from '../../../src/network.ts'
import { Random } from '../../../src/random.ts'

const SECRET = 'whsec_test'

const stores: Store[] = []
export async function closeAll(): Promise<void> {
  for (const store of stores.splice(0)) await store.close()
}

/** `bankDown` refuses every connection to the bank. */
export async function openAlone(settings: object = {}) {
  const clock = new VirtualClock()
  const random = Random.seeded(7)
  const log = new EventLog('test', clock)
  const mocks = openMocks(clock, random, log.from('mock'), true)
  const world = { bankDown: false }
  const network: Network = {
    async call(service, request, { timeoutMs }) {
      if (service === 'bank' && world.bankDown) return { kind: 'failed', error: new ResilError('REFUSED', 'nobody listens') }
      const asked = mocks[service as 'bank'].handle(request).then((value) => ({ kind: 'ok', value }) as const)
      return Promise.race([asked, clock.sleep(timeoutMs).then(() => ({ kind: 'unknown', error: new ResilError('TIMEOUT', 'too late') }) as const)])
    },
  }
  const store = await openSqlite(':memory:', { clock, random })
  stores.push(store)
  const stop = new AbortController()
  let engine!: Engine
  let n = 0
  const ask = async (method: string, path: string, body = '', headers: Record<string, string> = {}) => engine.handle({ method, path, headers, body })
  return {
    clock, random, log, mocks, network, store, world, ask,
    run: <T>(work: () => Promise<T>): Promise<T> =>
      clock.run((async () => {
        engine = await createEngine({ clock, random, network, store, log: log.from('engine', 'n1'), node: 'n1', incarnation: 1 }, { bankEventSecret: SECRET, ...settings })
        const loops = engine.start(stop.signal)
        try {
          return await work()
        } finally {
          stop.abort()
          await loops
        }
      })()),
    pay: async (scope?: string) => {
      const answer = await ask('POST', '/v1/payments', JSON.stringify({ amount: 9900, currency: 'USD', order: `order-${++n}`, card: 'tok_visa' }), { 'idempotency-key': `key-${n}`, ...(scope === undefined ? {} : { authorization: scope }) })
      return { status: answer.status, id: (JSON.parse(answer.body) as { payment_id: string }).payment_id }
    },
    tell: (id: string, record: object) => {
      const body = JSON.stringify({ id, type: 'charge', data: { object: record } })
      const t = Math.floor(clock.now() / 1000)
      return ask('POST', '/v1/bank-events', body, { 'bank-signature': `t=${t},v1=${createHmac('sha256', SECRET).update(`${t}.${body}`).digest('hex')}` })
    },
  }
}

