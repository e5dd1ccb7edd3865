import { BreakerCommand } from '../../breaker-command.ts'

export default class PayBreakerDisable extends BreakerCommand {
  static override summary = 'let every call through to a service, and count nothing'
  static override description = 'For a breaker that is wrong about a service: nothing protects clients from waiting for it any more, but the bulkhead. Running services see it within a second; resil pay breaker close takes it back. It is written down who did it and why.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> bank --by maria --why "it opens at night without a reason"',
    '<%= config.bin %> <%= command.id %> fraud --by maria --why "drill of 3 May" --db payments.db --json',
  ]

  protected readonly forced = 'disabled'
  protected readonly outcome = 'is disabled: every call goes through until resil pay breaker close'
}
