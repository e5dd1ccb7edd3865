/** The scheduler as an operator meets it: commands on a database file, and nodes as processes. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync, existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { resil, start } from './cli.ts'
import type { Running } from './cli.ts'
import { refused } from './refused.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'resil-cron-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let n = 0
const newDb = () => join(folder, `${++n}.db`)
const words = (db: string, args: string[]) => {
  const dashes = args.indexOf('--')
  const [own, job] = dashes === -1 ? [args, []] : [args.slice(0, dashes), args.slice(dashes)]
  return ['cron', ...own, '--db', db, ...job]
}
const cron = (db: string, ...args: string[]) => resil(words(db, args))
const node = (db: string, name: string, ...more: string[]): Running => start('bin/run.js', ['cron', 'run', '--db', db, '--node', name, '--json', ...more])
const ends = (db: string, name: string) => cron(db, 'history', name, '--limit', '1000', '--json').json() as { tick: string; state: string; kind: string; attempts: number; output: string | null; reason: string }[]

describe('an operator', () => {
  test('adds, lists, shows, pauses, resumes and removes', () => {
    const db = newDb()
    expect(cron(db, 'add', 'digest', '0 9 * * *', '--tz', 'Europe/Berlin', '--', './send.sh', '--all')).toMatchObject({ exit: 0, stdout: expect.stringMatching(/^digest: \.\/send\.sh --all, next \w{3} \d{4}-\d\d-\d\d 09:00:00 \+0[12]:00 \(/) })
    expect(cron(db, 'add', 'reports', '@hourly', '--http', 'http://127.0.0.1:3000/reports?all=1', '--json').json().at(-1)).toMatchObject({ ok: true, name: 'reports', generation: 1 })
    expect(cron(db, 'add', 'digest', '0 10 * * *', '--', './send.sh').stdout).toMatch(/^digest, generation 2:/)
    expect(cron(db, 'list').stdout.split('\n').map((line) => line.split(/\s+/)[0])).toEqual(['name', 'digest', 'reports', ''])
    expect(cron(db, 'pause', 'digest').exit).toBe(0)
    expect(cron(db, 'list').stdout).toMatch(/digest .* PAUSED/)
    expect(cron(db, 'show', 'digest', '--json').json().at(-1)).toMatchObject({ name: 'digest', generation: 2, paused: true, expr: '0 10 * * *', job: { kind: 'command', argv: ['./send.sh'] } })
    expect(cron(db, 'resume', 'digest').exit).toBe(0)
    expect(cron(db, 'show', 'reports').stdout).toMatch(/POST http:\/\/127\.0\.0\.1:3000\/reports\?all=1/)
    expect(cron(db, 'remove', 'digest').exit).toBe(0)
    expect(cron(db, 'add', 'digest', '@daily', '--', 'true')).toMatchObject({ exit: 0 })
  }, 60_000)

  test('applies a file: adds, changes, leaves alone, and prunes', () => {
    const db = newDb()
    const file = join(folder, 'schedules.yaml')
    const example = readFileSync(new URL('../../docs/examples/schedules.yaml', import.meta.url), 'utf8')
    writeFileSync(file, example)
    const done = (...args: string[]) => Object.fromEntries(cron(db, 'apply', file, ...args, '--json').json().map(({ name, done: what }) => [name, what]))
    expect(done()).toEqual({ 'daily-digest': 'added', 'reports': 'added', 'cleanup': 'added' })
    expect(done()).toEqual({ 'daily-digest': 'as it was', 'reports': 'as it was', 'cleanup': 'as it was' })
    writeFileSync(file, example.replace("'@hourly'", "'30 * * * *'").replace(/ {2}cleanup:[^]*/, ''))
    expect(done('--prune')).toEqual({ 'daily-digest': 'as it was', 'reports': 'changed', 'cleanup': 'removed' })
  })

  test.each([
    ['schedules: { a: { when: nonsense, run: x } }', /"nonsense" is no schedule/],
    ['schedules: { a: { when: "@daily" } }', /a: it has no job/],
    ['schedules: { a: { when: "@daily", run: x, http: { url: "http://a/" } } }', /more than one/],
    ['schedules: { a: { when: "@daily", run: x, overlap: never } }', /overlap/],
    ['schedules: { a: { when: "@daily", run: x, colour: red } }', /colour/],
    ['schedules: { "../a": { when: "@daily", run: x } }', /is no name/],
    ['schedules: { a: { when: "@daily", http: { url: "ftp://a/" } } }', /url/],
    ['schedules: { a: { when: "@daily", run: x, timeout: 5 } }', /timeout/],
  ])('a file that says %s changes nothing, exit code 2', async (text, message) => {
    const file = join(folder, 'bad.yaml')
    writeFileSync(file, text)
    const db = newDb()
    const { exit, stderr } = await refused(words(db, ['apply', file]))
    expect({ exit, lines: stderr.trim().split('\n').length, made: existsSync(db) }).toEqual({ exit: 2, lines: 1, made: false })
    expect(stderr).toMatch(message)
  })

  test('is told what is wrong: no node, and then nothing', async () => {
    const db = newDb()
    cron(db, 'add', 'job', '@every 1h', '--', 'false')
    expect(cron(db, 'doctor')).toMatchObject({ exit: 1, stdout: expect.stringContaining('no node runs: 1 schedule is not served') })
    const one = node(db, 'n1')
    await one.said('"type":"leader.elected"')
    expect(cron(db, 'doctor')).toMatchObject({ exit: 0, stdout: expect.stringMatching(/^ok {5}n1 leads, epoch 1, since /) })
    cron(db, 'add', 'next', '@every 1h', '--min-build', '7', '--attempts', '1', '--', 'false')
    cron(db, 'add', 'bad', '@every 1h', '--attempts', '1', '--', 'sh', '-c', 'echo out of paper; exit 3')
    cron(db, 'trigger', 'bad')
    await one.said('"type":"attempt.ended"')
    const { exit, stdout } = cron(db, 'doctor')
    expect(exit).toBe(1)
    expect(stdout).toContain('WRONG  next asks for build 7, the newest node is of build 1: its ticks wait')
    expect(stdout).toContain('WRONG  bad: the last run failed: ended with exit code 3')
    one.child.kill('SIGTERM')
    await one.ended
  })

  test.each<[string, string[], RegExp]>([
    ['a schedule that is none', ['add', 'x', 'never', '--', 'true'], /1 field/],
    ['a name with control characters', ['add', '\u001b[31mred', '@daily', '--', 'true'], /"\\e\[31mred" is no name/],
    ['a name that climbs', ['add', '../x', '@daily', '--', 'true'], /is no name/],
    ['no job', ['add', 'x', '@daily'], /there is no job/],
    ['two jobs', ['add', 'x', '@daily', '--http', 'http://a/', '--', 'true'], /more than one job/],
    ['a URL that is none', ['add', 'x', '@daily', '--http', 'ftp://a/'], /no URL/],
    ['a schedule that is not there', ['show', 'nothing'], /there is no schedule "nothing"/],
    ['a trigger of nothing', ['trigger', 'nothing'], /there is no schedule/],
    ['a drain of nobody', ['drain', 'n9'], /no node n9 is running/],
    ['a backfill of the future', ['backfill', 'x', '--from', '2999-01-01', '--to', '2999-01-02'], /no stretch of the past/],
    ['a time that is none', ['backfill', 'x', '--from', 'yesterday', '--to', '2020-01-01'], /no point in time/],
    ['a lease that is too short', ['run', '--ttl', '10ms'], /not between 500 and/],
    ['a node name that is none', ['run', '--node', '../n'], /no name for a node/],
  ])('is told of %s on one line, exit code 2', async (_, args, message) => {
    const { exit, stderr } = await refused(words(newDb(), args))
    expect({ exit, lines: stderr.trim().split('\n').length }).toEqual({ exit: 2, lines: 1 })
    expect(stderr).toMatch(message)
  })

  test('is refused the database of another engine, and the file stays as it is', async () => {
    const db = newDb()
    const pay = start('bin/run.js', ['pay', 'serve', '--db', db, '--port', '0', '--json'])
    await pay.said('"type":"ready"')
    pay.child.kill('SIGTERM')
    await pay.ended
    const before = readFileSync(db)
    const { exit, stderr } = cron(db, 'list')
    expect({ exit, stderr }).toEqual({ exit: 2, stderr: expect.stringMatching(/is the database of another engine/) })
    expect(readFileSync(db).equals(before)).toBe(true)
    const other = newDb()
    cron(other, 'add', 'job', '@daily', '--', 'true')
    expect(resil(['pay', 'serve', '--db', other, '--port', '0'])).toMatchObject({ exit: 2, stderr: expect.stringMatching(/is the database of another engine/) })
  })
})

describe('nodes as processes', () => {
  test('a job is run with what it needs to know, and its output is kept', async () => {
    const db = newDb()
    cron(db, 'add', 'job', '@every 1h', '--', 'sh', '-c', 'echo "$RESIL_TICK_KEY|$RESIL_FENCING_TOKEN|$RESIL_ATTEMPT|$RESIL_CHECKPOINT|$RESIL_SCHEDULED_AT"; printf "\\033[31mred\\n"')
    const one = node(db, 'n1')
    await one.said('"type":"ready"')
    const { tick } = cron(db, 'trigger', 'job', '--json').json().at(-1)
    await one.said('"type":"attempt.ended"')
    const [run] = ends(db, 'job')
    expect(run).toMatchObject({ tick, state: 'succeeded', kind: 'manual' })
    expect(run!.output).toMatch(new RegExp(`^${tick.replaceAll(/[.!]/g, '\\$&')}\\|1\\|1\\|\\|\\d{4}-.*Z\\\\n\\\\e\\[31mred`))
    one.child.kill('SIGTERM')
    expect((await one.ended).exit).toBe(0)
  })

  test('a node that is killed is followed at once, and its job goes on behind the last step', async () => {
    const db = newDb()
    const steps = join(folder, 'steps')
    const script = join(folder, 'steps.sh')
    writeFileSync(script, `for i in $(seq $((RESIL_STEP+1)) 4); do echo "$RESIL_ATTEMPT:$i" >> ${steps}; echo "checkpoint $i" >&3; read -r ok <&4; if [ $i = 2 ] && [ $RESIL_ATTEMPT = 1 ]; then sleep 60; fi; done`)
    cron(db, 'add', 'steps', '@every 1h', '--', 'bash', script)
    cron(db, 'add', 'tick', '* * * * * *', '--overlap', 'queue_all', '--', 'true')
    const one = node(db, 'n1')
    await one.said('"type":"leader.elected"')
    cron(db, 'trigger', 'steps')
    await one.said(/"type":"attempt.checkpointed".*"step":2/)
    const two = node(db, 'n2')
    await two.said('"type":"ready"')
    one.child.kill('SIGKILL')
    await two.said(/"type":"leader.elected".*its process has ended/)
    await two.said(/"type":"attempt.started".*"attempt":2.*"step":2/)
    await two.said(/"type":"attempt.ended".*"schedule":"steps".*"state":"succeeded"/)
    expect(readFileSync(steps, 'utf8').split('\n').filter(Boolean)).toEqual(['1:1', '1:2', '2:3', '2:4'])
    two.child.kill('SIGTERM')
    await two.ended
    const slots = ends(db, 'tick').filter(({ state }) => state !== 'queued').map(({ tick }) => Date.parse(tick.split('@')[1]!)).toSorted((a, b) => a - b)
    slots.forEach((slot, i) => expect(slot).toBe(slots[0]! + i * 1000))
  })

  test('two nodes with one name: the second is refused, the first goes on', async () => {
    const db = newDb()
    const one = node(db, 'same')
    await one.said('"type":"ready"')
    const { exit, stderr } = cron(db, 'run', '--node', 'same')
    expect({ exit, stderr }).toEqual({ exit: 2, stderr: expect.stringMatching(/^resil: process \d+ runs as node same already; give each node its own name/) })
    expect(cron(db, 'drain', 'same').exit).toBe(0)
    expect((await one.ended).exit).toBe(0)
  })

  test('a job that ignores SIGTERM, forks and prints without end is ended with all that it started', async () => {
    const db = newDb()
    const pids = join(folder, 'pids')
    cron(db, 'add', 'bad', '@every 1h', '--timeout', '300ms', '--attempts', '1', '--', 'sh', '-c', `trap "" TERM; sleep 1000 & echo $! >> ${pids}; echo $$ >> ${pids}; while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done`)
    const one = node(db, 'n1')
    await one.said('"type":"ready"')
    cron(db, 'trigger', 'bad')
    await one.said('"type":"attempt.ended"')
    expect(ends(db, 'bad')[0]).toMatchObject({ state: 'dead', reason: 'it took longer than 300 ms' })
    for (const pid of readFileSync(pids, 'utf8').trim().split('\n')) expect(existsSync(`/proc/${pid}/stat`) && !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')).toBe(false)
    one.child.kill('SIGTERM')
    await one.ended
  })
})
