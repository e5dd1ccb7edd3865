import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import type { Event } from '../../src/events.ts'
import { run } from '../../src/lab/run.ts'
import { loadScenarios } from '../../src/lab/units.ts'

const ENVELOPE = new Set(['run', 'seq', 't', 'at', 'src', 'node', 'type'])

/** Says the same as others, a hundred thousand times. */
const LONG = new Set(['C-38', 'T7', 'R2', 'B15', 'W-DOWN-2H', 'W-DOWN-2H-ALL', 'W-FLAP', 'W-SLOW-10', 'W-SLOW-ALL', 'W-POISON-EP', 'W-FANOUT', 'W-TPUT', 'W-DLQ-LOAD', 'W-DLQ-KILL', 'W-RECONCILE', 'W-KILL-LOOP'])

/** The action of a toxic brings numbers of its own. */
const OPEN = new Set(['toxic.hit'])

interface Documented {
  sources: string[]
  fields: Set<string>
}

/** The table of docs/events.md: type, who says it, and every word in code marks that its row names. */
function documented(): Map<string, Documented> {
  const text = readFileSync(fileURLToPath(new URL('../../docs/events.md', import.meta.url)), 'utf8')
  const rows = new Map<string, Documented>()
  let before = new Set<string>()
  for (const line of text.split('\n')) {
    const [, sources, types, fields] = /^\| ([a-z, ]+) \| (`[^|]+) \|([^|]*)\|/.exec(line) ?? []
    if (!sources || !types) continue
    const words = new Set([...fields!.matchAll(/`([^`]+)`/g)].map((match) => match[1]!))
    if (fields!.includes('the same, and')) for (const word of before) words.add(word)
    before = words
    for (const [, type] of types.matchAll(/`([^`]+)`/g)) rows.set(type!, { sources: sources.split(', '), fields: words })
  }
  return rows
}

test('every event that any scenario emits is documented, with its source and every field', { timeout: 400_000 }, async () => {
  const rows = documented()
  const seen = new Map<string, { sources: Set<string>; fields: Set<string> }>()
  const look = (event: Event) => {
    const facts = seen.get(event.type) ?? { sources: new Set(), fields: new Set() }
    seen.set(event.type, facts)
    facts.sources.add(event.src)
    for (const field of Object.keys(event)) if (!ENVELOPE.has(field)) facts.fields.add(field)
  }
  for (const { name, ...scenario } of await loadScenarios()) {
    if (LONG.has(name) || ('needsSubject' in scenario && scenario.needsSubject)) continue
    await run({ scenario: name, mode: 'sim', seed: 1, subject: { kind: 'reference' }, toxics: [], invariants: [], options: { clicks: 2, amountMinor: 9900, currency: 'USD' }, again: '' }, { sinks: [look] })
  }
  expect(seen.size).toBeGreaterThan(30)
  const undocumented = [...seen].flatMap(([type, { sources, fields }]) => {
    const row = rows.get(type)
    if (!row) return [`${type} is not in docs/events.md`]
    return [
      ...[...sources].filter((source) => !row.sources.includes(source)).map((source) => `${type} is said by ${source}`),
      ...(OPEN.has(type) ? [] : [...fields].filter((field) => !row.fields.has(field)).map((field) => `${type} has a field ${field}`)),
    ]
  })
  expect(undocumented).toEqual([])
})
