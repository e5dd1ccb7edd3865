import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { invariants, mocks, scenarios, toxics } from '../../src/catalog.ts'
import { resil, root } from './cli.ts'

const scenarioFiles = Object.values(scenarios).flatMap((ofEngine) => Object.values(ofEngine))

describe('resil list', () => {
  it('names every unit of the catalog, with its summary', async () => {
    const { exit, stdout } = resil(['list'])
    expect(exit).toBe(0)
    const units = await Promise.all([...Object.values(toxics), ...scenarioFiles, ...Object.values(invariants).flatMap((ofEngine) => Object.values(ofEngine))].map((load) => load()))
    for (const { name, summary } of units) expect(stdout).toMatch(new RegExp(`^ +${name} .*${escape(summary)}$`, 'm'))
    for (const name of Object.keys(mocks)) expect(stdout).toMatch(new RegExp(`^ +${name}\\b`, 'm'))
  })

  it('one kind alone, bare names with --quiet', () => {
    expect(resil(['list', 'toxics', '--quiet']).stdout.trimEnd().split('\n')).toEqual(Object.keys(toxics))
    expect(resil(['list', 'mocks', '--quiet']).stdout.trimEnd().split('\n')).toEqual(Object.keys(mocks))
  })

  it('shows the lies that a mock can tell', async () => {
    const { lies } = await mocks.bank()
    const { stdout } = resil(['list', 'mocks'])
    for (const [lie, { summary }] of Object.entries(lies)) expect(stdout).toMatch(new RegExp(`${lie} +${escape(summary)}$`, 'm'))
  })

  it('with --json: one unit a line, the count last', async () => {
    const lines = resil(['list', '--json']).json()
    expect(lines.at(-1)).toEqual({ ok: true, count: lines.length - 1 })
    const { attributes, stream, summary } = await toxics.latency!()
    expect(lines).toContainEqual({ kind: 'toxic', name: 'latency', summary, stream, attributes })
    expect(lines.filter(({ kind }) => kind === 'mock').map(({ name }) => name)).toEqual(Object.keys(mocks))
    expect(lines.filter(({ kind }) => kind === 'scenario')).toHaveLength(scenarioFiles.length)
  })
})

it('a reader that takes its time gets all of it, though a pipe holds less', () => {
  const { stdout } = spawnSync('sh', ['-c', `"${process.execPath}" bin/run.js list --json | { sleep 1; cat; }`], { cwd: root, encoding: 'utf8', timeout: 20_000 })
  expect(stdout.length).toBeGreaterThan(65_536)
  expect(JSON.parse(stdout.trimEnd().split('\n').at(-1)!)).toMatchObject({ ok: true })
}, 30_000)

describe('resil list failures', () => {
  it('has a cell for each component and each kind of failure', () => {
    const { exit, stdout } = resil(['list', 'failures'])
    expect(exit).toBe(0)
    expect(stdout.split('\n')[0]).toMatch(/^ +crash +omission +timing +byzantine$/)
    for (const component of ['client', 'engine', 'store', 'fraud', 'bank', 'notification', 'network']) expect(stdout).toMatch(new RegExp(`^${component} `, 'm'))
  })

  it('names in each cell exactly the scenarios that claim it', async () => {
    const units = await Promise.all(scenarioFiles.map((load) => load()))
    const cells = resil(['list', 'failures', '--json']).json()
    const outcome = cells.pop()
    expect(cells).toHaveLength(36)
    for (const { component, mode, scenarios: names } of cells) {
      const claimed = units.filter(({ failures }) => failures.some((failure) => failure.component === component && failure.mode === mode))
      expect(names).toEqual(claimed.map(({ name }) => name))
    }
    expect(outcome).toEqual({ ok: true, covered: cells.filter((cell) => cell.scenarios.length > 0).length, cells: 36 })
  })
})

it('an unknown kind is refused with the one that was meant', () => {
  expect(resil(['list', 'toxcs'])).toMatchObject({ exit: 2, stderr: 'resil: toxcs is none of toxics, mocks, scenarios, invariants, failures; did you mean toxics?\n' })
})

function escape(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
