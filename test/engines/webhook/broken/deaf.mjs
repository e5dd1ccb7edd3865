/** Retry-After is read, and not heeded. */
import { createEngine as reference } from '../../../../dist/engines/webhook/engine.js'

export const createEngine = (outside, settings) => reference(outside, { ...settings, retryAfterMaxMs: 0 })
