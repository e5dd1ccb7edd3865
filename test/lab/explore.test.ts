import { describe, expect, it } from 'vitest'
import { VirtualClock } from '../../src/clock.ts'
import type { Event } from '../../src/events.ts'
import { Life } from '../../src/lab/crash.ts'
import { explore, readToken, replaySchedule, writeToken } from '../../src/lab/explore.ts'
import type { ExploreOptions } from '../../src/lab/explore.ts'
import { json } from '../../src/network.ts'
import { workloads } from '../../src/engines/payment/workloads.ts'
import { resil } from '../commands/cli.ts'

const reference = { kind: 'reference' } as const
const all = Object.keys(workloads)

const enumerate = (options: Partial<ExploreOptions>) => explore({ depth: 1, workloads: all, seed: 1, subject: reference, limit: 1_000_000, ...options })

describe('the enumeration', () => {
  it('of every single fault in every workload finds nothing wrong, and every fault strikes', async () => {
    const found = await enumerate({})
    expect(found.convictions).toEqual([])
    expect(found).toMatchObject({ violations: 0, voids: [], left: 0 })
    expect(found.byFaults[0]).toBe(all.length)
    expect(found.byFaults[1]).toBeGreaterThan(400)
    expect(found.traces).toBeGreaterThan(all.length)
    expect(found.traces).toBeLessThanOrEqual(found.schedules)
  }, 60_000)

  it('counts the same schedules and the same traces the second time', async () => {
    expect(await enumerate({ workloads: ['single'] })).toEqual(await enumerate({ workloads: ['single'] }))
  })

  it('of pairs kills every life at every crossing and spoils every link; none comes twice, and both faults strike', async () => {
    const seen: string[] = []
    const found = await enumerate({ workloads: ['single'], depth: 2, limit: 400, onSchedule: (token) => void seen.push(token) })
    expect(found.voids).toEqual([])
    expect(found.byFaults[2]).toBeGreaterThan(300)
    expect(found.left).toBeGreaterThan(1000)
    const asSets = seen.map((token) => readToken(token).faults.map((fault) => JSON.stringify(fault)).sort().join())
    expect(new Set(asSets).size).toBe(asSets.length)

    const places = new Set(seen.flatMap((token) => readToken(token).faults.map((fault) => (fault.kind === 'kill' ? `${fault.life} ${fault.point.site} ${fault.point.when}` : fault.kind === 'lie' ? `lie ${fault.how}` : fault.link))))
    for (const site of ['tx:sweep', 'tx:claim', 'tx:intent', 'tx:outcome', 'tx:notified', 'call:fraud', 'call:bank', 'call:notification', 'answer']) {
      for (const when of ['before', 'after']) expect(places).toContain(`1 ${site} ${when}`)
    }
    for (const place of ['2 tx:claim before', '2 call:bank after', 'fraud', 'bank', 'notification', 'payments', 'lie charge_then_500', 'lie delayed_apply']) expect(places).toContain(place)
  })

  it('says how many it left when the limit ends it', async () => {
    const whole = await enumerate({ workloads: ['single'] })
    const cut = await enumerate({ workloads: ['single'], limit: 10 })
    expect(cut.schedules).toBe(10)
    expect(cut.schedules + cut.left).toBe(whole.schedules)
  })

  it('refuses a workload that it does not know', async () => {
    await expect(enumerate({ workloads: ['tripple'] })).rejects.toMatchObject({ code: 'UNKNOWN_WORKLOAD' })
  })
})

describe('a schedule', () => {
  it('is one word, and is read as it was written', () => {
    const token = 'double-click:1:kill/2/tx:intent/1/after+bank/2/lost+lie/1/delayed_apply'
    const { workload, seed, faults } = readToken(token)
    expect(faults).toHaveLength(3)
    expect(writeToken(workload, seed, faults)).toBe(token)
    expect(readToken('single:7:none')).toEqual({ workload: 'single', seed: 7, faults: [] })
  })

  it.each(['', 'single', 'single:1', 'single:x:none', 'single:1:bank/0/lost', 'single:1:bank/1/lost+', 'single:1:bank/1/toString', 'single:1:kill/1/tx:claim/1/during', 'single:1:lie/1/nonsense'])('%j is none', (token) => {
    expect(() => readToken(token)).toThrow(expect.objectContaining({ code: 'BAD_SCHEDULE' }))
  })

  it('runs again as it ran', async () => {
    const runs = await Promise.all(
      [1, 2].map(async () => {
        const events: Event[] = []
        const tried = await replaySchedule('single:1:kill/1/call:bank/1/after+bank/2/lost', reference, { sinks: [(event) => void events.push(event)] })
        expect(tried.void).toBe(false)
        return JSON.stringify(events)
      }),
    )
    expect(runs[0]).toBe(runs[1])
    expect(runs[0]).toContain('node.killed')
  })

  it('whose fault never strikes is void', async () => {
    expect(await replaySchedule('single:1:bank/99/lost', reference, {})).toMatchObject({ void: true })
  })
})

it('a life that dies as it answers one client answers no other in the same turn', async () => {
  const died: string[] = []
  const passed: string[] = []
  const life = new Life({
    clock: new VirtualClock(),
    points: [{ site: 'answer', nth: 1, when: 'before' }],
    onDeath: (site) => void died.push(site),
    onSpoilt: () => {},
    onCrossing: ({ site, nth, when }) => void passed.push(`${site} ${nth} ${when}`),
  })
  const handle = life.handle(() => Promise.resolve(json(200, {})))
  const request = { method: 'GET', path: '/', headers: {}, body: '' }
  const outcomes = await Promise.allSettled([handle(request), handle(request)])
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(died).toEqual(['answer:before'])
  expect(passed).toEqual(['answer 1 before'])
})

describe('resil explore payment', () => {
  it('prints what it explored, last line for machines', () => {
    const { exit, json } = resil(['explore', 'payment', '--depth', '1', '--workload', 'single', '--json'])
    expect(exit).toBe(0)
    expect(json().at(-1)).toMatchObject({ depth: 1, violations: 0, voids: 0, left: 0 })
    const told = resil(['explore', 'payment', '--depth', '0', '--workload', 'single'])
    expect(told.stdout).toBe('explored 1 schedules of up to 0 faults (all of them): 0 violations, 1 distinct traces, 0 void\n')
  })

  it('convicts a mutant, and the line that it prints convicts it again', () => {
    const subject = 'test/mutants/no-recovery.mjs'
    const found = resil(['explore', 'payment', '--depth', '1', '--workload', 'single', '--subject', subject, '--json'], { cwd: new URL('../..', import.meta.url) })
    expect(found.exit).toBe(1)
    const [first] = found.json()
    expect(first.again).toBe(`resil explore payment --schedule ${first.violated} --subject ${subject}`)
    const again = resil([...first.again.split(' ').slice(1), '--json'], { cwd: new URL('../..', import.meta.url) })
    expect(again.exit).toBe(1)
    expect(again.json().at(-1)).toMatchObject({ type: 'run.ended', verdict: 'violated' })
  })

  it('a word that is no schedule is a wrong use', () => {
    expect(resil(['explore', 'payment', '--schedule', 'nonsense'])).toMatchObject({ exit: 2, stderr: expect.stringContaining('is no schedule') })
  })
})
