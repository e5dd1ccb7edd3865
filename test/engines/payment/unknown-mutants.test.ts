/** The engine broken on purpose in what it does with the unknown, with what it keeps, with clocks and with books: each scenario convicts the bug that it is for. */
import { describe, it } from 'vitest'
import type { Trial } from '../../mutants/trial.ts'
import { expectConviction } from '../../mutants/trial.ts'

const ENGINE = 'payment/engine.ts'
const BANK = 'payment/bank.ts'
const OUTBOX = 'payment/outbox.ts'
const REFUNDS = 'payment/refunds.ts'
const REAPER = 'payment/reaper.ts'
const NODES = 'payment/nodes.ts'
const LEDGER = 'payment/ledger.ts'

const trials: Trial[] = [
  {
    bug: 'while the bank cannot be asked, nobody is answered',
    plants: [[ENGINE, '    if (this.#running.size >= this.settings.mostRunning)', "    const pass = await this.#hops.enter({ payment: '', hop: 'bank', service: 'bank', attempt: 1, scope: '', priority: 'live' }, 10)\n    if ('refused' in pass) return unavailable('down', 'none')\n    pass.leave()\n    if (this.#running.size >= this.settings.mostRunning)"]],
    convicts: { D13: 'expected: answered as before while the breaker is open' },
  },
  { bug: 'what was sent when the power went is left where it was', plants: [[ENGINE, "WHERE state IN ('claimed', 'sent', 'unknown') AND ${orphaned}", "WHERE state IN ('claimed', 'unknown') AND ${orphaned}"]], convicts: { C10: 'expected: charged in the end' } },
  { bug: 'another amount than was asked for will do', plants: [[BANK, "    return { kind: 'review', why: `asked for", "    if (asked) return { kind: status, charge: id }\n    return { kind: 'review', why: `asked for"]], convicts: { U8: 'expected: somebody looks into it' } },
  { bug: 'a look-up that fails has found nothing', plants: [[BANK, "if (outcome.kind !== 'ok' || outcome.value.status !== 200) return undefined\n  const found", "if (outcome.kind !== 'ok' || outcome.value.status !== 200) return []\n  const found"]], convicts: { U9: 'expected: time alone decides nothing' } },
  { bug: 'not found is believed at once', plants: [[ENGINE, 'if (answered && untilSettled <= 0)', 'if (answered)']], convicts: { U10: 'expected: pending while look-ups lag', U14: 'expected: the bank is asked to charge once' } },
  { bug: 'a charge that comes after a refusal stands', plants: [[ENGINE, 'for (const acquirer of this.settings.acquirers) duties', 'for (const acquirer of [] as string[]) duties']], convicts: { U11: 'at-most-one-charge' } },
  { bug: 'a payment whose late charge was undone may be tried again', plants: [[ENGINE, "if (payment.state !== 'released' && payment.state !== 'queued') return", 'if (payment.state !== undefined) return']], convicts: { U11: 'expected: the same key has had its chance' } },
  { bug: "a charge of another bank is nobody's business", plants: [[ENGINE, 'for (const acquirer of others) duties', 'for (const acquirer of [] as string[]) duties']], convicts: { 'original-after-failover': 'expected: the late charge is undone' } },
  { bug: 'a bank that tells nothing is asked all the same', plants: [[ENGINE, 'if (!bankLookup) return', 'if (bankLookup === undefined) return']], convicts: { U12: 'expected: somebody looks into it' } },
  { bug: 'the same key is sent again however old it is', plants: [[ENGINE, 'if (now < firstSentAt + resendHorizonMs)', 'if (now < firstSentAt + resendHorizonMs * 1e6)']], convicts: { U13: 'at-most-one-charge' } },
  { bug: 'in progress is a refusal', plants: [[BANK, 'new Set([400, 401,', 'new Set([409, 400, 401,']], convicts: { U14: 'answer-matches-ledger' } },
  { bug: 'a capture in doubt is sent again without a look', plants: [[OUTBOX, 'if (attempt > 1) {', 'if (attempt > 1e9) {']], convicts: { U15: 'books-match-bank' } },
  { bug: 'a key goes on to say that money is held which was let go', plants: [[OUTBOX, "{ reason, answer_status: answer.status, answer_body: answer.body, finished_at: now }, now)", '{ reason, answer_status: answer.status && payment.answer_status }, now)']], convicts: { U15: 'expected: and the key is told so from then on' } },
  { bug: 'a refund that is found is not seen', plants: [[REFUNDS, 'if (found && found.length > 0) return', 'if (found && found.length > 1000) return']], convicts: { U16: 'books-match-bank' } },
  { bug: 'a body that says "failed" is believed', plants: [[BANK, "codes[code] : 'unknown'", "codes[code] : 'declined'"]], convicts: { U17: 'answer-matches-ledger' } },
  { bug: "the bank's own word moves nothing", plants: [[ENGINE, "if (payment.state === 'sent' || payment.state === 'unknown') {\n          if (payment.cancelled_at", "if (payment.state === 'review') {\n          if (payment.cancelled_at"]], convicts: { U18: 'expected: nor for a lost answer' } },
  { bug: 'a second bank is asked while it is unknown what the first did', plants: [[ENGINE, "          if (meaning.kind !== 'not_applied' || meaning.ours", "          if (meaning.kind === 'unknown') break\n          if (meaning.kind !== 'not_applied' || meaning.ours"]], convicts: { U19: 'at-most-one-charge' } },
  { bug: 'a success is a success, whoever cancelled', plants: [[ENGINE, 'if (charge !== null && moved.cancelled_at !== null) throw new Cancelled()', '']], convicts: { U20: 'expected: no money is left at the bank' } },
  { bug: 'a wish to undo a payment in doubt is not heeded', plants: [[ENGINE, 'if (fresh.cancelled_at !== null) return this.#close(fresh, attempt)', '']], convicts: { U20: 'books-match-bank' } },
  { bug: 'a stored answer has no end', plants: [[ENGINE, 'if (payment.finished_at !== null && this.clock.now() >=', 'if (payment.finished_at === 0 && this.clock.now() >=']], convicts: { E1: 'expected: not processed again' } },
  { bug: 'a paid order is forgotten with its key', plants: [[REAPER, "AND state = 'succeeded'\n         ON CONFLICT", "AND state = 'nothing'\n         ON CONFLICT"]], convicts: { E2: 'at-most-one-charge' } },
  { bug: 'what is unknown is forgotten when it is old', plants: [[REAPER, "'voided', 'released')\n", "'voided', 'released', 'unknown')\n"]], convicts: { E3: 'at-most-one-charge' } },
  { bug: 'what an operator has is forgotten when it is old', plants: [[REAPER, "'voided', 'released')\n", "'voided', 'released', 'review')\n"]], convicts: { E3: 'at-most-one-charge' } },
  { bug: 'a payment is forgotten while its refund is in doubt', plants: [[REAPER, "AND r.state IN ('sent', 'unknown', 'review')", "AND r.state IN ('sent')"]], convicts: { E3: 'expected: given back in the end' } },
  { bug: 'the settle time is counted from what another clock said', plants: [[ENGINE, 'const untilSettled = vigil.sentAt + settleMs - this.clock.monotonic()', 'const untilSettled = (fresh.sent_at ?? 0) + settleMs - now']], convicts: { E4: 'expected: not sent again while it may be under way' } },
  { bug: 'every other node is dead', plants: [[NODES, 'now - this.#seen.get(name)!.at >= this.#leaseMs', 'this.#leaseMs > 0']], convicts: { E4: 'expected: nobody took the payment over' } },
  { bug: 'the books are out by one when money goes back', plants: [[REFUNDS, "account: 'merchant', amount: -refund.amount, ", "account: 'merchant', amount: -refund.amount - 1, "], [REFUNDS, '`customer:${payment.order_ref}`, amount: refund.amount, ', '`customer:${payment.order_ref}`, amount: refund.amount + 1, ']], convicts: { L1: 'books-match-bank' } },
  { bug: 'an entry can be changed', plants: [[LEDGER, "BEFORE UPDATE ON ledger\nBEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;", 'BEFORE UPDATE ON ledger\nBEGIN SELECT 1; END;']], convicts: { L2: 'books-match-bank' } },
  { bug: 'an entry can be deleted', plants: [[LEDGER, "BEFORE DELETE ON ledger\nBEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;", 'BEFORE DELETE ON ledger\nBEGIN SELECT 1; END;']], convicts: { L2: 'books-match-bank' } },
  { bug: 'an entry can be replaced', plants: [[LEDGER, 'WHEN NEW.seq <>', 'WHEN NEW.seq >']], convicts: { L2: 'books-match-bank' } },
  { bug: 'amounts are kept with single precision', plants: [[BANK, '{ amount: asked.amount, currency: asked.currency, reference: asked.id, card', '{ amount: Math.fround(asked.amount), currency: asked.currency, reference: asked.id, card']], convicts: { L3: 'books-match-bank' } },
  { bug: 'each refund by itself is no more than was charged', plants: [[REFUNDS, 'if (wanted > left || wanted < 1)', 'if (wanted > payment.amount || wanted < 1)']], convicts: { L4: 'expected: the bank is not asked for more than was charged' } },
  { bug: 'money that is held is not seen by who takes over', plants: [[ENGINE, "      if (meaning.kind === 'authorised') return this.#decide(fresh, meaning.charge, await this.#screen(fresh, this.settings.fraudTimeoutMs))\n      if (meaning.kind === 'review')", "      if (meaning.kind === 'review')"]], convicts: { O4: 'no-hold-left' } },
  { bug: 'a damaged store is the trouble of the next sweep', plants: [[ENGINE, "      if (!isStoreTrouble(error)) throw error\n      this.log.emit('payment.alarmed', { payment: null, why: `${error.code}: ${error.message}` })", "      this.log.emit('payment.alarmed', { payment: null, why: String(error) })"]], convicts: { O5: 'expected: it says why it does not start' } },
]

describe.each(trials)('$bug', (trial) => {
  it(`is convicted by ${Object.keys(trial.convicts).join(', ')}`, async () => {
    await expectConviction(['payment', 'policies'], trial)
  }, 120_000)
})
