/** Receivers of all kinds, in virtual time: what must come of each, and that each can fail. */
import { describe, expect, it } from 'vitest'
import type { Plan } from '../../../src/lab/plan.ts'
import { run } from '../../../src/lab/run.ts'

const NAMES = [
  'W-DOWN-2H-ALL', 'W-DOWN-5D', 'W-FLAP', 'W-SLOW-10', 'W-SLOW-ALL', 'W-TIMEOUT', 'W-500', 'W-502-504', 'W-4XX', 'W-408-425', 'W-410', 'W-413', 'W-429-RA', 'W-RA-EVIL', 'W-REDIR', 'W-304',
  'W-300-NOLOC', 'W-RST-AFTER-BODY', 'W-RATE', 'W-POISON-EP', 'W-POISON-MSG', 'W-FANOUT', 'W-IDEMP', 'W-BIG-BODY', 'W-NONUTF8', 'W-HDR', 'W-SSRF', 'W-ORDER', 'W-GAP', 'W-DUP', 'W-TPUT',
  'W-TLS', 'W-DNS', 'W-1XX-FLOOD', 'W-PARTIAL', 'W-KEEPALIVE-RACE', 'W-BIG-RESP', 'W-GZIP-BOMB', 'W-BIG-HEADERS', 'W-SLOWLORIS', 'W-ANSI',
]

const planOf = (scenario: string, subject: Plan['subject'] = { kind: 'reference' }): Plan => ({ scenario, mode: 'sim', seed: 1, subject, toxics: [], invariants: [], again: '' })

async function judged(plan: Plan) {
  const { verdict, findings, unfired } = await run(plan, { untold: true })
  return { verdict, unfired, wrong: findings.filter((finding) => finding.verdict !== 'held').map(({ invariant, looked, violations }) => ({ invariant, looked, why: violations[0]?.why })) }
}

it.each(NAMES)('%s holds', async (name) => {
  expect(await judged(planOf(name))).toEqual({ verdict: 'held', unfired: [], wrong: [] })
}, 600_000)

describe('an engine that is broken on purpose is convicted', () => {
  const broken = (name: string): Plan['subject'] => ({ kind: 'module', file: new URL(`broken/${name}.mjs`, import.meta.url).pathname })

  it.each([
    ['no-jitter', 'W-500', 'expected: the whole of that is used'],
    ['no-breaker', 'W-502-504', 'expected: ten minutes of it park the lane and cost no message anything'],
    ['follows-redirects', 'W-REDIR', 'expected: what it points to is never spoken to'],
    ['impatient', 'W-TIMEOUT', 'expected: each attempt ends at its deadline'],
    ['deaf', 'W-429-RA', 'expected: asked in seconds: the lane is silent for so long'],
    ['retries-413', 'W-413', 'expected: it is dead after one attempt, and says why'],
    ['believes-silence', 'W-BIG-HEADERS', 'expected: it is a failure, and says which'],
  ])('%s: %s', async (name, scenario, invariant) => {
    const { verdict, wrong } = await judged(planOf(scenario, broken(name)))
    expect(verdict).not.toBe('held')
    expect(wrong.map((finding) => finding.invariant)).toContain(invariant)
  }, 600_000)
})
