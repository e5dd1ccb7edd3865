/** Webhooks on real sockets: nodes are processes that die by SIGKILL and stand still by SIGSTOP, customers are evil in real bytes. They run from dist/. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import type { Event } from '../../../src/events.ts'
import type { Plan, Subject } from '../../../src/lab/plan.ts'
import { run } from '../../../src/lab/run.ts'

/** Each waits for leases, deadlines and retries in real time; the rest is starting processes, which on a loaded machine takes seconds each. */
const LONGEST_MS = 180_000

// Memory, where there is some: what a kill leaves behind is the same there, and an fsync would only take its time.
const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'resil-wire-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function told(scenario: string, subject: Subject = { kind: 'reference' }): Promise<{ events: Event[]; broken: unknown[]; verdict: string; unfired: string[] }> {
  const events: Event[] = []
  const plan: Plan = { scenario, mode: 'wire', seed: 7, subject, toxics: [], invariants: [], db: join(folder, `${scenario}-${subject.kind}.db`), again: `resil webhook send --scenario ${scenario} --seed 7` }
  const { verdict, findings, unfired } = await run(plan, { sinks: [(event) => events.push(event)] })
  return { events, verdict, unfired, broken: findings.filter((finding) => finding.verdict !== 'held') }
}

const HELD = { verdict: 'held', broken: [], unfired: [] }

describe.concurrent('on real sockets', () => {
  // The longest first.
  it.each(['W-KILL-2', 'W-KILL-7', 'W-TLS', 'W-KILL-6', 'W-DISKFULL', 'W-KILL-5', 'W-KILL-8', 'W-SLOWLORIS', 'W-KILL-1', 'W-KILL-3', 'W-KEEPALIVE-RACE', 'W-PARTIAL', 'W-RST-AFTER-BODY'])('%s holds', async (name) => {
    const { events: _, ...result } = await told(name)
    expect(result).toEqual(HELD)
  }, LONGEST_MS)

  it('W-KILL-4 holds: another process goes on where the first was killed with requests in flight', async () => {
    const { events, ...result } = await told('W-KILL-4')
    expect(result).toEqual(HELD)
    const started = events.filter(({ type, node }) => type === 'node.started' && node === 'n1')
    expect(started.map(({ incarnation }) => incarnation)).toEqual([1, 2, 3])
    expect(new Set(started.map(({ pid }) => pid)).size).toBe(3)
    expect(events.filter(({ type }) => type === 'node.killed').map(({ site }) => site)).toEqual(['call:customer-2:before', 'scenario'])
  }, LONGEST_MS)

  it('W-KILL-LOOP holds: the only node lives six times', async () => {
    const { events, ...result } = await told('W-KILL-LOOP')
    expect(result).toEqual(HELD)
    expect(events.filter(({ type }) => type === 'node.started').map(({ incarnation }) => incarnation)).toEqual([1, 2, 3, 4, 5, 6])
  }, LONGEST_MS)

  it('W-2-DISPATCH holds: a process that stood still is refused by the fence', async () => {
    const { events, ...result } = await told('W-2-DISPATCH')
    expect(result).toEqual(HELD)
    const order = events.filter(({ type }) => ['node.paused', 'node.resumed', 'lane.fenced'].includes(type)).map(({ type, node }) => `${node} ${type}`)
    expect(order.slice(0, 3)).toEqual(['n1 node.paused', 'n1 node.resumed', 'n1 lane.fenced'])
  }, LONGEST_MS)

  it('an engine for which a claim is a delivery is convicted: what its node had claimed when it was killed never comes', async () => {
    const { broken, verdict } = await told('W-KILL-4', { kind: 'module', file: fileURLToPath(new URL('broken/claims-for-good.mjs', import.meta.url)) })
    expect(verdict).toBe('violated')
    expect(broken).toContainEqual(expect.objectContaining({ invariant: 'w1-none-lost', verdict: 'violated' }))
    expect(broken).toContainEqual(expect.objectContaining({ invariant: 'expected: nothing is lost at customer-2', verdict: 'violated' }))
  }, LONGEST_MS)
})
