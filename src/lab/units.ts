/** Loads the units that the catalog lists, or a file of the user's, before a run begins: nothing is imported while one runs. */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import * as catalog from '../catalog.ts'
import { ResilError } from '../errors.ts'
import type { CreateEngine } from '../engines/engine.ts'
import type { PaymentAdapter } from '../engines/payment/adapter.ts'
import type { Invariant } from '../invariant.ts'
import type { Toxic } from '../proxy/toxic.ts'
import type { CronScenario, SubjectScenario } from '../engines/cron/stage.ts'
import type { Scenario } from '../scenario.ts'
import type { WebhookScenario } from '../engines/webhook/stage.ts'

export type PaymentScenario = Scenario<PaymentAdapter>
export type AnyScenario = PaymentScenario | CronScenario | SubjectScenario | WebhookScenario

let toxics: Promise<Record<string, Toxic>> | undefined

export function loadToxics(): Promise<Record<string, Toxic>> {
  toxics ??= Promise.all(Object.values(catalog.toxics).map((load) => load())).then((units) => Object.fromEntries(units.map((toxic) => [toxic.name, toxic])))
  return toxics
}

/** All scenarios, in the catalog's order. */
export async function loadScenarios(): Promise<AnyScenario[]> {
  return Promise.all(Object.values(catalog.scenarios).flatMap((ofEngine) => Object.values(ofEngine).map((load) => load() as Promise<AnyScenario>)))
}

/** By name (or acceptance id, in any case), or a file that exports `scenario`; of one engine when it is given. Throws UNKNOWN_SCENARIO with near matches. */
export async function loadScenario<Engine extends AnyScenario['engine'] = AnyScenario['engine']>(name: string, engine?: Engine): Promise<AnyScenario & { engine: Engine }> {
  type Wanted = AnyScenario & { engine: Engine }
  const fits = (scenario: AnyScenario): scenario is Wanted => engine === undefined || scenario.engine === engine
  const all = (await loadScenarios()).filter(fits)
  const hint = `there are ${all.map((scenario) => scenario.name).join(', ')}`
  if (isFile(name)) {
    const { scenario } = await loadModule<{ scenario: AnyScenario }>(name, 'scenario')
    if (fits(scenario)) return scenario
    throw new ResilError('UNKNOWN_SCENARIO', `${name} is a scenario of the engine ${scenario.engine}, not of ${engine}`, hint)
  }
  const found = all.find((scenario) => scenario.name.toLowerCase() === name.toLowerCase())
  if (found) return found
  throw new ResilError('UNKNOWN_SCENARIO', `there is no scenario "${name}"`, hint)
}

export async function loadInvariants(engine: AnyScenario['engine'], names: readonly string[]): Promise<Invariant[]> {
  const ours = catalog.invariants[engine]
  return Promise.all(
    names.map(async (name) => {
      if (isFile(name)) return (await loadModule<{ invariant: Invariant }>(name, 'invariant')).invariant
      const load = ours[name]
      if (!load) throw new ResilError('UNKNOWN_INVARIANT', `there is no invariant "${name}"`, `there are ${Object.keys(ours).join(', ')}`)
      return load()
    }),
  )
}

let cronInvariants: Promise<Invariant[]> | undefined

/** All of the scheduler's. */
export function loadCronInvariants(): Promise<Invariant[]> {
  cronInvariants ??= loadInvariants('cron', Object.keys(catalog.invariants.cron))
  return cronInvariants
}

/** The reference engine, or the one that a file exports as `createEngine`. */
export async function loadEngine(file: string | undefined): Promise<CreateEngine> {
  if (file !== undefined) return (await loadModule<{ createEngine: CreateEngine }>(file, 'createEngine')).createEngine
  return (await import('../engines/payment/engine.ts')).createEngine
}

function isFile(name: string): boolean {
  return /[/\\]|\.[cm]?[jt]s$/.test(name)
}

/** What a module of the user's exports. Throws CANNOT_LOAD. */
export async function loadModule<T extends object>(file: string, wanted: string): Promise<T> {
  let unit: object
  try {
    unit = (await import(pathToFileURL(resolve(file)).href)) as object
  } catch (error) {
    throw new ResilError('CANNOT_LOAD', `${file} does not load: ${error instanceof Error ? error.message : String(error)}`, `it must be a JavaScript module that exports \`${wanted}\``, { cause: error })
  }
  if (!(wanted in unit)) throw new ResilError('CANNOT_LOAD', `${file} does not export \`${wanted}\``, 'see docs/architecture.md for what each kind of module exports')
  return unit as T
}
