/** It gives up long before the deadline. */
import { createEngine as reference } from '../../../../dist/engines/webhook/engine.js'

export const createEngine = (outside, settings) => reference(outside, { ...settings, deadlineMs: 5000 })
