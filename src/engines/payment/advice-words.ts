/** Advice as a page: plain lines, each with the reckoning that leads to it. Names of services come from outside: whoever prints makes them visible. */
import type { Advice, Latency, ServiceAdvice } from './advise.ts'
import { ENOUGH } from './advise.ts'
import type { PaymentSettings } from './settings.ts'
import type { WhatIf } from './what-if.ts'

/** Of fewer calls than this the p99.9 is merely the slowest. */
const ENOUGH_FOR_P999 = 1000

/** `settings`: what the engine has; what is advised is told beside it. */
export function adviceInWords(advice: Advice, settings: PaymentSettings): string[] {
  return [...overview(advice), ...warnings(advice), ...advice.services.flatMap((service) => ['', ...serviceInWords(service, settings, advice.from)])]
}

function overview({ answers, lastedMs, services }: Advice): string[] {
  const calls = services.reduce((sum, service) => sum + service.calls, 0)
  const told = [
    `${count(answers.count, 'answer')} to clients`,
    answers.turnedAway > 0 && `${answers.turnedAway} of them "not charged, try again" or "later"`,
    answers.pending > 0 && `${answers.pending} "not known yet"`,
    answers.late > 0 && `${answers.late} after the deadline`,
  ]
  return [`${count(calls, 'call')} in ${seconds(lastedMs)}; ${told.filter(Boolean).join(', ')}`]
}

/** Whether anybody would have been warned before somebody was hurt. */
function warnings({ services, answers, from }: Advice): string[] {
  const hurtAt = [answers.firstPendingAt, answers.firstLateAt].filter((at) => at !== null).toSorted((a, b) => a - b)[0]
  const what = hurtAt === answers.firstPendingAt ? 'the first pending payment' : 'the first late answer'
  const hurt = hurtAt === undefined ? 'no payment was pending and no answer late' : `${what} was at ${point(hurtAt, from)}`
  const slow = services.filter(({ slow }) => slow !== null)
  if (slow.length === 0) return [`no service became slow; ${hurt}`]
  return slow.map(({ service, slow }) => {
    const { at, recentMs, usualMs } = slow!
    const lead = hurtAt === undefined ? '' : hurtAt >= at ? `, ${seconds(hurtAt - at)} after the warning` : `, ${seconds(at - hurtAt)} before the warning`
    return `${the(service)} became slow at ${point(at, from)} (${ms(recentMs)}, usually ${ms(usualMs)}), ${hurt}${lead}`
  })
}

function serviceInWords(service: ServiceAdvice, settings: PaymentSettings, from: number): string[] {
  const { calls, failed, cutOff, refused, latency, well, deadlineShare } = service
  const bad = [`${failed} failed`, cutOff > 0 && `${cutOff} of them cut off`, refused > 0 && `${refused} refused here and never made`]
  return [
    `${service.service}: ${count(calls, 'call')}, ${bad.filter(Boolean).join(', ')}`,
    `  all           ${inWords(latency, cutOff / calls)}`,
    `  when well     ${inWords(well.latency)}, ${rate(well.ratePerS)}, of ${count(well.calls, 'call')}`,
    ...(deadlineShare ? [`  deadline      ${percent(deadlineShare.mean)} of it on average, ${percent(deadlineShare.p99)} for one payment in a hundred`] : []),
    ...settingsInWords(service, settings),
    ...breakers(service, from),
  ]
}

function settingsInWords({ hop, calls, cutOff, settings, tooSlowShare, well }: ServiceAdvice, now: PaymentSettings): string[] {
  if (settings === null) return [`  settings      too few calls ended well to say what they should be: ${well.calls}, and ${ENOUGH} are enough`]
  const { timeoutMs, minStartMs, bulkhead, retryBudget } = settings
  const few = well.calls < ENOUGH_FOR_P999 ? `, the slowest of only ${count(well.calls, 'call')}` : ''
  const ofBank = [
`  time-out      what is left of the ${ms(now.deadlineMs)}: ${percent(tooSlowShare ?? 0)} of its calls take longer than all of it when well (p99.9 ${at(well.latency, 'p999')}${few}); ${percent(cutOff / calls)} of all were cut off, with what they had left`,
    `  minStart      ${ms(minStartMs ?? 0)}: its p95 (now ${ms(now.minStartMs)}); with less left it is not asked`,
  ]
  return [
    ...(timeoutMs === null ? ofBank : [`  time-out      ${ms(timeoutMs)}: its p99.9${few} (now ${hop === 'fraud' ? `at most ${ms(now.fraudTimeoutMs)}` : ms(now.notifyTimeoutMs)})`]),
    `  bulkhead      ${bulkhead}: 1.5 x ${rate(well.ratePerS)} x ${(Math.round(well.latency.p50) / 1000).toFixed(3)} s (the engine finds its own, from ${now.bulkhead.floor} to ${now.bulkhead.ceiling})`,
    `  retry budget  ${percent(retryBudget.share)} of the calls in flight: twice the ${percent(retryBudget.harmlessShare)} that failed without effect, between 1 % and 10 %`,
  ]
}

/** Those that would have opened, each with its price; the others in one line. */
function breakers({ breakers, failed }: ServiceAdvice, from: number): string[] {
  const opened = breakers.filter(({ openings }) => openings > 0)
  if (opened.length === 0) return [`  breakers      none of ${breakers.length} settings would have opened, at ${count(failed, 'failure')}`]
  const never = breakers.filter(({ openings }) => openings === 0).map(({ setting }) => setting)
  const width = Math.max(...opened.map(({ setting }) => setting.length))
  return [
    '  breakers that would have opened:',
    ...opened.map((one) => `    ${one.setting.padEnd(width)}  ${whatIfInWords(one, from)}`),
    ...(never.length > 0 ? [`    never: ${never.join('; ')}`] : []),
  ]
}

function whatIfInWords({ openings, firstAt, notClosedMs, goodRefused, badSpared, badMade }: WhatIf, from: number): string {
  const worth = goodRefused > badSpared ? ': it costs more than it spares' : ''
  return `${openings === 1 ? 'once' : `${openings} times`}, first at ${point(firstAt ?? from, from)}, for ${seconds(notClosedMs)}; ${goodRefused} good refused, ${badSpared} bad spared, ${badMade} not${worth}`
}

const the = (service: string) => (service === 'bank' ? 'the bank' : service)
const count = (n: number, what: string) => `${n} ${what}${n === 1 ? '' : 's'}`
const ms = (value: number) => `${Math.round(value)} ms`
const seconds = (value: number) => `${(value / 1000).toFixed(1)} s`
const point = (at: number, from: number) => seconds(at - from)
const percent = (share: number) => `${Number((share * 100).toPrecision(2))} %`
const rate = (perS: number) => `${perS.toFixed(1)}/s`
const SHARE = { p50: 0.5, p95: 0.95, p99: 0.99, p999: 0.999 } as const
/** What is not known because calls were cut off is at least what was seen. `cutShare`: cut off in an incident, where they would have been the slowest. */
const at = (latency: Latency, part: keyof typeof SHARE, cutShare = 0) => `${latency.known < SHARE[part] || cutShare > 1 - SHARE[part] ? 'over ' : ''}${ms(latency[part])}`
const inWords = (latency: Latency, cutShare = 0) => `p50 ${at(latency, 'p50', cutShare)}, p95 ${at(latency, 'p95', cutShare)}, p99 ${at(latency, 'p99', cutShare)}, p99.9 ${at(latency, 'p999', cutShare)}`
