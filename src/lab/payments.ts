/** The world of payments, opened for a run: in virtual time, or on sockets and processes. */
import type { Clock } from '../clock.ts'
import { NodeClock, SystemClock, VirtualClock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import { EventLog } from '../events.ts'
import type { Service } from '../network.ts'
import { Random } from '../random.ts'
import { ourFace } from '../engines/payment/adapter.ts'
import { empty, fold, story } from '../engines/payment/view.ts'
import { openSqlite } from '../engines/store/sqlite.ts'
import { auditIntent } from './audit.ts'
import type { Plan } from './plan.ts'
import type { Loaded, Opened, RunOptions } from './run.ts'
import { SimulatedBody } from './simulated-body.ts'
import { adapterOf } from './subject.ts'
import type { PaymentScenario } from './units.ts'
import type { Body, Mocks } from './world.ts'
import { bindWebhooks, openMocks, PaymentWorld } from './world.ts'

/** Timers after which a simulated run is given up as endless. */
const SIM_TIMERS = 5_000_000

/** What is paid when a plan does not say. */
const USUAL = { clicks: 2, amountMinor: 9900, currency: 'USD' }

export async function openPayments(plan: Plan, { scenario, toxics, createEngine }: Loaded & { scenario: PaymentScenario }, id: string, options: RunOptions): Promise<Opened> {
  const random = Random.seeded(plan.seed)
  const nodes = Array.from({ length: scenario.nodes ?? 1 }, (_, n) => `n${n + 1}`)
  const settings = scenario.settings ?? {}
  const adapter = plan.face ? adapterOf(plan.face) : ourFace
  const paying = plan.options ?? USUAL
  const opened = (body: Body, log: EventLog, script: NodeClock, mocks: Mocks, urls: Opened['urls'], live: Opened['live']): Opened => {
    const silence = scenario.bank?.webhooks ? bindWebhooks(mocks, body, nodes) : () => {}
    const world = new PaymentWorld({ body, log, random, adapter, options: paying, nodes, mocks, script })
    return {
      body,
      world,
      log,
      urls,
      live,
      script,
      options: { ...paying, deadlineMs: adapter.deadlineMs },
      async begin() {
        for (const node of nodes) if (body.mortal) await body.start(node)
      },
      drive: () => scenario.drive(world),
      observe: () => Promise.resolve(),
      close() {
        silence()
        for (const mock of Object.values(mocks)) mock.close?.()
        return body.close()
      },
      press(_key, nth) {
        return {
          does: "drop the bank's next answer",
          act: () => void world.toxic({ link: 'bank', type: 'lost_response', name: `key_${nth}`, attributes: { method: 'POST', path: '/v1/charges', first: 1 } }),
        }
      },
      follow() {
        let view = empty()
        return {
          sink: (event) => {
            view = fold(view, event)
          },
          story: () => story(view),
        }
      },
    }
  }

  if (plan.mode === 'sim') {
    if (!createEngine) throw new ResilError('SUBJECT_NOT_OURS', 'a service known by its URL lives in real time', 'leave --sim out')
    const clock = new VirtualClock()
    const log = new EventLog(id, clock)
    const live = <T>(work: Promise<T>) => clock.run(work, { timers: SIM_TIMERS, pace: options.pace })
    const store = await live(openSqlite(':memory:', { clock, random: random.fork('store') }))
    const mocks = openMocks(clock, random, log.from('mock'), options.quick, scenario.bank)
    const services = new Map<string, Service>(Object.entries(mocks).map(([name, mock]) => [name, mock.handle]))
    for (const [name, mock] of Object.entries(mocks)) if (name.startsWith('bank')) services.set(name, auditIntent(mock.handle, () => store, log.from('audit')))
    const body = new SimulatedBody({ clock, log, random, seed: plan.seed, toxics, services, store, createEngine, settings, nodes, probe: options.probe })
    return opened(body, log, new NodeClock(clock), mocks, {}, live)
  }

  const { openWireBody } = await import('./wire-body.ts')
  const clock: Clock = new SystemClock()
  const log = new EventLog(id, clock)
  const mocks = openMocks(clock, random, log.from('mock'), false, scenario.bank)
  const { body, urls } = await openWireBody({ clock, log, random, seed: plan.seed, toxics, mocks, subject: plan.subject, engine: 'payment', settings, nodes, db: plan.db, ports: plan.ports ?? {} })
  return opened(body, log, new NodeClock(clock), mocks, urls, (work) => work)
}
