/** Engines broken on purpose. An invariant that convicts none of them is not yet an invariant; a test bench that convicts the reference is none at all. */
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { Event } from '../src/events.ts'
import { explore } from '../src/lab/explore.ts'
import type { Plan, Subject } from '../src/lab/plan.ts'
import { run } from '../src/lab/run.ts'
import type { ToxicSpec } from '../src/scenario.ts'
import { resil } from './commands/cli.ts'

const file = (mutant: string) => fileURLToPath(new URL(`mutants/${mutant}.mjs`, import.meta.url))

interface Trial {
  mutant: string
  scenario: string
  invariant: string
  toxics?: ToxicSpec[]
  /** The same on the command line. */
  flags?: string[]
}

/** Both clicks arrive at the same time. */
const together: ToxicSpec = { link: 'payments', type: 'latency', stream: 'upstream', attributes: { latency: 40, exchange: 1 } }
/** The first charge request is still on its way when it has been given up, and the settle time is over. */
const original: ToxicSpec = { link: 'bank', type: 'latency', stream: 'upstream', attributes: { latency: 40_000, exchange: 1 } }
const bankNeverAsked: ToxicSpec = { link: 'bank', type: 'lost_request', attributes: { then: 'hang', method: 'POST', first: 1 } }

const trials: Trial[] = [
  { mutant: 'new-bank-key-per-attempt', scenario: file('scenarios/patient'), invariant: 'at-most-one-charge', toxics: [original], flags: ['--toxic', 'bank:latency=40s,exchange=1@upstream'] },
  { mutant: 'check-then-set-key', scenario: 'double-click', invariant: 'at-most-one-charge', toxics: [together], flags: ['--toxic', 'payments:latency=40ms,exchange=1@upstream'] },
  { mutant: 'unknown-as-failed', scenario: 'double-click', invariant: 'answer-matches-ledger', flags: [] },
  { mutant: 'time-decides', scenario: 'double-click', invariant: 'answer-matches-ledger', flags: [] },
  { mutant: 'no-intent', scenario: 'single', invariant: 'intent-before-effect', flags: [] },
  { mutant: 'notify-before-commit', scenario: 'single', invariant: 'every-success-notified', flags: [] },
  { mutant: 'pending-as-charged', scenario: 'single', invariant: 'answer-matches-ledger', toxics: [bankNeverAsked], flags: ['--toxic', 'bank:lost_request=hang,method=POST,first=1'] },
  { mutant: 'no-fingerprint', scenario: file('scenarios/changed-body'), invariant: 'key-misuse' },
  { mutant: 'key-outlived', scenario: file('scenarios/dark-day'), invariant: 'at-most-one-charge' },
  { mutant: 'acknowledge-before-commit', scenario: file('scenarios/told-then-killed'), invariant: 'acknowledged-is-durable' },
  { mutant: 'unfenced', scenario: file('scenarios/zombie'), invariant: 'every-success-notified' },
  { mutant: 'new-refund-key', scenario: file('scenarios/refund-in-doubt'), invariant: 'refund-as-asked' },
  { mutant: 'unbooked-refunds', scenario: file('scenarios/refund-in-doubt'), invariant: 'books-match-bank' },
  { mutant: 'loose-ledger', scenario: 'single', invariant: 'books-match-bank' },
  { mutant: 'capture-imagined', scenario: file('scenarios/two-step'), invariant: 'no-hold-left' },
]

function planFor({ scenario, invariant, toxics = [] }: Trial, subject: Subject): Plan {
  return { scenario, mode: 'sim', seed: 7, subject, toxics, invariants: [invariant], options: { clicks: 2, amountMinor: 9900, currency: 'USD' }, again: '' }
}

describe.each(trials)('$mutant', (trial) => {
  it(`is convicted of ${trial.invariant}, with witnesses from the run`, async () => {
    const events: Event[] = []
    const result = await run(planFor(trial, { kind: 'module', file: file(trial.mutant) }), { sinks: [(event) => void events.push(event)] })
    expect(result.verdict).toBe('violated')
    expect(result.unfired).toEqual([])
    const finding = result.findings.find(({ invariant }) => invariant === trial.invariant)!
    expect(finding.verdict).toBe('violated')
    for (const { why, witness } of finding.violations) {
      expect(why).toMatch(/./)
      expect(witness.length).toBeGreaterThan(0)
      for (const seq of witness) expect(events.find((event) => event.seq === seq)).toMatchObject({ src: expect.stringMatching(/^(client|mock|audit|lab)$/) })
    }
  })

  it('the reference engine is cleared of it by the same plan', async () => {
    const result = await run(planFor(trial, { kind: 'reference' }))
    expect(result.findings.filter(({ verdict }) => verdict === 'violated')).toEqual([])
    expect(result.unfired).toEqual([])
    expect(result.findings.find(({ invariant }) => invariant === trial.invariant)!.verdict).toBe('held')
  })
})

describe('on the command line', () => {
  it.each(trials.filter(({ flags }) => flags))('resil pay convicts $mutant: exit code 1', (trial) => {
    const { exit, json } = resil(['pay', '--scenario', trial.scenario, '--invariant', trial.invariant, ...trial.flags!, '--seed', '7', '--sim', '--json', '--subject', file(trial.mutant)])
    const end = json().at(-1)
    expect(end).toMatchObject({ type: 'run.ended', verdict: 'violated', exit: 1 })
    expect(end.findings).toContainEqual(expect.objectContaining({ invariant: trial.invariant, verdict: 'violated' }))
    expect(exit).toBe(1)
  })
})

describe('what no story shows, the enumeration finds with one fault', () => {
  it.each([
    { mutant: 'no-recovery', workload: 'single', invariant: 'no-lost-payment' },
    { mutant: 'no-outbox', workload: 'single', invariant: 'every-success-notified' },
    { mutant: 'acknowledge-before-commit', workload: 'single', invariant: 'acknowledged-is-durable' },
    { mutant: 'not-found-as-failed', workload: 'abandon', invariant: 'at-most-one-charge' },
  ])('$mutant', async ({ mutant, workload, invariant }) => {
    const subject: Subject = { kind: 'module', file: file(mutant) }
    for (const scenario of ['single', 'double-click']) {
      const plain = await run(planFor({ mutant, scenario, invariant }, subject))
      expect(plain.findings.filter(({ verdict }) => verdict === 'violated'), scenario).toEqual([])
    }
    const found = await explore({ depth: 1, workloads: [workload], seed: 1, subject, limit: 1000 })
    expect(found.voids).toEqual([])
    const convicted = found.convictions.filter(({ findings }) => findings.some((finding) => finding.invariant === invariant))
    expect(convicted.length).toBeGreaterThan(0)
    expect(convicted.map(({ token }) => token)).not.toContain(`${workload}:1:none`)
  })
})
