/** Schedulers broken on purpose: the audit convicts each, and clears the reference of the same. */
import { afterAll, describe, expect, test } from 'vitest'
import { runCronSeed } from '../../../src/lab/cron-sweep.ts'
import { CronWorld, judgeCron } from '../../../src/lab/cron-world.ts'
import { parseCrontab } from '../../../src/engines/cron/crontab.ts'
import { dueSlots } from '../../../src/engines/cron/slots.ts'
import { completeSpec } from '../../../src/engines/cron/spec.ts'
import { plantCron } from '../../mutants/cron.ts'
import type { MakeEngine } from '../../mutants/cron.ts'
import type { Plant } from '../../mutants/plant.ts'

/** Seeds that are tried before a mutant counts as never convicted. */
const MOST_SEEDS = 60

const forgets: (() => void)[] = []
afterAll(() => forgets.forEach((forget) => forget()))

const TRUST_ASKED = 'this.#trustedUntil = asked + TRUST * ttlMs\n    log.emit'

const mutants: { name: string; invariant: string; plants: Plant[] }[] = [
  {
    name: 'trust-until-ttl-from-the-answer',
    invariant: 'I7',
    plants: [
      ['elector.ts', TRUST_ASKED, 'this.#trustedUntil = clock.monotonic() + 1.5 * ttlMs\n    log.emit'],
      ['elector.ts', '      this.#trustedUntil = asked + TRUST * ttlMs\n      log.emit', '      this.#trustedUntil = clock.monotonic() + 1.5 * ttlMs\n      log.emit'],
    ],
  },
  { name: 'tick-timer-in-memory', invariant: 'I2', plants: [['book.ts', 'const due = dueSlots(crontab, spec, row.cursor_at, now', 'const due = dueSlots(crontab, spec, Math.max(row.cursor_at, now - 2500), now']] },
  {
    name: 'cursor-advanced-before-the-insert',
    invariant: 'I2',
    plants: [
      [
        'ticker.ts',
        "const fired = await this.step('fire', epoch, async (tx) => {",
        `const before = await this.step('fire', epoch, async (tx) => {
      const rows = await tx.query<DueRow>(\`\${WITH_DEFINITION} WHERE s.next_at IS NOT NULL AND s.next_at <= :now\`, { now })
      for (const row of rows) await tx.query('UPDATE schedule SET cursor_at = :now, next_at = :next WHERE name = :name', { name: row.name, now, next: this.#book.read(row).crontab.next(now) })
      return rows
    })
    const fired = await this.step('insert', epoch, async (tx) => {`,
      ],
      ['ticker.ts', '      const { done, recorded: ticks }', '      rows.push(...before.map((row) => ({ ...row, next_at: -1 })))\n      const { done, recorded: ticks }'],
    ],
  },
  { name: 'epoch-used-again', invariant: 'I5', plants: [['elector.ts', 'const epoch = row?.holder === this.#me ? row.epoch : (row?.epoch ?? 0) + 1', "const epoch = row?.epoch ?? 1"]] },
  { name: 'nobody-takes-the-work-of-the-dead', invariant: 'I3', plants: [['ticker.ts', 'await this.#turn((epoch) => this.#reap(epoch))', 'await this.#turn(async () => {})']] },
  { name: 'overlap-not-looked-at', invariant: 'I10', plants: [['worker.ts', "AND (t.overlap IN ('allow', 'skip') OR NOT EXISTS (SELECT 1 FROM tick r WHERE r.state = 'running' AND r.schedule = t.schedule))", ''], ['worker.ts', 'if (busy.has(tick.schedule)) {', "if (busy.has(tick.schedule) && tick.overlap === 'skip') {"]] },
  { name: 'key-per-attempt', invariant: 'I13', plants: [['worker.ts', '    const run: Run = {\n      key,', "    const run: Run = {\n      key: tick.attempts === 1 ? key : `${key}-${tick.attempts}`,"]] },
  { name: 'paused-slots-vanish', invariant: 'I2', plants: [['slots.ts', "for (const at of newest) add(at, 'skipped_paused', 'the schedule was paused')", 'slots.length = 0']] },
  { name: 'missed-slots-vanish', invariant: 'I2', plants: [['slots.ts', "else add(at, 'coalesced', misfire === 'once' ? 'a newer one runs in its place' : `more than ${catchUpMax} were missed`)", '']] },
  { name: 'retry-forgotten', invariant: 'I3', plants: [['worker.ts', "'its node drained' }", "'its node drained' }\n  if (tick.attempts > 1) return { state: 'queued', reason: 'again' }"], ['worker.ts', 'runAt: again ? runAt : tick.run_at, again', 'runAt: again ? now + 10_000_000 : tick.run_at, again']] },
  { name: 'success-before-the-effect', invariant: 'I13', plants: [['worker.ts', "    active.ended = this.#carryOut(spec.job, run)\n", "    active.ended = Promise.race([this.#carryOut(spec.job, run), Promise.resolve({ ok: true, output: '' })])\n"]] },
  { name: 'resumes-at-the-beginning', invariant: 'I9', plants: [['worker.ts', "checkpoint: last?.data ?? null, step: last?.ord ?? 0 })", 'checkpoint: null, step: 0 })']] },
  { name: 'one-token-for-all', invariant: 'I13', plants: [['worker.ts', 'token = :token, attempts = attempts + 1', 'token = 1, attempts = attempts + 1'], ['worker.ts', '      key,\n      schedule: tick.schedule', '      key: tick.attempts === 1 ? key : `${key}+`,\n      schedule: tick.schedule']] },
]

async function convict(plants: Plant[], name: string, invariant: string): Promise<{ seed: number; violations: string[] }> {
  const { make, forget } = await plantCron(name, plants)
  forgets.push(forget)
  for (let seed = 1; seed <= MOST_SEEDS; seed++) {
    const { violations } = await runCronSeed(seed, make)
    if (violations.some((why) => why.startsWith(`${invariant}:`))) return { seed, violations }
  }
  return { seed: 0, violations: [] }
}

/** Worlds in which a bug must show, because all that it needs happens in them. */
interface Staged {
  name: string
  invariant: string
  plants: Plant[]
  drive(world: CronWorld): Promise<void>
  /** What must hold on this stage beyond the audit. */
  also?(world: CronWorld): string[]
}

const staged: Staged[] = [
  {
    name: 'no-epoch-check',
    invariant: 'I6',
    plants: [
      ['elector.ts', "    if (this.epoch !== epoch) throw new Fenced('its trust has run out')\n", ''],
      ['elector.ts', 'if (row?.epoch !== epoch || row.holder !== this.#me) {', 'if (row === undefined) {'],
    ],
    // The clock of the first leader is ahead of its time: when it wakes up it would write what nobody has yet.
    async drive(world) {
      const first = world.leader!
      world.body.step(first, 20_000)
      world.body.arm(first, { site: 'tx:fire', nth: 1, when: 'before', pauseMs: 8000 })
      await world.clock.sleep(15_000)
    },
  },
  {
    name: 'wall-clock-for-the-lease',
    invariant: 'I7',
    plants: [
      ['elector.ts', 'return this.#epoch !== undefined && this.#setup.clock.monotonic() < this.#trustedUntil ? this.#epoch : undefined', 'return this.#epoch !== undefined && this.#setup.clock.now() < this.#trustedUntil ? this.#epoch : undefined'],
      ['elector.ts', TRUST_ASKED, 'this.#trustedUntil = clock.now() + TRUST * ttlMs\n    log.emit'],
      ['elector.ts', '      this.#trustedUntil = asked + TRUST * ttlMs\n      log.emit', '      this.#trustedUntil = clock.now() + TRUST * ttlMs\n      log.emit'],
      ['elector.ts', "if (this.#diverged()) return this.#lose('the clock jumped')", ''],
      ['elector.ts', "if (this.#epoch !== undefined && this.#diverged()) this.#lose('the clock jumped')", ''],
      ['elector.ts', 'return this.#epoch === undefined ? 0 : Math.max(0, this.#trustedUntil - this.#setup.clock.monotonic())', 'return this.#epoch === undefined ? 0 : Math.max(0, this.#trustedUntil - this.#setup.clock.now())'],
    ],
    async drive(world) {
      const first = world.leader!
      world.body.step(first, -20_000)
      world.body.pause(first)
      await world.clock.sleep(8000)
      world.body.resume(first)
      await world.clock.sleep(5000)
    },
  },
  {
    name: 'trust-counted-from-the-answer',
    invariant: 'I7',
    plants: [['elector.ts', '      this.#trustedUntil = asked + TRUST * ttlMs\n      log.emit', '      this.#trustedUntil = clock.monotonic() + TRUST * ttlMs\n      log.emit'], ['elector.ts', "      left,\n      store\n", '      60_000,\n      store\n']],
    // The renewal is committed and its answer comes ten seconds later.
    async drive(world) {
      world.body.arm(world.leader!, { site: 'tx:lease:renew', nth: 1, when: 'after', pauseMs: 10_000 })
      await world.clock.sleep(15_000)
    },
  },
  {
    name: 'fires-early',
    invariant: 'I11',
    plants: [['ticker.ts', '    const { clock, wake, log } = this.#setup\n    const now = clock.now()\n', '    const { clock, wake, log } = this.#setup\n    const now = clock.now() + 1500\n'], ['worker.ts', '    const now = clock.now()\n    const { claimed, skipped, nextAt, passed }', '    const now = clock.now() + 1500\n    const { claimed, skipped, nextAt, passed }']],
    drive: (world) => world.clock.sleep(10_000),
  },
  {
    name: 'checkpoint-without-token',
    invariant: 'I8',
    plants: [['worker.ts', "        if (!(await this.#isMine(tx, tick, token))) return false\n", '']],
    // It wakes up while the other is in the middle of the same step.
    drive: (world) => overtaken(world, 'tx:checkpoint', 2, 5250),
  },
  {
    name: 'complete-without-token',
    invariant: 'I8',
    plants: [
      ['worker.ts', "WHERE ${THIS_TICK} AND token = :token AND state = 'running' RETURNING seq`", 'WHERE ${THIS_TICK} AND :token > 0 RETURNING seq`'],
      ['worker.ts', "if (row?.token !== active.tick.token) this.#stop(active, 'fenced')\n      else if (row.cancelling === 1)", "if (row?.cancelling === 1)"],
    ],
    drive: (world) => overtaken(world, 'tx:complete', 1, 20_000),
  },
  {
    name: 'released-before-it-has-ended',
    invariant: 'I8',
    plants: [['worker.ts', "      for (const active of all) this.#stop(active, 'drained')\n", "      for (const active of all) {\n        active.why = 'drained'\n        void this.#conclude(active, { ok: false, output: '' })\n      }\n"]],
    async drive(world) {
      await world.registry.trigger('steps')
      const started = await world.until((event) => event.type === 'attempt.started' && event['schedule'] === 'steps')
      await world.body.terminate(started.node!)
      await world.clock.sleep(10_000)
    },
    // Nobody crashed and nobody stood still: a token that is over has no business at the resource.
    also(world) {
      let newest = 0
      return world.events.flatMap((event) => {
        if (event['schedule'] === 'steps' && event.type === 'attempt.started') newest = event['token']
        return event.type === 'resource.asked' && event['what'] === 'steps' && event['token'] < newest ? [`I8: ${event['key']} was asked for by token ${event['token']}, after ${newest}`] : []
      })
    },
  },
]

/** A worker stands still at a crossing of its run, and another takes the run over. */
async function overtaken(world: CronWorld, site: string, nth: number, pauseMs: number): Promise<void> {
  await world.registry.trigger('steps')
  const { node } = await world.until((event) => event.type === 'attempt.started' && event['schedule'] === 'steps')
  if (site === 'tx:complete') await world.until((event) => event.type === 'attempt.checkpointed' && event['step'] === 4)
  world.body.arm(node!, { site, nth, when: 'before', pauseMs })
  await world.clock.sleep(30_000)
}

const SETTINGS = { ttlMs: 3000, watchMs: 300, pollMs: 500, beatMs: 1000, workerLeaseMs: 5000, drainMs: 500 }

async function stage({ drive, also }: Staged, make?: MakeEngine): Promise<string[]> {
  const world = await CronWorld.open({ seed: 1, nodes: 2, settings: SETTINGS, createEngine: make })
  const violations = await world.live((async () => {
    await world.put('tick', '* * * * * *', 'ms=20', { overlap: 'allow', attempts: 20 })
    await world.put('steps', '@every 24h', 'ms=1000,steps=4', { attempts: 20 })
    await world.startAll()
    await world.clock.sleep(4000)
    await drive(world)
    await world.heal(60_000)
    return [...(also?.(world) ?? []), ...(await judgeCron(world))]
  })())
  await world.live(world.close())
  return violations
}


describe('on a stage', () => {
  test.each(staged)('$name is convicted of $invariant', async (mutant) => {
    const { name, invariant, plants } = mutant
    const { make, forget } = await plantCron(name, plants)
    forgets.push(forget)
    const violations = await stage(mutant, make)
    expect(violations.filter((why) => why.startsWith(`${invariant}:`)), violations.slice(0, 5).join('; ')).not.toEqual([])
    expect(await stage(mutant)).toEqual([])
  })
})

describe('under faults', () => {
  test.each(mutants)('$name is convicted of $invariant', { timeout: 120_000 }, async ({ name, invariant, plants }) => {
    const { seed, violations } = await convict(plants, name, invariant)
    expect(violations.filter((why) => why.startsWith(invariant))).not.toEqual([])
    // The reference is cleared by the same seed.
    expect((await runCronSeed(seed)).violations).toEqual([])
  })
})

describe('what is pure', () => {
  const at = (text: string) => Date.parse(text)

  test('clocks by the text of local time are convicted: a time that clocks leave out is lost', async () => {
    const { module, forget } = await plantCron('local-time-string', [['crontab.ts', 'if (at === stretch.from && this.#dueBehindGap(stretch)) return at\n', '']])
    forgets.push(forget)
    const next = (parse: typeof parseCrontab) => parse('30 2 * * *', { zone: 'America/New_York' }).next(at('2026-03-08T05:00:00Z'))
    expect(next((await module('crontab.ts')).parseCrontab)).not.toBe(at('2026-03-08T07:00:00Z'))
    expect(next(parseCrontab)).toBe(at('2026-03-08T07:00:00Z'))
  })

  test('catching up without a cap is convicted: eight hours of minutes begin at once', async () => {
    const { module, forget } = await plantCron('no-cap', [['slots.ts', ": misfire === 'once' ? 1 : catchUpMax", ": misfire === 'once' ? 1 : missed.length"]])
    forgets.push(forget)
    const crontab = parseCrontab('* * * * *')
    const spec = completeSpec('x', { expr: '* * * * *', job: { kind: 'command', argv: ['true'] }, misfire: 'all' })
    const now = at('2026-03-08T08:00:30Z')
    const queued = (due: typeof dueSlots) => due(crontab, spec, at('2026-03-08T00:00:00Z'), now, false).slots.filter(({ state }) => state === 'queued').length
    expect(queued((await module('slots.ts')).dueSlots)).toBeGreaterThan(101)
    expect(queued(dueSlots)).toBe(101) // a hundred, and the one that is on time
  })
})
