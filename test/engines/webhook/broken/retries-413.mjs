/** What is too large is sent again and again. */
import { createEngine as reference } from '../../../../dist/engines/webhook/engine.js'

export const createEngine = ({ network, ...outside }, settings) =>
  reference(
    {
      ...outside,
      network: {
        async call(origin, request, options) {
          const outcome = await network.call(origin, request, options)
          return outcome.kind === 'ok' && outcome.value.status === 413 ? { kind: 'ok', value: { ...outcome.value, status: 500 } } : outcome
        },
      },
    },
    settings,
  )
