import { BreakerCommand } from '../../breaker-command.ts'

export default class PayBreakerMetricsOnly extends BreakerCommand {
  static override summary = 'let every call through, and only say when it would have opened'
  static override description = 'How settings are tried on real traffic: calls are counted, and breaker.trip_observed is said where it would have opened. Running services see it within a second; resil pay breaker close takes it back. It is written down who did it and why.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> bank --by maria --why "new settings, tried for a week"',
    '<%= config.bin %> <%= command.id %> fraud --by maria --why "drill of 3 May" --db payments.db --json',
  ]

  protected readonly forced = 'metrics_only'
  protected readonly outcome = 'only counts: every call goes through until resil pay breaker close'
}
