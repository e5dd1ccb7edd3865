import { Args, Flags } from '@oclif/core'
import { ROTATION_OVERLAP_MS } from '../../../engines/webhook/endpoints.ts'
import { BaseCommand } from '../../base.ts'
import type { ExitCode } from '../../failure.ts'
import { deedFlags, duration } from '../../flags.ts'
import { endpointFacts, localFlags, withWebhooks } from '../../webhook-flags.ts'

export default class WebhookEndpointRotate extends BaseCommand<typeof WebhookEndpointRotate> {
  static override summary = 'a new secret; the old ones sign beside it for a while'
  static override description = 'Each request carries a signature of every secret that is valid, so a receiver may change when it likes within the overlap. --overlap 0s revokes the old ones at once: for a secret that has leaked.'
  static override examples = ['<%= config.bin %> <%= command.id %> ep_8kq2m1x9 --by ops --why yearly', '<%= config.bin %> <%= command.id %> ep_8kq2m1x9 --overlap 0s --by ops --why "it leaked"']
  static override args = { endpoint: Args.string({ description: 'its id', required: true }) }
  static override flags = {
    ...localFlags,
    ...deedFlags,
    overlap: duration({ summary: 'how long old secrets sign as well', default: ROTATION_OVERLAP_MS, defaultHelp: async () => '1d' }),
    signature: Flags.string({ summary: 'v1 (HMAC) or v1a (ed25519)', options: ['v1', 'v1a'], default: 'v1' }),
  }

  protected async work(): Promise<ExitCode> {
    const { overlap, by, why } = this.flags
    return withWebhooks(this.flags, this.config.version, async ({ engine }): Promise<ExitCode> => {
      const { endpoint, secret } = await engine.endpoints.rotate(this.args.endpoint, { overlapMs: overlap, signature: this.flags.signature as 'v1' | 'v1a', who: by, why })
      this.reveal(`${endpoint.id} signs with a new secret${overlap === 0 ? '; the old ones are revoked' : ''}\n${secret}   (shown this once)`, { ok: true, ...endpointFacts(endpoint), secret })
      return 0
    })
  }
}
