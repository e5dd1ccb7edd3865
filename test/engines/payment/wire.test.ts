/** A sample of the payment scenarios on real sockets, with real processes that die by SIGKILL. They run from dist/. */
import { describe, expect, it } from 'vitest'
import type { Event } from '../../../src/events.ts'
import type { Plan } from '../../../src/lab/plan.ts'
import { run } from '../../../src/lab/run.ts'

/** Each waits for the engine's own times (settle, lease, back-off) in real time; the rest is starting processes. */
const LONGEST_MS = 60_000

async function told(scenario: string): Promise<{ events: Event[]; broken: unknown[]; verdict: string; unfired: string[] }> {
  const events: Event[] = []
  const plan: Plan = { scenario, mode: 'wire', seed: 7, subject: { kind: 'reference' }, toxics: [], invariants: [], options: { clicks: 2, amountMinor: 9900, currency: 'USD' }, again: `resil pay --scenario ${scenario} --seed 7` }
  const { verdict, findings, unfired } = await run(plan, { sinks: [(event) => events.push(event)] })
  return { events, verdict, unfired, broken: findings.filter((finding) => finding.verdict !== 'held') }
}

describe.concurrent('on real sockets', () => {
  it.each(['double-click', 'bank-maybe', 'notify-down', 'C4', 'C11', 'D9', 'U18', 'E5', 'T3', 'R1', 'B12', 'K3', 'L4', 'O3'])('%s holds', async (name) => {
    expect(await told(name)).toMatchObject({ verdict: 'held', broken: [], unfired: [] })
  }, LONGEST_MS)

  it('kill-after-answer holds: the customer has the answer and the process is dead', async () => {
    const { events, ...result } = await told('kill-after-answer')
    expect(result).toEqual({ verdict: 'held', broken: [], unfired: [] })
    const at = (type: string) => events.findIndex((event) => event.type === type)
    expect(events[at('client.told')]).toMatchObject({ told: 'charged' })
    expect(at('node.killed')).toBeGreaterThan(at('client.told'))
  }, LONGEST_MS)

  it('C3 holds: two lives, and every charge request was durable before it was sent', async () => {
    const { events, ...result } = await told('C3')
    expect(result).toEqual({ verdict: 'held', broken: [], unfired: [] })
    expect(events.filter(({ type }) => type === 'node.started').map(({ incarnation }) => incarnation)).toEqual([1, 2])
    expect(events.filter(({ type }) => type === 'intent.observed').map(({ present }) => present)).toEqual([true])
  }, LONGEST_MS)
})
