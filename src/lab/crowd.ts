/** A run of many customers in plain lines: between what changes for all of them, every few seconds what they see together, and which service is not well. */
import type { Event } from '../events.ts'
import { lately, LATELY_S, rate } from '../engines/payment/tally.ts'
import type { Customers } from '../engines/payment/view-customers.ts'
import { CROWD, SAID, waiting, WORDS } from '../engines/payment/view-customers.ts'
import type { ServiceLine } from '../engines/payment/view-services.ts'
import { latency, total, trafficOf, usualMs, worstBreaker } from '../engines/payment/view-services.ts'
import type { PaymentView } from '../engines/payment/view.ts'
import { empty, fold, isMoment, number } from '../engines/payment/view.ts'
import { span } from './sentence.ts'

/** From this share of failing calls on a service is told of. */
const ILL_SHARE = 0.01
/** Between two sums, ms of the run. */
const SUM_MS = 5000

export interface SumLine {
  t: number
  who: string
  what: string
}

export class Crowd {
  readonly #view: PaymentView = empty()
  #toldUntil = 0
  #announced = false

  /** Takes an event in, and answers what is due to be said before it. */
  on(event: Event): SumLine[] {
    const lines: SumLine[] = []
    if (this.#isCrowd() && event.t >= this.#toldUntil + SUM_MS) {
      this.#toldUntil = Math.floor(event.t / SUM_MS) * SUM_MS
      lines.push(...sums(this.#view, this.#toldUntil))
    }
    fold(this.#view, event)
    if (!this.#announced && this.#isCrowd()) {
      this.#announced = true
      this.#toldUntil = Math.floor(event.t / SUM_MS) * SUM_MS
      lines.push({ t: event.t, who: 'resil', what: `more than ${CROWD} customers: from here on what changes for all of them, and every ${span(SUM_MS)} what they see` })
    }
    return lines
  }

  /** Whether the event is of one among many: the recording has it. */
  drowns({ src, type }: Event): boolean {
    return this.#announced && src !== 'lab' && !isMoment(type)
  }

  #isCrowd(): boolean {
    return this.#view.customers.asked.all > CROWD
  }
}

function sums(view: PaymentView, t: number): SumLine[] {
  const { customers, services, differing, past } = view
  const different = differing.size + past.differences
  return [
    { t, who: 'customers', what: customerWords(customers, t) },
    ...[...services.values()].flatMap((service) => {
      const what = serviceWords(service, t)
      return what === '' ? [] : [{ t, who: service.service, what }]
    }),
    ...(different > 0 ? [{ t, who: 'truth', what: `${number(different)} ${different === 1 ? 'order' : 'orders'} DIFFERENT from what was told or believed` }] : []),
  ]
}

function customerWords(of: Customers, t: number): string {
  const said = WORDS.filter((word) => of.came[word].all > 0).map((word) => `${number(of.now[word])} ${SAID[word]} (${rate(of.came[word], t).toFixed(1)}/s)`)
  return [`${number(of.asked.all)} asked (${rate(of.asked, t).toFixed(1)}/s)`, ...said, `${number(waiting(of))} not told yet`].join(', ')
}

/** Empty for a service of which there is nothing to say. */
function serviceWords(service: ServiceLine, t: number): string {
  const traffic = trafficOf(service)
  const breaker = worstBreaker(service)
  const [calls, ill] = [lately(traffic.ended, t), lately(traffic.ill, t)]
  const away = rate(service.turnedAway.bulkhead, t) + rate(service.turnedAway.breaker, t)
  const isOpen = breaker !== undefined && breaker.state !== 'closed'
  if (!isOpen && ill < ILL_SHARE * Math.max(1, calls) && away === 0) return ''
  const limit = total(service.limits)
  const takes = latency(traffic, t, LATELY_S * 1000)
  const usual = usualMs(traffic)
  return [
    ...(isOpen ? [`breaker ${breaker.state}`] : []),
    `${total(traffic.inFlight)}${limit > 0 ? ` of ${limit}` : ''} under way`,
    ...(takes ? [`takes ${span(takes.medianMs)}${usual === null ? '' : `, usually ${span(usual)}`}`] : []),
    ...(calls > 0 ? [`${Math.round((100 * ill) / calls)} % of ${number(calls)} fail`] : []),
    ...(away > 0 ? [`${away.toFixed(1)}/s turned away`] : []),
  ].join('; ')
}
