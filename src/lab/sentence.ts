/** One event as people say it: who, and what happened, in a line. What has no sentence here is a detail that only the recording keeps. */
import type { Event, Fields } from '../events.ts'
import { BELIEVED, cutWords, money, TOLD } from '../engines/payment/view.ts'
import { visibleCopy } from '../visible.ts'

/** `fault` was injected, `bad` is against the promise, `doubt` is an unknown outcome, `good` is a good end, `quiet` a detail. */
export type Tone = 'plain' | 'good' | 'doubt' | 'bad' | 'fault' | 'quiet'

export interface Sentence {
  who: string
  what: string
  tone: Tone
}

type Say = (event: Fields) => [who: string, what: string, tone?: Tone]

const spaced = (text: unknown) => String(text ?? '').replaceAll('_', ' ')
const sum = ({ amount, currency }: Fields) => (typeof amount === 'number' ? money(amount, String(currency ?? '')) : '')

function attributesOf(attributes: Fields | undefined): string {
  const parts = Object.entries(attributes ?? {}).filter(([, value]) => value !== '' && value !== 0)
  return parts.length === 0 ? '' : ` (${parts.map(([name, value]) => `${name} ${value}`).join(', ')})`
}

function toldWords(event: Fields): [string, Tone] {
  const { outcome, status, told, why, replayed, ms } = event
  const took = typeof ms === 'number' ? ` after ${span(ms)}` : ''
  if (outcome !== 'ok') return [`got no answer: ${outcome}${why ? ` (${why})` : ''}${took}`, outcome === 'unknown' ? 'doubt' : 'plain']
  const word = told === 'charged' ? `charged ${sum(event)}` : (TOLD[told as keyof typeof TOLD] ?? spaced(told))
  return [`told ${status} ${word}${replayed ? ', the same answer replayed' : ''}${took}`, told === 'charged' ? 'good' : told === 'pending' || told === 'nothing' ? 'doubt' : 'plain']
}

const HOP: Record<string, string> = { fraud: 'asks fraud', bank: 'asks the bank to charge', lookup: 'looks the charge up at the bank', void: 'asks the bank to void', notify: 'sends the receipt' }
const HOP_ENDED: Record<string, string> = { fraud: 'fraud', bank: 'the bank', lookup: 'the look-up', void: 'the void', notify: 'the receipt' }

const again = (attempt: unknown) => (Number(attempt) > 1 ? `, attempt ${attempt}` : '')

function receivedWords({ id, what, sequence, signed, duplicate, processed, status }: Fields): string {
  const message = `${id ?? 'a message without an id'}${typeof what === 'string' ? ` ${what}` : ''}${sequence === null ? '' : ` #${sequence}`}`
  const signature = signed === 'valid' ? '' : signed === 'unchecked' ? ', signature not checked' : `, signature ${String(signed).toUpperCase()}`
  return `${processed ? 'PROCESSED' : duplicate ? 'again' : 'did not process'} ${message}${processed && duplicate ? ' once more' : ''}${signature}: ${status === 0 ? 'no answer' : status}`
}

/** `92 %`; of nothing it is none. */
const percent = (part: unknown, whole: unknown) => `${Math.round((100 * Number(part)) / Math.max(1, Number(whole)))} %`
/** When whoever was turned away may come back. */
const later = (ms: unknown) => (Number(ms) > 0 ? `; asks again in ${span(Number(ms))}` : '')

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
  return `${event} #${n}: ${answer}, ${spaced(meaning)}, in ${span(Number(ms))}`
}

const SENTENCES: Record<string, Say> = {
  'run.started': ({ scenario, summary, mode, seed }) => ['resil', `${scenario}, ${mode}, seed ${seed}${summary ? `: ${summary}` : ''}`],
  'world.opened': ({ urls }) => ['resil', `the world is open${urls && Object.keys(urls).length > 0 ? `: ${Object.entries(urls).map(([name, url]) => `${name} ${url}`).join(', ')}` : ''}`],
  'world.healed': () => ['resil', 'all faults are taken away, the service came to rest'],
  'node.started': ({ node, incarnation, pid }) => [node ?? 'node', `started${Number(incarnation) > 1 ? `, life ${incarnation}` : ''}${pid ? `, pid ${pid}` : ''}`],
  'node.killed': ({ node, site }) => [node ?? 'node', `KILLED${site ? ` at ${site}` : ''}`, 'fault'],
  'node.terminated': ({ node }) => [node ?? 'node', 'terminated', 'fault'],
  'node.paused': ({ node }) => [node ?? 'node', 'paused', 'fault'],
  'node.resumed': ({ node }) => [node ?? 'node', 'resumed', 'fault'],
  'store.spoilt': ({ node, site, how }) => [node ?? 'node', `its store goes wrong at ${site}: ${spaced(how)}`, 'fault'],
  'link.downed': ({ link }) => [link, 'is down: connections are refused', 'fault'],
  'link.raised': ({ link }) => [link, 'is up again', 'fault'],
  'key.pressed': ({ key, does }) => ['you', `pressed ${key}: ${does}`],
  'invariant.violated': ({ invariant, why, witness }) => ['resil', `VIOLATED ${invariant}: ${why} (witness ${(witness ?? []).map((seq: number) => `#${seq}`).join(' ')})`, 'bad'],
  'expectation.met': ({ name, why }) => ['resil', `as expected, ${name}: ${why}`, 'quiet'],
  'expectation.failed': ({ name, why }) => ['resil', `NOT AS EXPECTED, ${name}: ${why}`, 'bad'],
  'run.ended': ({ verdict, story }) => ['resil', `${String(verdict).toUpperCase()}: ${story}`, verdict === 'held' ? 'good' : 'bad'],

  'client.sent': (event) => [event['client'] ?? 'client', event['ask'] === 'pay' ? `pays ${sum(event)} for ${event['order']}, key ${event['key']}${event['changed'] ? ', with a changed body' : ''}` : `asks about ${event['order']}`],
  'client.told': (event) => {
    const [what, tone] = toldWords(event)
    return [event['client'] ?? 'client', what, tone]
  },

  'toxic.added': ({ link, toxic, stream, attributes }) => [link, `toxic ${toxic} added, ${stream}${attributesOf(attributes)}`, 'fault'],
  'toxic.removed': ({ link, toxic }) => [link, `toxic ${toxic} removed`, 'fault'],
  'toxic.updated': ({ link, toxic, attributes }) => [link, `toxic ${toxic} changed${attributesOf(attributes)}`, 'fault'],
  'proxy.created': ({ link, listen, upstream, enabled }) => [link, `listens on ${listen}, goes to ${upstream}${enabled ? '' : ', off'}`, 'plain'],
  'proxy.updated': ({ link, listen, upstream, enabled }) => [link, enabled ? `listens on ${listen}, goes to ${upstream}` : 'is off', 'fault'],
  'proxy.deleted': ({ link }) => [link, 'is gone', 'fault'],
  'schedule.started': ({ stages }) => ['schedule', `started, ${stages} ${stages === 1 ? 'stage' : 'stages'}`, 'plain'],
  'schedule.stopped': () => ['schedule', 'stopped', 'plain'],
  'schedule.ended': () => ['schedule', 'ended', 'plain'],
  'schedule.failed': ({ link, error }) => [link, `schedule: ${error}`, 'fault'],
  'toxic.failed': ({ link, toxic, why }) => [link, `toxic ${toxic} does nothing, it has a bug: ${why}`, 'fault'],
  'toxic.hit': ({ link, toxic, toxicType, action }) => [link, `× ${spaced(toxicType ?? toxic)}: ${action}`, 'fault'],
  'exchange.opened': ({ link, method, path }) => [link, `${method} ${path}`, 'quiet'],
  'exchange.answered': ({ link, status, ms }) => [link, `answered ${status}${typeof ms === 'number' ? ` in ${span(ms)}` : ''}`, 'quiet'],
  'exchange.cut': ({ link, how, by }) => [link, `no answer: ${cutWords(how, by)}`, 'quiet'],

  'bank.charged': (event) => ['bank', `CHARGED ${sum(event)}, ${event['charge']}, key ${event['key']}`, 'good'],
  'bank.declined': (event) => ['bank', `declined ${sum(event)}: ${event['reason']}`],
  'bank.replayed': ({ key, charge }) => ['bank', `same key ${key} again: ${charge ?? 'same answer'}, nothing new`],
  'bank.refunded': ({ refund, charge }) => ['bank', `refunded ${charge}, ${refund}`],
  'bank.voided': ({ reference, charge }) => ['bank', `voided ${charge ?? `${reference}: a late original is refused`}`],
  'bank.looked_up': ({ value, found }) => ['bank', `look-up of ${value}: ${found === 0 ? 'no charge' : found === 1 ? '1 charge' : `${found} charges`}`],
  'bank.lied': ({ lie }) => ['bank', `LIED: ${spaced(lie)}`, 'fault'],
  'fraud.lied': ({ lie }) => ['fraud', `LIED: ${spaced(lie)}`, 'fault'],
  'notification.lied': ({ lie }) => ['notification', `LIED: ${spaced(lie)}`, 'fault'],
  'fraud.assessed': ({ decision }) => ['fraud', decision === 'deny' ? 'DENIES' : 'allows'],
  'notification.received': ({ duplicate }) => ['notification', duplicate ? 'receipt received again' : 'receipt received'],

  'customer.lied': ({ customer, lie }) => [customer, `LIED: ${spaced(lie)}`, 'fault'],
  'customer.changed': ({ customer, mood }) => [customer, `is now ${spaced(mood)}`, String(mood) === 'healthy' ? 'plain' : 'fault'],
  'customer.received': (event) => [event['customer'], receivedWords(event), event['signed'] === 'valid' || event['signed'] === 'unchecked' ? (event['processed'] ? 'good' : 'plain') : 'doubt'],
  'customer.processed': ({ customer, id, processed }) => [customer, processed ? `PROCESSED ${id}, which was put off` : `${id} was put off, and processed before`, 'good'],
  'customer.acked': ({ customer, id, attempt, status }) => [customer, `acknowledges ${id}${again(attempt)}: ${status === 0 ? 'no answer' : status}`],
  'resource.lied': ({ lie }) => ['resource', `LIED: ${spaced(lie)}`, 'fault'],
  'resource.asked': ({ key, token }) => ['resource', `asked for ${key ?? 'an effect without a key'}${token === null ? '' : `, token ${token}`}`, 'quiet'],
  'resource.applied': ({ key, token }) => ['resource', `EFFECT ${key ?? 'without a key'}${token === null ? '' : `, token ${token}`}`, 'good'],
  'resource.repeated': ({ key, token }) => ['resource', `${key} again${token === null ? '' : `, token ${token}`}: it had its effect before`],
  'resource.refused': ({ key, token, seen }) => ['resource', `REFUSED ${key}: token ${token} is older than ${seen}`, 'doubt'],

  'node.refused': ({ node, code, why }) => [node ?? 'node', `REFUSED to go on (${code}): ${why}`, 'doubt'],
  'node.deployed': ({ deployed, build }) => ['resil', `deploys ${deployed} anew${build ? `, build ${build}` : ''}`, 'fault'],
  'clock.stepped': ({ node, ms }) => [node ?? 'node', `its clock is set ${span(Math.abs(Number(ms)))} ${Number(ms) < 0 ? 'back' : 'ahead'}`, 'fault'],
  'store.locked': ({ ms }) => ['resil', `holds the lock of the store for ${span(ms)}`, 'fault'],
  'store.cut': ({ from }) => [from ?? 'node', 'cannot reach the store any more', 'fault'],
  'store.joined': ({ from }) => [from ?? 'node', 'can reach the store again', 'fault'],
  'pid.reused': ({ of }) => ['resil', `another program gets the process number of ${of}`, 'fault'],
  'schedule.recomputed': ({ node, schedule, to }) => [node ?? 'node', `${schedule} is due at another time than was written: ${to === null ? 'never' : new Date(to).toISOString()}`],
  'slot.begun': ({ slot }) => ['resil', `slot ${new Date(slot).toISOString()}`, 'quiet'],
  'node.ended': ({ node, how }) => [node ?? 'node', `ENDED by itself (${how})`, 'bad'],
  'node.joined': ({ node, build, slots }) => build === undefined ? [node ?? 'node', 'joined'] : [node ?? 'node', `joined, build ${build}, ${slots} ${slots === 1 ? 'slot' : 'slots'}`],
  'node.left': ({ node }) => [node ?? 'node', 'left'],
  'node.lost': ({ node, lost, why, runs }) => [node ?? 'node', `takes the work of ${lost} (${runs} ${runs === 1 ? 'run' : 'runs'}): ${why}`, 'doubt'],
  'leader.elected': ({ node, epoch, why }) => [node ?? 'node', `LEADS, epoch ${epoch}: ${why}`, 'good'],
  'leader.lost': ({ node, epoch, why }) => [node ?? 'node', `leads no more, epoch ${epoch}: ${why}`, 'doubt'],
  'leader.resigned': ({ node, epoch }) => [node ?? 'node', `gave the lead back, epoch ${epoch}`],
  'leader.fenced': ({ node, epoch, why }) => [node ?? 'node', `FENCED by the store, epoch ${epoch}: ${why}`, 'doubt'],
  'clock.jumped': ({ node, jumpedMs, holding }) => [node ?? 'node', `the clock jumped by ${span(Math.abs(Number(jumpedMs)))} ${Number(jumpedMs) < 0 ? 'back' : 'ahead'}${holding ? ': nothing is fired until the node is started anew' : ''}`, holding ? 'bad' : 'doubt'],
  'store.failed': ({ node, code, what }) => [node ?? 'node', `the store cannot now (${code}${what ? `, ${what}` : ''})`, 'doubt'],
  'tick.recorded': ({ node, tick, state, reason, lateMs, slots }) => [node ?? 'node', `${tick}${slots > 1 ? ` and ${slots - 1} more` : ''} ${spaced(state)}${reason ? `: ${reason}` : ''}${lateMs >= 1000 ? `, ${span(lateMs)} late` : ''}`, state === 'queued' ? 'quiet' : 'plain'],
  'tick.skipped': ({ node, tick, reason }) => [node ?? 'node', `${tick} skipped: ${reason}`],
  'attempt.started': ({ node, tick, attempt, token, step }) => [node ?? 'node', `runs ${tick}${again(attempt)}, token ${token}${step > 0 ? `, behind step ${step}` : ''}`],
  'attempt.progressed': ({ node, tick, percent }) => [node ?? 'node', `${tick} at ${percent} %`, 'quiet'],
  'attempt.checkpointed': ({ node, tick, step }) => [node ?? 'node', `${tick} step ${step} committed`, 'quiet'],
  'attempt.ended': ({ node, tick, state, reason, againAt }) => [node ?? 'node', `${tick} ${againAt === undefined ? spaced(state) : 'failed, tried again later'}${reason ? `: ${reason}` : ''}`, state === 'succeeded' ? 'good' : againAt === undefined ? 'bad' : 'doubt'],
  'attempt.fenced': ({ node, tick, token, what }) => [node ?? 'node', `FENCED ${tick}: ${what} of token ${token} does not stand`, 'doubt'],
  'attempt.abandoned': ({ node, tick, state }) => [node ?? 'node', `${tick} was left behind: ${state === 'dead' ? 'dead' : 'another worker takes it'}`, 'doubt'],

  'endpoint.added': ({ endpoint, customer }) => [customer ?? 'resil', `is told at endpoint ${endpoint}`],
  'customer.selected': ({ customer }) => ['you', `selected ${customer}`, 'quiet'],
  'event.sent': ({ nth, what }) => ['producer', `event ${nth}, ${what}`, 'quiet'],
  'event.accepted': ({ event, what, deliveries }) => ['producer', `${event} ${what} accepted, owed to ${deliveries} ${deliveries === 1 ? 'endpoint' : 'endpoints'}`],
  'event.refused': ({ nth, told, status, why }) => ['producer', `event ${nth}: ${told === 'unknown' ? 'no answer that says' : `refused ${status}`}${why ? ` (${why})` : ''}`, 'doubt'],
  'delivery.attempted': (event) => [event['endpoint'], attemptWords(event), event['meaning'] === 'delivered' ? 'quiet' : 'doubt'],
  'delivery.acknowledged': ({ endpoint, event }) => [endpoint, `${event} is acknowledged: it had been put off`, 'good'],
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

  'storm.measured': (event) => ['resil', `of ${event['inStorm']} customers in the storm ${toldIn(event)}; ${share(event['ofMost'])} of what any policy could have had paid`],
  'cascade.measured': (event) => ['resil', `of ${event['inTrouble']} customers in the trouble ${toldIn(event)}; at most ${event['heldAtMost']} requests were open`],
  'weather.changed': ({ mock, weather }) => [mock, weather ? `its weather: ${weatherOf(weather)}` : 'its weather is as usual again', 'fault'],
  'bank.authorised': (event) => ['bank', `HOLDS ${sum(event)}, ${event['charge']}, key ${event['key']}`],
  'bank.expired': ({ charge }) => ['bank', `holds ${charge} no longer: nobody captured it`],
  'breaker.opened': (event) => [event['service'], `breaker OPENS: ${reasonOf(event)}${later(event['retryAfterMs'])}`, 'doubt'],
  'breaker.half_opened': ({ service }) => [service, 'breaker half-open: a few calls may try'],
  'breaker.closed': ({ service, why, retryAfterMs }) => [service, `breaker closes${why ? ` (${why})` : ''}${Number(retryAfterMs) > 0 ? `: callers come back over ${span(Number(retryAfterMs))}` : ''}`, 'good'],
  'breaker.forced_open': ({ service }) => [service, 'breaker FORCED OPEN: nobody passes', 'doubt'],
  'breaker.disabled': ({ service }) => [service, 'breaker disabled: everybody passes, nothing is counted', 'doubt'],
  'breaker.observed_only': ({ service }) => [service, 'breaker only counts: everybody passes', 'doubt'],
  'breaker.trip_observed': (event) => [event['service'], `breaker would have opened: ${reasonOf(event)}`, 'doubt'],
  'bulkhead.limit_changed': ({ service, limit, inFlight }) => [service, `bulkhead lets ${limit} calls through at once (${inFlight} are under way)`, 'quiet'],
  'hop.refused': ({ hop, service, by, retryMs }) => ['engine', `${hop} is not asked: the ${by} of ${service} turns it away${later(retryMs)}`],
  'hop.retried': ({ hop, attempt, waitMs, why }) => ['engine', `${hop} is asked again in ${span(Number(waitMs))}, attempt ${attempt}: ${why}`],
  'retry_budget.emptied': ({ service, inFlight, retrying }) => [service, `no retry any more: ${retrying} of ${inFlight} calls under way are repeats`, 'doubt'],
  'dependency.warned': ({ service, recentMs, usualMs, budgetShare }) => [service, `EARLY WARNING: takes ${span(Number(recentMs))}, usually ${span(Number(usualMs))}; ${percent(budgetShare, 1)} of what it may take`, 'doubt'],
  'payment.cancelled': ({ payment, state }) => ['engine', `${payment} shall be undone, it is ${state}`],
  'refund.claimed': ({ payment, refund }) => ['engine', `${refund} of ${payment} begins`],
  'refund.moved': ({ refund, from, to, why }) => ['engine', `${refund} is ${to}, was ${from}${why ? ` (${why})` : ''}`, to === 'unknown' || to === 'review' ? 'doubt' : to === 'succeeded' ? 'good' : 'plain'],
  'payment.claimed': ({ payment, key }) => ['engine', `${payment} claimed for key ${key}`],
  'payment.joined': ({ payment }) => ['engine', `a twin waits for ${payment}`],
  'payment.moved': ({ payment, from, to, why }) => {
    const word = BELIEVED[to as keyof typeof BELIEVED] ?? to
    return ['engine', `${payment} is ${word}, was ${from}${why && why !== to ? ` (${why})` : ''}`, to === 'unknown' || to === 'review' ? 'doubt' : to === 'succeeded' ? 'good' : 'plain']
  },
  'hop.started': ({ hop, attempt }) => ['engine', `${HOP[hop] ?? hop}${again(attempt)}`, 'quiet'],
  'hop.ended': ({ hop, outcome, status, detail, ms }) => ['engine', `${HOP_ENDED[hop] ?? hop}${outcome === 'ok' ? ` answered ${status}` : `: ${outcome === 'unknown' ? 'unknown what it did' : 'it did not happen'}${detail ? ` (${detail})` : ''}`}${typeof ms === 'number' ? ` after ${span(ms)}` : ''}`, outcome === 'unknown' ? 'doubt' : 'quiet'],
  'payment.waiting': ({ ms, why }) => ['engine', `waits ${span(ms)}: ${why}`],
  'service.failed': ({ method, path, why }) => ['engine', `FAILED${method ? ` at ${method} ${path}` : ''}: ${String(why ?? '').split('\\n', 1)[0]}`, 'bad'],
  'payment.alarmed': ({ payment, why }) => ['engine', `ALARM${payment ? ` ${payment}` : ''}: ${why}`, 'bad'],
}

/** What people call the endpoints that events name by their id. */
export type Names = ReadonlyMap<string, string>

/** Names that are learnt: the first ones. */
const NAMES_MOST = 20_000

/** Takes from the event, if it says so, whose an endpoint is. */
export function learn(names: Map<string, string>, { type, endpoint, customer }: Event): void {
  if (type === 'endpoint.added' && typeof customer === 'string' && names.size < NAMES_MOST) names.set(String(endpoint), customer)
}

/** The same event with its endpoint called as people call it, if they do. */
export function named(event: Event, names: Names): Event {
  const name = names.get(String(event['endpoint']))
  // What names the customer itself is about how the two belong together.
  return name === undefined || event['customer'] !== undefined ? event : { ...event, endpoint: name }
}

/** The event in words, every text in it made visible; undefined for what is only a detail. Never throws for a field that is missing. */
export function sentence(raw: Event): Sentence | undefined {
  const say = Object.hasOwn(SENTENCES, raw.type) ? SENTENCES[raw.type] : undefined
  if (!say) return undefined
  const [who, what, tone = 'plain'] = say(visibleCopy<Fields>(raw))
  return { who: String(who ?? 'engine'), what, tone }
}

/** A length of time with its unit: `41 ms`, `1.3 s`, `2 m 05 s`, `1 h 58 m`. */
export function span(ms: number): string {
  if (ms < 1) return `${Math.round(ms * 10) / 10} ms`
  if (ms < 999.5) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${String(seconds % 60).padStart(2, '0')} s`
  const minutes = Math.round(seconds / 60)
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} m`
}

/** A point in the run: `00:01.284`, with hours once there are any. */
export function stamp(t: number): string {
  const ms = Math.floor(t)
  const two = (n: number) => String(n).padStart(2, '0')
  const hours = Math.floor(ms / 3_600_000)
  return `${hours > 0 ? `${two(hours)}:` : ''}${two(Math.floor(ms / 60_000) % 60)}:${two(Math.floor(ms / 1000) % 60)}.${String(ms % 1000).padStart(3, '0')}`
}
