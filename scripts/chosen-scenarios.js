// Which scenarios a sweep plays.
import { loadScenarios } from '../dist/lab/units.js'

/**
 * Names of the scenarios of an engine (of all when absent) that need no subject of the user's, of `only` (names with commas between them) when given. Ends the process with
 * exit code 2 when one of these does not exist: a sweep of nothing would hold.
 * @param {{ engine?: string, only?: string }} choice @returns {Promise<string[]>}
 */
export async function chosenScenarios({ engine, only }) {
  const wanted = only === undefined ? undefined : new Set(only.split(','))
  const names = (await loadScenarios()).filter((each) => !each.needsSubject && (engine === undefined || each.engine === engine) && (wanted === undefined || wanted.has(each.name))).map(({ name }) => name)
  if (names.length > 0 && names.length >= (wanted?.size ?? 0)) return names
  console.error('sweep: there is no such scenario or engine; resil list scenarios tells which there are')
  return process.exit(2)
}
