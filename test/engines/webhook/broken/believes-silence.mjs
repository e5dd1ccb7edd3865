/** No answer is taken for a good one. */
import { createEngine as reference } from '../../../../dist/engines/webhook/engine.js'

export const createEngine = ({ network, ...outside }, settings) =>
  reference(
    {
      ...outside,
      network: {
        async call(origin, request, options) {
          const outcome = await network.call(origin, request, options)
          return outcome.kind === 'unknown' ? { kind: 'ok', value: { status: 200, headers: {}, body: '' } } : outcome
        },
      },
    },
    settings,
  )
