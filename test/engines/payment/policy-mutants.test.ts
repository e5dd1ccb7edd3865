/** What stands before the services, broken on purpose: each scenario of time, retries, breakers and bulkheads convicts the bug that it is for. */
import { describe, it } from 'vitest'
import type { Trial } from '../../mutants/trial.ts'
import { expectConviction } from '../../mutants/trial.ts'

const ENGINE = 'payment/engine.ts'
const HOPS = 'payment/hops.ts'
const SETTINGS = 'payment/settings.ts'
const BREAKER = 'policies/breaker.ts'

const trials: Trial[] = [
  {
    bug: 'the bank is promised the whole deadline, whatever is left',
    plants: [[ENGINE, 'const timeoutMs = Math.max(1, patience.left())\n', 'const timeoutMs = this.settings.deadlineMs\n']],
    convicts: { T1: 'expected: the bank is promised what is left, and no more', T4: 'expected: no bank is promised more than there is', K2: 'expected: no bank is promised more than there is' },
  },
  {
    bug: "the client's own patience is not read",
    plants: [[ENGINE, 'readTimeoutMs(request.headers, { maxMs: this.settings.deadlineMs }) ?? this.settings.deadlineMs', 'this.settings.deadlineMs']],
    convicts: { T3: 'expected: the bank is told what is left of 3000 ms when the client says x-request-timeout-ms: 3000', T9: 'expected: not charged' },
  },
  {
    bug: "the client's own patience is believed whatever it is",
    plants: [[ENGINE, '{ maxMs: this.settings.deadlineMs }', '{ maxMs: 1e9 }']],
    convicts: { T3: 'expected: the bank is told what is left of 5000 ms when the client says x-request-timeout-ms: 999999999' },
  },
  {
    bug: 'large payments go on without the word of fraud too',
    plants: [[ENGINE, "if (screening === 'silent' && payment.amount >= this.settings.fraudOpenBelow)", "if (screening === 'silent' && payment.amount < 0)"]],
    convicts: { T1: 'expected: a large payment does not' },
  },
  {
    bug: 'the receipt is waited for',
    plants: [[ENGINE, '      for (const duty of duties) this.#outbox.send(duty)\n      return done\n', '      for (const duty of duties) this.#outbox.send(duty)\n      await this.#outbox.rest()\n      return done\n']],
    convicts: { T2: 'expected: and as quickly' },
  },
  {
    bug: 'nobody looks whether the client has left',
    plants: [[ENGINE, '          if (patience.gone?.aborted) {\n', '          if (patience.gone === null) {\n']],
    convicts: { T5: 'expected: it learns that it is not charged' },
  },
  {
    bug: 'a time-out counts as "it did not happen"',
    plants: [['payment/bank.ts', ": { kind: 'unknown', why: outcome.error.code }", ": { kind: 'not_applied', why: outcome.error.code, ours: false }"]],
    convicts: { T6: 'expected: nobody is said to have failed' },
  },
  {
    bug: 'the time-out of fraud is twice its usual time',
    plants: [[HOPS, 'settings.guarded ? this.#fraud.ms :', 'settings.guarded ? 80 :']],
    convicts: { T7: 'expected: few healthy answers are cut off' },
  },
  {
    bug: 'the time-out of fraud has no ceiling',
    plants: [[HOPS, 'ceilingMs: settings.fraudTimeoutMs, frozen', 'ceilingMs: 5000, frozen']],
    convicts: { T7: 'expected: it stays in its band' },
  },
  {
    bug: 'after a stall nobody looks at what has come meanwhile',
    plants: [[ENGINE, 'if (!rested && this.clock.monotonic() - due > STALL_MS)', 'if (!rested && due < 0 && STALL_MS > 0)']],
    convicts: { T8: 'expected: the answer that was there is told' },
  },
  {
    bug: 'a payment is begun whatever time is left',
    plants: [[ENGINE, '    if (patience.left() < this.settings.minStartMs) return this.#giveWay(payment, this.#tooLate(patience))\n    if (payment.two_step', '    if (payment.two_step']],
    convicts: { T9: 'expected: nobody was asked' },
  },
  {
    bug: 'waits are not of chance',
    plants: [['policies/backoff.ts', 'random.next() *', '(random.next() < 2 ? 1 : 0) *']],
    convicts: { R1: 'expected: the waits are short, and no two alike', R4: 'expected: the waits are uniform' },
  },
  {
    bug: 'waits vary by a tenth',
    plants: [['policies/backoff.ts', 'random.next() *', '(0.9 + 0.1 * random.next()) *']],
    convicts: { R4: 'expected: the waits are uniform' },
  },
  {
    bug: 'there is no end to retries',
    plants: [[ENGINE, 'if (attempt >= tries || ', 'if ('], [SETTINGS, 'openMs: 5000', 'openMs: 1']],
    convicts: { R1: 'expected: a payment is tried a few times', R8: 'expected: a definite refusal is tried a few times' },
  },
  {
    bug: 'nothing stands before the services, and nothing bounds the repeats',
    plants: [[SETTINGS, 'guarded: true', 'guarded: false'], [ENGINE, ' || !budgeted.retry()', '']],
    convicts: { R2: 'expected: the bank is left alone while it is dead', R6: 'expected: requests to the bank' },
  },
  {
    bug: "the bank's wish to be asked later is not heeded",
    plants: [[ENGINE, 'const waitMs = Math.max(retryMs, backoff(attempt, retryBackoff, this.random))', 'const waitMs = backoff(attempt, retryBackoff, this.random)']],
    convicts: { R3: 'expected: the bank is asked once' },
  },
  {
    bug: "the bank's wish to be asked later is not passed on",
    plants: [[ENGINE, 'retry_ms: Math.ceil(Math.min(retryMs, LONGEST_RETRY_MS))', 'retry_ms: Math.min(0, LONGEST_RETRY_MS)']],
    convicts: { R3: "expected: the bank's time is passed on", B12: 'expected: come again at that time, the bank is asked' },
  },
  {
    bug: 'what was wrong is sent again',
    plants: [[ENGINE, "if (meaning.kind !== 'not_applied' || meaning.ours || current.doubts > 0)", "if (meaning.kind !== 'not_applied' || current.doubts > 0)"]],
    convicts: { R5: 'expected: 400 is asked for once' },
  },
  {
    bug: 'repeats have no budget',
    plants: [[ENGINE, ' || !budgeted.retry()', '']],
    convicts: { R6: 'expected: requests to the bank' },
  },
  {
    bug: "a retry's wait does not end with its client",
    plants: [[ENGINE, 'await this.#unlessOver(waitMs, patience.gone)', 'await this.#unlessOver(waitMs, undefined)']],
    convicts: { R7: 'expected: it is not charged, and that is known at once' },
  },
  {
    bug: "a retry's wait does not end with its node",
    plants: [[ENGINE, 'await this.#unlessOver(waitMs, patience.gone)\n          if (this.#stopping.aborted) return this.#giveWay(current, why, retryMs)', 'await this.clock.sleep(waitMs, patience.gone)']],
    convicts: { R7: 'expected: whoever is told to end asks no bank again' },
  },
  {
    bug: 'a layer below retries as well',
    plants: [[HOPS, '    const ms = clock.monotonic() - start\n', "    if (outcome.kind !== 'ok' || outcome.value.status >= 500) await network.call(service, request, { timeoutMs })\n    const ms = clock.monotonic() - start\n"]],
    convicts: { R8: 'expected: a definite refusal is tried a few times' },
  },
  { bug: 'five calls are enough to judge', plants: [[SETTINGS, 'minimumCalls: 20', 'minimumCalls: 5']], convicts: { B1: 'expected: all fail, and they are few: the next one is asked for' } },
  { bug: 'half of the calls are enough to open', plants: [[SETTINGS, 'failureRate: 0.9', 'failureRate: 0.5']], convicts: { B1: 'expected: many fail, and some do not: all are asked for' } },
  { bug: 'one failure opens', plants: [[SETTINGS, 'minimumCalls: 20', 'minimumCalls: 1']], convicts: { B2: 'expected: the next ones are charged' } },
  {
    bug: 'the window does not forget',
    plants: [['policies/window.ts', 'if (current <= this.#current) return\n', 'if (current < 1e12) return\n']],
    convicts: { B3: 'expected: the next one is asked for and charged' },
  },
  { bug: 'results of an older generation count', plants: [[BREAKER, 'if (generation !== this.#generation || ', 'if (generation < 0 || ']], convicts: { B4: 'expected: it stays closed' } },
  { bug: 'whoever comes may try the bank', plants: [[SETTINGS, 'probes: 5', 'probes: 100']], convicts: { B5: 'expected: exactly five are let through' } },
  {
    bug: 'a try that hung is forgotten',
    plants: [[HOPS, "outcome.error.code === 'ABORTED'", "(outcome.error.code === 'ABORTED' || outcome.error.code === 'TIMEOUT')"]],
    convicts: { B6: 'expected: meanwhile, and after it, nobody is let through' },
  },
  {
    bug: 'declines and wrong requests count as failures',
    plants: [[HOPS, "if (status >= 400) return 'ignored'", "if (status >= 400) return 'failure'"]],
    convicts: { B7: 'expected: after declines a good card is charged', B13: 'expected: good cards are charged in the midst of it' },
  },
  { bug: 'no call is too slow', plants: [[HOPS, '? { slowCallMs: slowMs }', '? { slowCallMs: slowMs * 1e6 }']], convicts: { B8: 'expected: those who come next are told not charged' } },
  { bug: 'nobody heeds an operator', plants: [[HOPS, 'if (guarded.forced !== forced) {', 'if (guarded.forced !== guarded.forced) {']], convicts: { B9: 'expected: forced open: nobody is charged, though the bank is well' } },
  { bug: 'breakers live in memory only', plants: [[HOPS, '    await this.#save(tx)\n    return tx', '    return tx']], convicts: { B10: 'expected: the node beside knows that it is open' } },
  { bug: 'a payment that was refused here is told to be pending', plants: [['payment/machine.ts', "state === 'declined' || state === 'released'", "state === 'declined'"]], convicts: { B12: 'expected: not charged' } },
  { bug: 'all merchants have one breaker', plants: [[HOPS, "const one = this.#setup.settings.breakerScope === 'merchant' && ", "const one = this.#setup.settings.breakerScope !== 'merchant' && "]], convicts: { B14: "expected: the other merchant's customers are charged" } },
  { bug: 'a breaker that closes lets everybody in at once', plants: [[SETTINGS, 'rampMs: 3000', 'rampMs: 0']], convicts: { B15: 'expected: few are let through at first' } },
  {
    bug: 'all services share their places',
    plants: [[HOPS, "const name = hop === 'lookup' || hop === 'void' ? `${service}/recovery` : service\n", "const name = hop === 'lookup' || hop === 'void' ? service : 'all'\n"], [HOPS, 'const limit = name !== service ?', "const limit = hop === 'lookup' || hop === 'void' ?"]],
    convicts: { K1: 'expected: the bank is not kept waiting' },
  },
  { bug: 'who has left keeps his place in the queue', plants: [['payment/room.ts', 'priority, gone, now', 'priority, gone && undefined, now']], convicts: { K3: 'expected: who took the room of the one that left is let in to wait' } },
  {
    bug: "the payer's hour has no end",
    plants: [[ENGINE, 'if (payment.queue_until !== null && now >= payment.queue_until) {', 'if (payment.queue_until === 0) {'], [ENGINE, 'payment.queue_until !== null && now < payment.queue_until && payment', 'payment.queue_until !== null && payment']],
    convicts: { 'charge-later': 'expected: given up after the hour' },
  },
  {
    bug: 'fraud is asked when the bank has answered',
    plants: [[ENGINE, '            if (current.two_step === 1) screening = this.#screen(current, patience.left())\n', '']],
    convicts: { parallel: 'expected: as quick as the slower of the two' },
  },
  {
    bug: 'what is held is not given back',
    plants: [[ENGINE, "if (giveBack) duties.push(await this.#outbox.owe(tx, moved, 'void', now))", 'if (giveBack) void 0']],
    convicts: { parallel: 'expected: what was held is given back' },
  },
  {
    bug: 'the bank captures at once',
    plants: [[ENGINE, 'current.bank_key, timeoutMs, current.two_step === 0), timeoutMs', 'current.bank_key, timeoutMs), timeoutMs']],
    convicts: { parallel: 'expected: no money has moved' },
  },
]

describe.each(trials)('$bug', (trial) => {
  it(`is convicted by ${Object.keys(trial.convicts).join(', ')}`, async () => {
    await expectConviction(['payment', 'policies'], trial)
  }, 120_000)
})
