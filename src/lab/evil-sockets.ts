/**
 * Customers that are evil in bytes, on sockets: behind the customer's link there stands a receiver of bytes instead of the customer, with the customer's own inbox.
 *
 *   node ──▶ link ──▶ customer                                until it becomes evil, and again when that ends
 *             ╰─────▶ evil receiver ──▶ the customer's inbox   meanwhile; always where customers are reached over TLS
 *
 * For each mood there is a new receiver and no connection is left of before: nobody goes on with what was agreed on then.
 */
import type { Clock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { EventLog, Log } from '../events.ts'
import type { Evil } from '../engines/webhook/stage.ts'
import type { EvilMood } from '../proxy/evil-receiver.ts'
import { EvilReceiver } from '../proxy/evil-receiver.ts'
import type { Customer } from '../proxy/mocks/customer.ts'
import type { EvilMachines } from './evil-machines.ts'

/** Between two bytes of those who take their time, and between two interim answers, ms. */
const BYTE_EVERY_MS = 100
/** Headers that are too big, bytes: above what a client takes. */
const BIG_HEADERS_BYTES = 64 * 1024
/** An idle connection is closed after this, ms: at the moment at which the next request of forty a second leaves. */
const IDLE_MS = 25

/** How a receiver of bytes is to be. There is none for names that do not resolve: that is decided before it. */
const MOODS: Partial<Record<Evil, EvilMood>> = {
  tls_expired: { kind: 'tls_expired' },
  tls_self_signed: { kind: 'tls_self_signed' },
  tls_wrong_host: { kind: 'tls_wrong_host' },
  tls_hang: { kind: 'tls_hang' },
  tls_old: { kind: 'tls_1_0' },
  flood_1xx: { kind: 'flood_1xx', ms: BYTE_EVERY_MS },
  slowloris_head: { kind: 'slowloris_head', ms: BYTE_EVERY_MS },
  slowloris_body: { kind: 'slowloris_body', ms: BYTE_EVERY_MS },
  partial_head: { kind: 'partial_head' },
  partial_body: { kind: 'partial_body' },
  big_headers: { kind: 'huge_headers', bytes: BIG_HEADERS_BYTES },
  endless: { kind: 'endless_body' },
  gzip_bomb: { kind: 'gzip_bomb' },
  ansi: { kind: 'ansi' },
  keepalive_race: { kind: 'idle_close', ms: IDLE_MS },
}

export interface EvilSocketsSetup {
  clock: Clock
  log: EventLog
  customers: ReadonlyMap<string, Customer>
  /** Customers are reached over TLS. */
  tls: boolean
  /** Sends what comes for a customer to that port of this machine, or to the customer itself again. */
  divert(customer: string, port: number | undefined): Promise<void>
}

export class EvilSockets implements EvilMachines {
  readonly #setup: EvilSocketsSetup
  readonly #said: Log
  readonly #receivers = new Map<string, EvilReceiver>()

  constructor(setup: EvilSocketsSetup) {
    this.#setup = setup
    this.#said = setup.log.from('proxy')
  }

  /** Where they are reached over TLS, customers get a receiver that speaks it. */
  async start(): Promise<void> {
    if (this.#setup.tls) for (const customer of this.#setup.customers.keys()) await this.become(customer, null)
  }

  async become(customer: string, mood: Evil | null): Promise<void> {
    const bytes = mood === null ? ({ kind: 'healthy' } as const) : MOODS[mood]
    if (!bytes) throw new ResilError('NEEDS_SIMULATION', `a customer with ${mood} needs a name service that the laboratory can spoil, which a real machine has not`, 'add --sim')
    const before = this.#receivers.get(customer)
    if (mood === null && !this.#setup.tls) {
      this.#receivers.delete(customer)
      await this.#setup.divert(customer, undefined)
    } else {
      const { clock, log, customers, tls } = this.#setup
      const onMet = () => void (mood !== null && this.#said.emit('toxic.hit', { link: customer, toxic: mood, toxicType: 'evil', connection: 0, exchange: null, action: 'what it answers is not as it should be' }))
      const receiver = new EvilReceiver({ clock, log: log.from('mock'), name: customer, tls, inbox: customers.get(customer)!.inbox, onMet })
      await receiver.start(bytes)
      this.#receivers.set(customer, receiver)
      await this.#setup.divert(customer, receiver.port)
    }
    await before?.close()
  }

  async heal(): Promise<void> {
    for (const customer of [...this.#receivers.keys()]) await this.become(customer, null)
  }

  async close(): Promise<void> {
    for (const receiver of this.#receivers.values()) await receiver.close()
  }
}
