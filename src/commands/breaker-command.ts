/** What an operator does to a breaker by hand: one command for each state, alike but for the state and the words. */
import { Args } from '@oclif/core'
import type { Forced } from '../engines/payment/operator.ts'
import { forceBreaker } from '../engines/payment/operator.ts'
import { changePayments } from '../lab/standing-store.ts'
import { visible } from '../visible.ts'
import { BaseCommand } from './base.ts'
import type { ExitCode } from './failure.ts'
import { deedFlags, paymentsDb } from './flags.ts'

export abstract class BreakerCommand extends BaseCommand<typeof BreakerCommand> {
  static override args = { name: Args.string({ description: 'the breaker, as `resil pay breaker list` shows it', required: true, ignoreStdin: true }) }
  static override flags = { db: paymentsDb, ...deedFlags }

  /** What it is held in; null lets it judge by itself again. */
  protected abstract readonly forced: Forced | null
  /** What is so from now on: the end of a sentence that begins with the breaker's name. */
  protected abstract readonly outcome: string

  protected async work(): Promise<ExitCode> {
    const { db, by, why } = this.flags
    const { name } = this.args
    await changePayments(db, (store, clock) => forceBreaker(store, clock, name, this.forced, { who: by, why }))
    this.answer(visible(`${name} ${this.outcome}`))
    this.emit({ ok: true, breaker: name, forced: this.forced, by, why })
    return 0
  }
}
