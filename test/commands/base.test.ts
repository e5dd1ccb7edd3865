import { spawnSync } from 'node:child_process'
import { spawn as spawnInTerminal } from 'node-pty'
import { describe, expect, it } from 'vitest'
import { parseAmount, parseDuration } from '../../src/commands/flags.ts'
import { fixture, resil, root, start } from './cli.ts'

const both = [{ json: [] as string[], how: 'without --json' }, { json: ['--json'], how: 'with --json' }]

describe('exit codes are the same with and without --json', () => {
  const rows: { args: string[]; exit: number; code?: string }[] = [
    { args: ['end', 'return', '0'], exit: 0 },
    { args: ['end', 'return', '1'], exit: 1 },
    { args: ['end', 'return', '2'], exit: 2 },
    { args: ['end', 'return', '3'], exit: 3 },
    { args: ['end', 'refuse', 'KEY_REUSED'], exit: 2, code: 'KEY_REUSED' },
    { args: ['end', 'refuse', 'SUBJECT_UNREACHABLE'], exit: 3, code: 'SUBJECT_UNREACHABLE' },
    { args: ['end', 'refuse', 'RUN_CUT_SHORT'], exit: 3, code: 'RUN_CUT_SHORT' },
    { args: ['end', 'throw'], exit: 70, code: 'BUG' },
    { args: ['end', 'late'], exit: 70, code: 'BUG' },
    { args: ['end', 'reject'], exit: 70, code: 'BUG' },
    { args: ['end', 'stall'], exit: 70, code: 'BUG' },
    { args: ['end', 'return', '0', 'more'], exit: 2, code: 'UNEXPECTED_ARGUMENT' },
    { args: ['edn', 'return', '0'], exit: 2, code: 'UNKNOWN_COMMAND' },
  ]
  for (const { args, exit, code } of rows) {
    it.each(both)(`${args.join(' ')} ends with ${exit} $how`, ({ json }) => {
      const run = fixture([...args, ...json])
      expect({ exit: run.exit, stderr: run.stderr }).toMatchObject({ exit })
      if (code && json.length > 0) expect(run.json().at(-1)).toMatchObject({ ok: false, error: { code, exit } })
      expect(run.stderr.split('\n').length - 1, run.stderr).toBe(code ? 1 : 0)
    })
  }
})

it('a failure is one line on stderr: what, then how to mend it', () => {
  expect(fixture(['end', 'refuse', 'KEY_REUSED'])).toMatchObject({ stdout: 'working\n', stderr: 'resil: the\\nmessage; the hint\n' })
})

it('a failure under --json is the last line of stdout, and nothing of the configuration is in it', () => {
  const { stdout } = fixture(['take', '--port', '70000', '--json'])
  expect(JSON.parse(stdout)).toEqual({
    ok: false,
    error: { code: 'BAD_FLAG', message: '--port: "70000" is not a port', hint: 'give a whole number from 0 to 65535; 0 takes any free port', exit: 2 },
  })
})

it('a bug is called a bug, with its stack only under DEBUG', () => {
  expect(fixture(['end', 'throw']).stderr).toMatch(/^resil: TypeError: a broken belief; this is a bug of resil[^\n]*\n$/)
  expect(fixture(['end', 'throw'], { env: { DEBUG: 'resil' } }).stderr).toMatch(/\n {4}at End\.work/)
})

it('--quiet leaves the outcome, --json leaves JSON alone', () => {
  expect(fixture(['take']).stdout).toBe('said\nanswered\n')
  expect(fixture(['take', '--quiet']).stdout).toBe('answered\n')
  expect(fixture(['take', '-q', '--json']).json()).toHaveLength(1)
})

describe('flags', () => {
  const refused: [string, string[]][] = [
    ['A2 --port 70000', ['--port', '70000']],
    ['A2 --port -1', ['--port', '-1']],
    ['A2 --port=-1', ['--port=-1']],
    ['A2 --port 80.5', ['--port', '80.5']],
    ['A2 --port 0x50', ['--port', '0x50']],
    ['A2 --port with nothing', ['--port', '']],
    ['A2 --port 8e3', ['--port', '8e3']],
    ['A5 --seed abc', ['--seed', 'abc']],
    ['A5 --seed 2^64', ['--seed', '18446744073709551616']],
    ['A5 --seed 2^53', ['--seed', '9007199254740992']],
    ['A6 --nodes 0', ['--nodes', '0']],
    ['A6 --nodes 10001', ['--nodes', '10001']],
    ['a duration without its unit', ['--wait', '5']],
    ['an amount of nothing', ['--amount', '0.00']],
    ['a flag without its value', ['--port']],
    ['flags that exclude each other', ['--colour-blind', '--loud']],
  ]
  it.each(refused)('%s is refused with 2, one line and a hint', (_, args) => {
    const run = fixture(['take', ...args])
    expect(run).toMatchObject({ exit: 2, stdout: '' })
    expect(run.stderr).toMatch(/^resil: .*; .+\n$/)
  })

  it('values become numbers with the unit that the program counts in', () => {
    const args = ['--port', '0', '--seed', '9007199254740991', '--nodes', '3', '--wait', '1.5s', '--amount', '99.00', '--chaos-level', '0']
    expect(fixture(['take', ...args, '--json']).json()[0]).toMatchObject({ 'port': 0, 'seed': 9_007_199_254_740_991, 'nodes': 3, 'wait': 1500, 'amount': 9900, 'chaos-level': 0 })
  })

  it.each([['250ms', 250], ['2s', 2000], ['5m', 300_000], ['1h', 3_600_000], ['3d', 259_200_000], ['0.29s', 290], ['0ms', 0], ['365d', 31_536_000_000]])('%s is %d ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms)
  })

  it.each(['', '5', '5 s', '5 parsecs', '-1s', '+1s', '.5s', '0.5ms', '1e3ms', '0x10ms', 'Infinityms', '366d', '9999999999999ms', '1s\n', 's'])('%j is no duration', (text) => {
    expect(() => parseDuration(text)).toThrow(/is not a duration/)
  })

  it.each([['99.00', 9900], ['99', 9900], ['0.01', 1], ['100000000.00', 10_000_000_000], ['0.29', 29], ['1.10', 110]])('%s is %d minor units', (text, minor) => {
    expect(parseAmount(text)).toBe(minor)
  })

  it.each(['', '0', '0.00', '-1', '99.0', '99.003', '1e3', '1,000', '0x10', '100000000.01', '9999999999999', '99.00 ', 'NaN'])('%j is no amount', (text) => {
    expect(() => parseAmount(text)).toThrow(/is not an amount/)
  })

  it('A10 an unknown flag is refused with the one that was meant', () => {
    expect(fixture(['take', '--chaos-levle', '3'])).toMatchObject({ exit: 2, stderr: 'resil: unknown flag --chaos-levle; did you mean --chaos-level?\n' })
    expect(fixture(['take', '--zzzzzz']).stderr).toContain('--help lists the flags')
  })

  it('A11 a flag given twice is refused, unless it collects', () => {
    expect(fixture(['take', '--seed', '1', '--seed', '2'])).toMatchObject({ exit: 2, stderr: 'resil: --seed was given twice; give it once\n' })
    expect(fixture(['take', '--name', 'a', '--name', 'b', '--json']).json()[0]).toMatchObject({ name: ['a', 'b'] })
    expect(fixture(['take', '--loud', '--loud', '--json']).json()[0]).toMatchObject({ loud: true })
  })
})

it('what stands after -- is left alone, word for word, --json included', () => {
  const rest = ['npm', 'start', '--seed', 'abc', '--quiet', 'npm', '--', '--seed']
  const [taken] = fixture(['take', '--json', '--', ...rest]).json()
  expect(taken.rest).toEqual(rest)
  expect(taken).not.toHaveProperty('quiet')
  expect(fixture(['take', '--port', 'x', '--', '--json']).stdout).toBe('')
})

describe('what is echoed', () => {
  it('A13 control characters in a name are shown, not obeyed', () => {
    const { stderr, stdout } = resil(['list', 'a\nb\u001b[31mc\u009bd\u202ee', '--json'])
    expect(stderr).toContain('a\\nb\\e[31mc\\x9bd\\u202ee is none of')
    for (const mark of ['\u001b', '\u009b', '\u202e']) expect(stdout + stderr).not.toContain(mark)
    expect(resil(['no\u001b]0;title\u0007such']).stderr).toBe('resil: there is no command no\\e]0;title\\x07such; resil --help lists them\n')
  })

  it('A13 bytes that are no UTF-8 are shown as a replacement character', () => {
    const { status, stderr } = spawnSync('bash', ['-c', `"$0" "$1" list $'\\xff\\xfe'`, process.execPath, `${root}bin/run.js`], { encoding: 'utf8' })
    expect({ status, stderr }).toMatchObject({ status: 2, stderr: expect.stringContaining('\ufffd\ufffd is none of') })
  })
})

describe('commands that do not exist', () => {
  it.each([
    [['lsit'], 'resil: there is no command lsit; did you mean resil list?\n'],
    [['lits', 'toxics'], 'resil: there is no command lits toxics; did you mean resil list?\n'],
    [['qqqqqqqq', '--help'], 'resil: there is no command qqqqqqqq; resil --help lists them\n'],
    [['--json'], 'resil: --json stands before any command; name the command first, as in: resil list --json\n'],
  ])('%j is refused with a way on', (args, stderr) => {
    expect(resil(args)).toMatchObject({ exit: 2, stderr })
  })

  it('help is asked for with --help, -h, help, or nothing', () => {
    const asked = resil(['list', '--help'])
    expect(asked).toMatchObject({ exit: 0, stderr: '' })
    expect(asked.stdout).toContain('$ resil list')
    expect(resil(['list', '-h']).stdout).toBe(asked.stdout)
    expect(resil(['help', 'list']).stdout).toBe(asked.stdout)
    expect(resil([]).stdout).toBe(resil(['--help']).stdout)
  })
})

describe('interruption', () => {
  const wait = (then: string) => start('test/commands/fixture/run.js', ['wait', then])

  it.each(['undecided', 'done', 'abort'])('A14 SIGINT lets the command put away what it holds, then 130 (%s)', async (then) => {
    const run = wait(then)
    await run.said('waiting')
    run.child.kill('SIGINT')
    expect(await run.ended).toMatchObject({ exit: 130, stdout: 'waiting\nput away\n', stderr: 'exit handlers ran\n' })
  })

  it('A14 a second SIGINT waits for nothing, but the terminal is still restored', async () => {
    const run = wait('deaf')
    await run.said('waiting')
    run.child.kill('SIGINT')
    await run.said('put away')
    run.child.kill('SIGINT')
    expect(await run.ended).toMatchObject({ exit: 130, signal: null, stderr: 'exit handlers ran\n' })
  })

  it.each(['SIGTERM', 'SIGHUP'] as const)('%s asks for the end too, and the command says how it went', async (signal) => {
    for (const [then, exit] of [['done', 0], ['undecided', 3], ['abort', 3]] as const) {
      const run = wait(then)
      await run.said('waiting')
      run.child.kill(signal)
      expect(await run.ended).toMatchObject({ exit, stdout: 'waiting\nput away\n' })
    }
  })
})

describe('pipes', () => {
  it.each(both)('A15 a reader that leaves ends the command quietly $how', ({ json }) => {
    const args = [`${root}test/commands/fixture/run.js`, 'chatter', ...json]
    const { stdout, stderr, status } = spawnSync('bash', ['-c', 'set -o pipefail; "$@" | head -1', 'bash', process.execPath, ...args], { encoding: 'utf8', timeout: 15_000 })
    expect({ stdout: stdout.trim().split('\n').length, stderr, status }).toEqual({ stdout: 1, stderr: '', status: 0 })
  })

  it('A15 resil list | head -1 is quiet', () => {
    const { stdout, stderr, status } = spawnSync('bash', ['-c', 'set -o pipefail; "$0" "$1" list | head -1; exit ${PIPESTATUS[0]}', process.execPath, `${root}bin/run.js`], { encoding: 'utf8' })
    expect({ stdout, stderr, status }).toEqual({ stdout: 'toxics\n', stderr: '', status: 0 })
  })

  it('A16 no escape code goes into a pipe', () => {
    for (const args of [['--help'], ['list'], ['list', '--help'], ['doctor'], ['lsit']]) {
      const { stdout, stderr } = resil(args)
      expect(stdout + stderr, args.join(' ')).not.toContain('\u001b')
    }
  })
})

describe('colour', () => {
  /** What `take --json` says of colour when it runs in a terminal. */
  async function colourWith(args: string[], env: Record<string, string>): Promise<boolean> {
    const terminal = spawnInTerminal(process.execPath, [`${root}test/commands/fixture/run.js`, 'take', '--json', ...args], { cols: 200, env: { PATH: process.env.PATH!, TERM: 'xterm-256color', ...env } })
    let shown = ''
    terminal.onData((text) => (shown += text))
    await new Promise((resolve) => terminal.onExit(resolve))
    return JSON.parse(shown).colour
  }

  it('A16 a terminal gets colour unless --no-color, NO_COLOR or a dumb terminal says no', async () => {
    expect(await colourWith([], {})).toBe(true)
    expect(await colourWith(['--no-color'], {})).toBe(false)
    expect(await colourWith([], { NO_COLOR: '1' })).toBe(false)
    expect(await colourWith([], { TERM: 'dumb' })).toBe(false)
  })

  it('a pipe gets none', () => {
    expect(fixture(['take', '--json']).json()[0]).toMatchObject({ colour: false })
  })
})

it.each([['18.20.8', 2], ['20.18.3', 2], ['21.7.3', 2], ['22.13.1', 2], ['20.19.0', 0], ['22.14.0', 0], ['26.0.0', 0]])('on Node %s it ends with %d: too old is told in one line, before anything is loaded', (version, exit) => {
  const pretend = `data:text/javascript,Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } })`
  const run = spawnSync(process.execPath, ['--import', pretend, `${root}bin/run.js`, '--version'], { encoding: 'utf8' })
  expect({ exit: run.status, stderr: run.stderr }).toEqual({ exit, stderr: exit === 0 ? '' : expect.stringMatching(/^resil needs Node 20\.19 or later, or 22\.14 or later; this is v[^\n]*\n$/) })
})

it('A18 it works without HOME', () => {
  const { HOME, ...env } = process.env
  const { status, stdout, stderr } = spawnSync(process.execPath, [`${root}bin/run.js`, 'list', 'mocks', '--quiet'], { env, encoding: 'utf8' })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout).toContain('bank')
})
