/** What failed together is tried again together. */
import { createEngine as reference } from '../../../../dist/engines/webhook/engine.js'

export const createEngine = (outside, settings) => reference(outside, { ...settings, jitter: 0 })
