/** The proxy from the command line, as processes. */
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { resil, root, start } from './cli.ts'
import { refused } from './refused.ts'

const folder = mkdtempSync(join(tmpdir(), 'resil-test-'))
const service = createServer((_request, response) => response.end('here'))
let upstream: string

beforeAll(async () => {
  service.listen(0, '127.0.0.1')
  await once(service, 'listening')
  upstream = `127.0.0.1:${(service.address() as AddressInfo).port}`
})
afterAll(() => {
  service.close()
  rmSync(folder, { recursive: true, force: true })
})

function file(text: string, name = 'proxy.yaml'): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

/** Runs to its end beside this process, which has a service to serve. */
const run = (args: string[], env?: NodeJS.ProcessEnv) => start('bin/run.js', args, env).ended

const ASK = (variable: string) => `fetch(process.env.${variable}).then(async (r) => { console.log(r.status, await r.text()); process.exit(r.ok ? 0 : 7) }, () => process.exit(9))`

describe('proxy run', () => {
  const one = (toxic: string, ...more: string[]) => ['proxy', 'run', '--listen', '0', '--upstream', upstream, '--toxic', toxic, ...more]

  test('gives the command the address, passes its output and its exit code on, and tells what struck on stderr', async () => {
    const { exit, stdout, stderr } = await run(one('http_error=503,first=1', '--', process.execPath, '-e', ASK('RESIL_PROXY_PROXY_URL')))
    expect(exit).toBe(7)
    expect(stdout).toMatch(/^503 /)
    expect(stderr).toContain('http_error_upstream  struck once')
  })

  test('tells the control API too, and names go into the environment in capitals', async () => {
    const config = file(`port: 0\nproxies: [{ name: my-bank, listen: '127.0.0.1:0', upstream: '${upstream}' }]`)
    const { exit, stdout } = await run(['proxy', 'run', '--config', config, '--', process.execPath, '-e', "console.log(Object.keys(process.env).filter((k) => /^RESIL_(PROXY|CONTROL)/.test(k)).sort().join())"])
    expect({ exit, stdout }).toEqual({ exit: 0, stdout: 'RESIL_CONTROL_URL,RESIL_PROXY_MY_BANK,RESIL_PROXY_MY_BANK_HOST,RESIL_PROXY_MY_BANK_PORT,RESIL_PROXY_MY_BANK_URL\n' })
  })

  test('a toxic that never struck is told, and fails only a strict run that went well', async () => {
    const quietly = [process.execPath, '-e', '0']
    const plain = await run(one('latency=5', '--', ...quietly))
    expect([plain.exit, plain.stderr.includes('latency_downstream  NEVER STRUCK')]).toEqual([0, true])
    expect((await run(one('latency=5', '--strict', '--', ...quietly))).exit).toBe(3)
    expect((await run(one('latency=5', '--strict', '--', process.execPath, '-e', 'process.exit(5)'))).exit).toBe(5)
    expect((await run(one('latency=5', '--strict', '--', process.execPath, '-e', ASK('RESIL_PROXY_PROXY_URL')))).exit).toBe(0)
  })

  test('a signal that ends the command is told as shells do', async () => {
    expect((await run(one('noop', '--', process.execPath, '-e', "process.kill(process.pid, 'SIGKILL')"))).exit).toBe(137)
  })

  test('a signal is passed on to the command', async () => {
    const running = start('bin/run.js', one('noop', '--', process.execPath, '-e', "process.on('SIGTERM', () => process.exit(4)); console.log('up'); setInterval(() => {}, 1000)"))
    await running.said('up')
    running.child.kill('SIGTERM')
    expect((await running.ended).exit).toBe(4)
  })

  test('a command that is not there is 127 and one line; none at all is a wrong use', async () => {
    const { exit, stderr } = await run(one('noop', '--quiet', '--', 'no-such-command'))
    expect(exit).toBe(127)
    expect(stderr).toMatch(/^resil: no-such-command cannot be run: there is no such command;[^\n]*\n$/)
    expect(resil(one('noop')).exit).toBe(2)
  })

  test('with --json each event is a line on stderr, the outcome last', async () => {
    const { stderr } = await run(one('noop', '--json', '--', process.execPath, '-e', '0'))
    const lines = stderr.trimEnd().split('\n').map((line) => JSON.parse(line))
    expect(lines.at(-1)).toEqual({ type: 'stopped', ok: true, toxics: [{ proxy: 'proxy', toxic: 'noop_downstream', type: 'noop', hits: 0 }] })
    expect(lines.map(({ type }) => type)).toContain('ready')
  })
})

describe('a journal and its replay', () => {
  const journal = join(folder, 'run.ndjson')
  const asks = (times: number) => [process.execPath, '-e', `(async () => { for (let n = 0; n < ${times}; n++) await fetch(process.env.RESIL_PROXY_PROXY_URL).then((r) => r.text()) })()`]

  test('the same requests meet the same faults, which ends with 0; others do not, which ends with 3 when strict', { timeout: 60_000 }, async () => {
    const first = await run(['proxy', 'run', '--listen', '0', '--upstream', upstream, '--toxic', 'http_error=503,probability=0.5', '--seed', '7', '--journal', journal, '--', ...asks(12)])
    expect(first.exit).toBe(0)
    const [, times] = /struck (\d+) times/.exec(first.stderr)!
    const same = await run(['proxy', 'run', '--replay', journal, '--strict', '--', ...asks(12)])
    expect([same.exit, same.stderr]).toEqual([0, expect.stringContaining(`replayed: the same ${times} hits came again\n`)])
    const other = await run(['proxy', 'run', '--replay', journal, '--strict', '--', ...asks(2)])
    expect([other.exit, other.stderr]).toEqual([3, expect.stringMatching(/replayed: NOT THE SAME, \d of \d+ hits came again\n {2}did not come again: proxy {2}http_error_upstream {2}exchange \d+: answered instead of the service\n/)])
    expect((await run(['proxy', 'run', '--replay', journal, '--', ...asks(2)])).exit).toBe(0)
    const told = await run(['proxy', 'run', '--replay', journal, '--json', '--', ...asks(12)])
    expect(JSON.parse(told.stderr.trimEnd().split('\n').at(-1)!)).toMatchObject({ type: 'stopped', ok: true, replayed: { same: true, hits: Number(times), again: Number(times) } })
  })

  test.each([
    [['--replay', 'nowhere.ndjson'], /no journal: there is no such file/],
    [['--replay', journal, '--seed', '1'], /--seed/],
    [['--replay', journal, '--journal', journal], /--journal/],
    [['--listen', '0', '--upstream', 'x:1', '--journal', join(folder, 'none', 'x')], /cannot be written/],
  ])('proxy start %j is a wrong use', async (args, message) => {
    const ended = await refused(['proxy', 'start', '--port', '0', ...args])
    expect([ended.exit, ended.stderr]).toEqual([2, expect.stringMatching(message)])
  })
})

describe('proxy start and those who drive it', () => {
  test('stands, is driven, tells what it did, and ends with 0', { timeout: 60_000 }, async () => {
    const running = start('bin/run.js', ['proxy', 'start', '--listen', '0', '--upstream', upstream, '--toxic', 'latency=1ms', '--port', '0', '--seed', '7'], {}, { longestMs: 50_000 }) // it stands while a dozen other commands begin and end
    await running.said(/^control .*\nproxy .*\n/m)
    const [, url] = /control +(http:\S+) +seed 7/.exec(running.stdout)!
    const [, address] = /^proxy +(127\.0\.0\.1:\d+) +to /m.exec(running.stdout)!
    const ask = (...args: string[]) => run(['proxy', ...args], { TOXIPROXY_URL: url })
    expect((await fetch(`http://${address}/`)).status).toBe(200)

    expect((await ask('list')).stdout).toMatch(/^name +listens on +goes to +toxics\nproxy +127\.0\.0\.1:\d+ +127\.0\.0\.1:\d+ +on +latency_downstream\n$/)
    expect((await ask('toxic', 'add', 'proxy', 'http_error=418,path=/tea', '--name', 'tea')).stdout).toBe('tea  http_error, upstream  status 418, path /tea\n')
    expect((await fetch(`http://${address}/tea`)).status).toBe(418)
    expect((await ask('toxic', 'update', 'proxy', 'tea', 'status=429', '--toxicity', '1')).stdout).toContain('status 429')
    expect((await fetch(`http://${address}/tea`)).status).toBe(429)
    expect((await ask('toxic', 'list', 'proxy')).stdout).toMatch(/^proxy +tea +http_error +upstream +struck 2 times +status 429, path \/tea$/m)
    expect((await ask('inspect', 'proxy')).stdout).toMatch(/^proxy {2}127.*, on\n {2}tea +http_error +upstream/)
    expect((await ask('journal')).stdout).toMatch(/toxic tea added, upstream \(status 418, path \/tea\)\n(?:.*\n)*.* http error: answered instead of the service\n/)
    expect((await ask('journal', '--json', '--limit', '1')).json()).toHaveLength(1)
    expect((await ask('toxic', 'remove', 'proxy', 'tea')).stdout).toBe('tea is gone\n')
    expect((await ask('toggle', 'proxy')).stdout).toBe('proxy is OFF\n')
    await expect(fetch(`http://${address}/`)).rejects.toThrow()
    expect((await ask('create', 'second', '--upstream', upstream, '--toxic', 'noop')).stdout).toMatch(/^second {2}127\.0\.0\.1:\d+ to /)
    expect((await ask('delete', 'second')).stdout).toBe('second is gone\n')
    const missing = await ask('inspect', 'second')
    expect([missing.exit, missing.stderr]).toEqual([2, 'resil: proxy not found\n'])

    running.child.kill('SIGTERM')
    const { exit, stdout } = await running.ended
    expect(exit).toBe(0)
    expect(stdout).toMatch(/proxy {2}latency_downstream {2}struck (?:once|\d+ times)\nproxy {2}tea \(http_error\) {2}struck 2 times\nsecond {2}noop_downstream {2}NEVER STRUCK\n$/)
    const gone = await ask('list')
    expect(gone.exit).toBe(3)
    expect(gone.stderr).toMatch(/^resil: no proxy answers at [^\n]*\n$/)
  })

  test.each([
    [['--listen', '1'], 2, /--upstream/],
    [['--listen', '99999', '--upstream', 'x:1'], 2, /invalid port/],
    [['--listen', '0', '--upstream', 'nowhere'], 2, /missing port/],
    [['--listen', '0', '--upstream', 'x:1', '--toxic', 'latencyy=5'], 2, /did you mean latency\?/],
    [['--listen', '0', '--upstream', 'x:1', '--toxic', 'latency=-5'], 2, /latency/],
    [['--config', 'nowhere.yaml'], 2, /no such file/],
    [['--host', '0.0.0.0'], 2, /--allow-remote/],
    [['--host', '0.0.0.0', '--allow-remote'], 2, /token/],
    [['--token-file', join(root, 'package.json')], 2, /is no token/],
    [['--port', '70000'], 2, /port/],
  ])('proxy start %j ends with %i and one line', async (args, exit, message) => {
    const ended = await refused(['proxy', 'start', ...(args.includes('--port') ? [] : ['--port', '0']), ...args])
    expect({ exit: ended.exit, stdout: ended.stdout }).toEqual({ exit, stdout: '' })
    expect(ended.stderr).toMatch(message)
    expect(ended.stderr.trimEnd().split('\n')).toHaveLength(1)
  })
})
