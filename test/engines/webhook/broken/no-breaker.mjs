/** An outage is taken for many messages' own faults. */
import { createEngine as reference } from '../../../../dist/engines/webhook/engine.js'

export const createEngine = (outside, settings) => reference(outside, { ...settings, breakerFailures: 512 })
