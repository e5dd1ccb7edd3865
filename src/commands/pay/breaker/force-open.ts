import { BreakerCommand } from '../../breaker-command.ts'

export default class PayBreakerForceOpen extends BreakerCommand {
  static override summary = 'let no call through to a service, until it is closed by hand'
  static override description = 'For a service that does harm, or a drill. Without the bank, clients are told "not charged, try again", and who agreed to it is charged later; look-ups and voids still go through. Running services see it within a second. It is written down who did it and why.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> bank --by maria --why "the bank books twice"',
    '<%= config.bin %> <%= command.id %> fraud --by maria --why "drill of 3 May" --db payments.db --json',
  ]

  protected readonly forced = 'open'
  protected readonly outcome = 'is forced open: no call goes through until resil pay breaker close'
}
