/** Builds an engine broken on purpose: the reference engine's store, and a class that overrides one belief of it. */
import { createEngine as reference } from '../../dist/engines/payment/engine.js'

/** `alter` is SQL for the migrated store. */
export const plant = (Mutant, alter = '') => async (outside, settings) => {
  await reference(outside, settings)
  if (alter) await outside.store.transaction('alter', (tx) => Promise.all(alter.split(';').map((statement) => tx.query(statement))))
  return new Mutant(outside, settings)
}
