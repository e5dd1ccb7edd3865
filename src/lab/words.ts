/** Every event as people say it: what `sentence` says, and what weather, the policies before the services, and refunds are about. */
import { money } from '../engines/payment/view.ts'
import type { Event, Fields } from '../events.ts'
import { visibleCopy } from '../visible.ts'
import type { Sentence, Tone } from './sentence.ts'
import { sentence, span } from './sentence.ts'

/** Undefined where another engine says the same word: then `sentence` knows it. */
type Say = (event: Fields) => [who: string, what: string, tone?: Tone] | undefined

/** `92 %`; of nothing it is none. */
const percent = (part: unknown, whole: unknown) => `${Math.round((100 * Number(part)) / Math.max(1, Number(whole)))} %`
const again = (ms: unknown) => (Number(ms) > 0 ? `; asks again in ${span(Number(ms))}` : '')

function reasonOf({ why, calls, failures, slow }: Fields): string {
  if (why === 'failures') return `${failures} of ${calls} calls failed (${percent(failures, calls)})`
  if (why === 'slow') return `${slow} of ${calls} calls were slow (${percent(slow, calls)})`
  return why === 'probes' ? 'the calls that tried failed too' : why === 'restored' ? 'an earlier life left it so' : String(why ?? 'by itself')
}

/** More places than this never fill: they are not worth a word. */
const ENDLESS_SLOTS = 10_000

function weatherOf({ slots, latency, failing, failsAtOnce, failsAfterMs }: Fields): string {
  const share = Number(failing ?? 0)
  const late = failsAtOnce < 1 ? (failsAtOnce > 0 ? `, ${percent(1 - failsAtOnce, 1)} of these only after ${span(Number(failsAfterMs))}` : ` after ${span(Number(failsAfterMs))}`) : ''
  const fails = share > 0 ? `${percent(share, 1)} fail${late}` : ''
  const takes = latency && share < 1 ? `half take up to ${span(Number(latency.p50))}, 1 % over ${span(Number(latency.p99))}` : ''
  return [fails, takes, slots < ENDLESS_SLOTS ? `${slots} at once` : ''].filter((part) => part !== '').join('; ')
}

const share = (part: unknown) => (typeof part === 'number' ? percent(part, 1) : '?')

function toldIn({ paid, notCharged, pending, failed }: Fields): string {
  return `${share(paid)} paid in time, ${share(notCharged)} told "not charged", ${share(pending)} pending, ${share(failed)} failed`
}

function attemptWords({ event, n, meaning, status, detail, ms }: Fields): string {
  const answer = `${status ?? detail ?? 'no answer'}${status !== null && detail ? ` (${detail})` : ''}`
  return `${event} #${n}: ${answer}, ${String(meaning).replaceAll('_', ' ')}, in ${span(Number(ms))}`
}

const SENTENCES: Record<string, Say> = {
  'storm.measured': (event) => ['resil', `of ${event['inStorm']} customers in the storm ${toldIn(event)}; ${share(event['ofMost'])} of what any policy could have had paid`],
  'cascade.measured': (event) => ['resil', `of ${event['inTrouble']} customers in the trouble ${toldIn(event)}; at most ${event['heldAtMost']} requests were open`],
  'weather.changed': ({ mock, weather }) => [mock, weather ? `its weather: ${weatherOf(weather)}` : 'its weather is as usual again', 'fault'],
  'bank.authorised': (event) => ['bank', `HOLDS ${money(event['amount'], String(event['currency'] ?? ''))}, ${event['charge']}, key ${event['key']}`],
  'bank.expired': ({ charge }) => ['bank', `holds ${charge} no longer: nobody captured it`],
  'breaker.opened': (event) => [event['service'], `breaker OPENS: ${reasonOf(event)}${again(event['retryAfterMs'])}`, 'doubt'],
  'breaker.half_opened': ({ service }) => [service, 'breaker half-open: a few calls may try'],
  'breaker.closed': ({ service, why, retryAfterMs }) => [service, `breaker closes${why ? ` (${why})` : ''}${Number(retryAfterMs) > 0 ? `: callers come back over ${span(Number(retryAfterMs))}` : ''}`, 'good'],
  'breaker.forced_open': ({ service }) => [service, 'breaker FORCED OPEN: nobody passes', 'doubt'],
  'breaker.disabled': ({ service }) => [service, 'breaker disabled: everybody passes, nothing is counted', 'doubt'],
  'breaker.observed_only': ({ service }) => [service, 'breaker only counts: everybody passes', 'doubt'],
  'breaker.trip_observed': (event) => [event['service'], `breaker would have opened: ${reasonOf(event)}`, 'doubt'],
  'bulkhead.limit_changed': ({ service, limit, inFlight }) => [service, `bulkhead lets ${limit} calls through at once (${inFlight} are under way)`, 'quiet'],
  'hop.refused': ({ hop, service, by, retryMs }) => ['engine', `${hop} is not asked: the ${by} of ${service} turns it away${again(retryMs)}`],
  'hop.retried': ({ hop, attempt, waitMs, why }) => ['engine', `${hop} is asked again in ${span(Number(waitMs))}, attempt ${attempt}: ${why}`],
  'retry_budget.emptied': ({ service, inFlight, retrying }) => [service, `no retry any more: ${retrying} of ${inFlight} calls under way are repeats`, 'doubt'],
  'dependency.warned': ({ service, recentMs, usualMs, budgetShare }) => [service, `EARLY WARNING: takes ${span(Number(recentMs))}, usually ${span(Number(usualMs))}; ${percent(budgetShare, 1)} of what it may take`, 'doubt'],
  'payment.cancelled': ({ payment, state }) => ['engine', `${payment} shall be undone, it is ${state}`],
  'endpoint.added': ({ endpoint, customer }) => [customer, `is told at endpoint ${endpoint}`],
  'customer.selected': ({ customer }) => ['you', `selected ${customer}`, 'quiet'],
  'event.sent': ({ nth, what }) => ['producer', `event ${nth}, ${what}`, 'quiet'],
  'event.accepted': ({ event, what, deliveries }) => ['producer', `${event} ${what} accepted, owed to ${deliveries} ${deliveries === 1 ? 'endpoint' : 'endpoints'}`],
  'event.refused': ({ nth, told, status, why }) => ['producer', `event ${nth}: ${told === 'unknown' ? 'no answer that says' : `refused ${status}`}${why ? ` (${why})` : ''}`, 'doubt'],
  'delivery.attempted': (event) => [event['endpoint'], attemptWords(event), event['meaning'] === 'delivered' ? 'quiet' : 'doubt'],
  'delivery.acknowledged': ({ endpoint, event }) => [endpoint, `${event} is acknowledged: it had been put off`, 'good'],
  'node.joined': ({ node, build }) => (build === undefined ? [node ?? 'node', 'joined'] : undefined),
  'lane.parked': ({ endpoint, failures }) => [endpoint, `PARKED after ${failures} failures in a row: nothing but a probe goes there, and no message pays for it`, 'doubt'],
  'lane.woken': ({ endpoint }) => [endpoint, 'WOKEN: a probe arrived, what was held goes out, oldest first', 'good'],
  'lane.probed': ({ endpoint, event }) => [endpoint, `probed with ${event}`, 'quiet'],
  'lane.fenced': ({ node, endpoint, fence }) => [node ?? 'node', `FENCED: the lane of ${endpoint} has another owner than that of fence ${fence}`, 'doubt'],
  'lanes.taken': ({ node, lanes }) => [node ?? 'node', `takes ${lanes} ${lanes === 1 ? 'lane' : 'lanes'}`],
  'endpoint.failing': ({ endpoint, failures }) => [endpoint, `its owner is told that it fails (${failures} in a row)`, 'doubt'],
  'endpoint.recovered': ({ endpoint }) => [endpoint, 'its owner is told that it is well again', 'good'],
  'endpoint.disabled': ({ endpoint, why }) => [endpoint, `DISABLED: ${why}; what comes is held`, 'bad'],
  'delivery.died': ({ endpoint, event, reason }) => [endpoint, `${event} is DEAD: ${reason}`, 'bad'],
  'deliveries.aged': ({ endpoint, deliveries }) => [endpoint, `${deliveries} ${deliveries === 1 ? 'delivery is' : 'deliveries are'} DEAD: too old`, 'bad'],
  'refund.claimed': ({ payment, refund }) => ['engine', `${refund} of ${payment} begins`],
  'refund.moved': ({ refund, from, to, why }) => ['engine', `${refund} is ${to}, was ${from}${why ? ` (${why})` : ''}`, to === 'unknown' || to === 'review' ? 'doubt' : to === 'succeeded' ? 'good' : 'plain'],
}

/** The event in words, every text in it made visible; undefined for what is only a detail. Never throws for a field that is missing. */
export function inWords(raw: Event): Sentence | undefined {
  const say = Object.hasOwn(SENTENCES, raw.type) ? SENTENCES[raw.type] : undefined
  if (!say) return sentence(raw)
  const said = say(visibleCopy<Fields>(raw))
  if (!said) return sentence(raw)
  const [who, what, tone = 'plain'] = said
  return { who: String(who ?? 'engine'), what, tone }
}
