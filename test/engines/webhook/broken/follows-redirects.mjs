/** It goes where an answer points to, as HTTP clients do when nobody forbids it. */
import { createEngine as reference } from '../../../../dist/engines/webhook/engine.js'

export const createEngine = ({ network, ...outside }, settings) =>
  reference(
    {
      ...outside,
      network: {
        async call(origin, request, options) {
          const outcome = await network.call(origin, request, options)
          const to = outcome.kind === 'ok' && outcome.value.status >= 300 && outcome.value.status < 400 ? outcome.value.headers.location : undefined
          return to === undefined ? outcome : network.call(new URL(to).origin, { ...request, method: 'GET', body: '' }, options)
        },
      },
    },
    settings,
  )
