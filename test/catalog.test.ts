import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { catalogText } from '../scripts/catalog.js'
import { invariants, mocks, scenarios, toxics } from '../src/catalog.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

it('src/catalog.ts is what the folders say; npm run build writes it anew', () => {
  expect(readFileSync(join(root, 'src/catalog.ts'), 'utf8')).toBe(catalogText(root))
})

describe('every unit loads', () => {
  it('toxics carry the name they are keyed by', async () => {
    for (const [name, load] of Object.entries(toxics)) expect(await load()).toMatchObject({ name, summary: expect.stringMatching(/./), attributes: {} })
  })

  it('mocks bring their lies', async () => {
    for (const load of Object.values(mocks)) expect(await load()).toMatchObject({ lies: {}, typicalLatency: { p50: expect.any(Number) } })
  })

  it('scenarios belong to the engine whose folder they stand in, names are unique there, and each names invariants of that engine', async () => {
    for (const [engine, loaders] of Object.entries(scenarios)) {
      const units = await Promise.all(Object.values(loaders).map((load) => load()))
      expect(new Set(units.map(({ name }) => name)).size).toBe(units.length)
      const judges = await Promise.all(Object.values(invariants[engine as keyof typeof invariants]).map((load) => load()))
      for (const unit of units) {
        expect(unit).toMatchObject({ engine, summary: expect.stringMatching(/./) })
        expect(judges.map(({ name }) => name), unit.name).toEqual(expect.arrayContaining([...unit.invariants]))
      }
    }
  })

  it('invariants carry the name of their file', async () => {
    for (const loaders of Object.values(invariants)) {
      for (const [name, load] of Object.entries(loaders)) expect((await load()).name).toBe(name)
    }
  })
})

describe('the generator', () => {
  let checkout: string
  beforeEach(() => {
    checkout = mkdtempSync(join(tmpdir(), 'resil-test-'))
  })
  afterEach(() => rmSync(checkout, { recursive: true, force: true }))

  function add(path: string, text: string) {
    const file = join(checkout, 'src', path)
    mkdirSync(join(file, '..'), { recursive: true })
    writeFileSync(file, text)
  }

  it('a new file in the right folder is a new unit', () => {
    add('proxy/toxics/slow-close.ts', 'export const toxic = {}')
    add('proxy/mocks/credit-bureau.ts', 'export function creditBureau() {}')
    add('engines/cron/scenarios/d1-two-leaders.ts', 'export const scenario = {}')
    add('engines/cron/invariants/one-run-per-slot.ts', 'export const invariant = {}')
    add('lab/reporters/junit.ts', 'export const reporter = {}')
    add('lab/reporters/screens/screen.tsx', 'export const screen = {}')
    const text = catalogText(checkout)
    expect(text).toContain("  slow_close: () => import('./proxy/toxics/slow-close.ts').then((unit) => unit.toxic),\n")
    expect(text).toContain("  'credit-bureau': () => import('./proxy/mocks/credit-bureau.ts'),\n")
    expect(text).toContain("  cron: {\n    'd1-two-leaders': () => import('./engines/cron/scenarios/d1-two-leaders.ts').then((unit) => unit.scenario),\n  },\n")
    expect(text).toContain("    'one-run-per-slot': () => import('./engines/cron/invariants/one-run-per-slot.ts').then((unit) => unit.invariant),\n")
    expect(text).toContain("  junit: () => import('./lab/reporters/junit.ts').then((unit) => unit.reporter),\n")
    expect(text).not.toContain('screen')
  })

  it('a file that exports no unit is refused by name', () => {
    add('proxy/toxics/latency.ts', 'export const latency = {}')
    expect(() => catalogText(checkout)).toThrow('src/proxy/toxics/latency.ts must export `toxic`')
  })

  it('without any folder there is nothing, and that is no error', () => {
    cpSync(join(root, 'package.json'), join(checkout, 'package.json'))
    expect(catalogText(checkout)).toContain('export const toxics: Loaders<Toxic> = {}\n')
  })
})
