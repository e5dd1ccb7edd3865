import { Args } from '@oclif/core'
import { invariants, mocks, scenarios, toxics } from '../catalog.ts'
import type { Component, FailureMode, ScenarioFacts } from '../scenario.ts'
import { BaseCommand } from './base.ts'
import type { ExitCode } from './failure.ts'
import { table } from './text.ts'

const KINDS = ['toxics', 'mocks', 'scenarios', 'invariants', 'failures'] as const
type Kind = (typeof KINDS)[number]

const COMPONENTS: readonly Component[] = ['client', 'engine', 'store', 'fraud', 'bank', 'notification', 'network', 'clock', 'job']
const MODES: readonly FailureMode[] = ['crash', 'omission', 'timing', 'byzantine']

/** One thing that resil knows by name; `columns` are shown between its name and its summary. */
interface Item {
  kind: Kind
  name: string
  /** Several lines where its columns have several. */
  summary: string | string[]
  columns: (string | string[])[]
  /** What --json says beside the name and the summary. */
  facts: object
}

export default class List extends BaseCommand<typeof List> {
  static override summary = 'what there is: toxics, mocks, scenarios, invariants, and which failures are covered'
  static override description = 'Without a kind: all but the failures. `resil list failures` shows the matrix of components and kinds of failure, each cell with the scenarios that prove it. --quiet gives bare names.'
  static override examples = ['<%= config.bin %> <%= command.id %> toxics', '<%= config.bin %> <%= command.id %> failures --json']
  static override args = {
    kind: Args.string({ description: 'one kind only', options: [...KINDS], ignoreStdin: true }),
  }

  protected async work(): Promise<ExitCode> {
    const kind = this.args.kind as Kind | undefined
    return kind === 'failures' ? this.#failures() : this.#items(kind)
  }

  async #items(kind: Kind | undefined): Promise<ExitCode> {
    const all = [...(await toxicItems()), ...(await mockItems()), ...(await scenarioItems()), ...(await invariantItems())]
    const kinds = kind ? [kind] : KINDS.filter((each) => each !== 'failures')
    let count = 0
    for (const each of kinds) {
      const items = all.filter((item) => item.kind === each)
      count += items.length
      for (const { name, summary, facts } of items) this.emit({ kind: each.slice(0, -1), name, ...(typeof summary === 'string' && { summary }), ...facts })
      if (this.flags.quiet) for (const { name } of items) this.answer(name)
      if (!kind) this.say(each)
      for (const line of table(items.map((item) => [item.name, ...item.columns, item.summary]))) this.say(kind ? line : `  ${line}`)
      if (items.length === 0) this.say(kind ? 'none' : '  none')
      if (!kind && each !== kinds.at(-1)) this.say()
    }
    this.emit({ ok: true, count })
    return 0
  }

  /** The matrix of components and ways to fail; a cell names the scenarios that prove it. */
  async #failures(): Promise<ExitCode> {
    const proofs = await failureProofs()
    const cell = (component: Component, mode: FailureMode) => proofs.get(`${component} ${mode}`) ?? []
    let covered = 0
    for (const component of COMPONENTS) {
      for (const mode of MODES) {
        covered += cell(component, mode).length > 0 ? 1 : 0
        this.emit({ kind: 'failure', component, mode, scenarios: cell(component, mode) })
        if (this.flags.quiet && cell(component, mode).length > 0) this.answer(`${component} ${mode}`)
      }
    }
    const rows = COMPONENTS.map((component) => [component, ...MODES.map((mode) => (cell(component, mode).length > 0 ? cell(component, mode) : ['-']))])
    for (const line of table([['', ...MODES], ...rows])) this.say(line)
    this.say()
    this.say(`${covered} of ${COMPONENTS.length * MODES.length} cells are proven by a scenario`)
    this.emit({ ok: true, covered, cells: COMPONENTS.length * MODES.length })
    return 0
  }
}

async function toxicItems(): Promise<Item[]> {
  const units = await Promise.all(Object.values(toxics).map((load) => load()))
  return units.map(({ name, summary, stream, attributes }) => ({
    kind: 'toxics',
    name,
    summary,
    columns: [stream, Object.keys(attributes).join(' ')],
    facts: { stream, attributes },
  }))
}

/** A mock says what it is by its name; what is worth knowing are the lies that it can tell. */
async function mockItems(): Promise<Item[]> {
  return Promise.all(
    Object.entries(mocks).map(async ([name, load]): Promise<Item> => {
      const { lies, typicalLatency } = await load()
      const summaries = Object.entries(lies).map(([lie, { summary }]) => ({ lie, summary }))
      return { kind: 'mocks', name, summary: summaries.map(({ summary }) => summary), columns: [summaries.map(({ lie }) => lie)], facts: { typicalLatency, lies } }
    }),
  )
}

async function scenarioItems(): Promise<Item[]> {
  return (await allScenarios()).map(({ unit, file }) => ({
    kind: 'scenarios',
    name: unit.name,
    summary: unit.summary,
    columns: [unit.engine],
    facts: { engine: unit.engine, file, invariants: unit.invariants, failures: unit.failures },
  }))
}

async function invariantItems(): Promise<Item[]> {
  const perEngine = Object.entries(invariants).map(async ([engine, loaders]) => {
    const units = await Promise.all(Object.values(loaders).map((load) => load()))
    return units.map(({ name, summary }): Item => ({ kind: 'invariants', name, summary, columns: [engine], facts: { engine } }))
  })
  return (await Promise.all(perEngine)).flat()
}

async function allScenarios(): Promise<{ file: string; unit: ScenarioFacts }[]> {
  const loaders = Object.values(scenarios).flatMap((ofEngine) => Object.entries(ofEngine))
  return Promise.all(loaders.map(async ([file, load]) => ({ file, unit: await load() })))
}

/** Scenario names by cell (`bank timing`). */
async function failureProofs(): Promise<Map<string, string[]>> {
  const proofs = new Map<string, string[]>()
  for (const { unit } of await allScenarios()) {
    for (const { component, mode } of unit.failures) {
      const cell = `${component} ${mode}`
      proofs.set(cell, [...(proofs.get(cell) ?? []), unit.name])
    }
  }
  return proofs
}
