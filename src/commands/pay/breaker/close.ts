import { BreakerCommand } from '../../breaker-command.ts'

export default class PayBreakerClose extends BreakerCommand {
  static override summary = 'close a breaker, and let it judge by itself again'
  static override description = 'Takes back what was forced, and closes one that opened by itself: with nothing remembered, so that it opens again only when calls fail again. Running services see it within a second. It is written down who did it and why.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> bank --by maria --why "the bank says that it is back"',
    '<%= config.bin %> <%= command.id %> fraud --by maria --why "drill of 3 May" --db payments.db --json',
  ]

  protected readonly forced = null
  protected readonly outcome = 'is closed, and judges by itself again'
}
