/** The watch of a running proxy: on a pseudo-terminal, every key, while requests go through it; and as lines in a script. */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { Server } from 'node:http'
import { createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openTerminal, plain, root } from './pty.ts'

interface Standing {
  child: ChildProcess
  control: string
  address: string
}

let cwd: string
let service: Server
let loading: boolean
const children: ChildProcess[] = []

beforeEach(async () => {
  cwd = mkdtempSync(join(tmpdir(), 'resil-watch-'))
  service = createServer((_, response) => response.end('here')).listen(0, '127.0.0.1')
  await once(service, 'listening')
  loading = true
})

afterEach(() => {
  loading = false
  for (const child of children.splice(0)) child.kill('SIGKILL')
  service.close()
  service.closeAllConnections()
  rmSync(cwd, { recursive: true, force: true })
})

async function stand(port = 0): Promise<Standing> {
  const upstream = `127.0.0.1:${(service.address() as AddressInfo).port}`
  const child = spawn(process.execPath, [`${root}bin/run.js`, 'proxy', 'start', '--listen', '0', '--upstream', upstream, '--toxic', 'latency=2ms', '--toxic', 'http_error=503,path=/never', '--port', String(port), '--seed', '7'], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  return new Promise((resolve, reject) => {
    let said = ''
    child.stdout!.on('data', (data) => {
      said += data
      const [, control] = /control +(http:\S+)/.exec(said) ?? []
      const [, address] = /^proxy +(127\.0\.0\.1:\d+) +to .*\n/m.exec(said) ?? []
      if (control && address) resolve({ child, control, address })
    })
    child.on('exit', () => reject(new Error(`it did not start: ${said}`)))
  })
}

/** Asks again and again; what goes wrong is the proxy's business. */
function load(address: string): void {
  const again = () => {
    if (loading) get(`http://${address}/`, (response) => response.resume().on('end', again)).on('error', () => {})
  }
  again()
}

const toxicsOf = async (control: string) => ((await (await fetch(`${control}/proxies/proxy/toxics`)).json()) as { name: string }[]).map(({ name }) => name).sort()

describe('proxy watch', () => {
  test('every key that ? lists does what it says; the proxy that dies is stale, and live when it is back', { timeout: 90_000 }, async () => {
    const { child, control, address } = await stand()
    load(address)
    const terminal = openTerminal(['proxy', 'watch', '--control', control], { columns: 100, cwd })
    await terminal.shows(/LIVE/)
    await terminal.shows(/\[1\] × latency +downstream +struck/)
    await terminal.shows(/\[2\] × http error +upstream +never struck/)
    await terminal.shows(/[1-9]\d* requests\/s/)

    let from = terminal.raw.length
    terminal.press('?')
    await terminal.shows(/the same, with exit code 130/, from)
    const help = plain(terminal.raw.slice(from))
    expect(new Set([...help.matchAll(/^ {3}(\S+(?: \S)?) {2,}\S/gm)].map((match) => match[1]))).toEqual(new Set(['q', '?', '↑ ↓', 's', '1', '2', 'Ctrl-C']))
    from = terminal.raw.length
    terminal.press('?')
    await terminal.shows(/\[1\] × latency/, from)

    from = terminal.raw.length
    terminal.press('1')
    await terminal.shows(/\[1\] × latency_downstream +off; 1 puts it back/, from)
    await terminal.shows(/toxic latency_downstream removed/, from)
    await expect.poll(() => toxicsOf(control)).toEqual(['http_error_upstream'])
    from = terminal.raw.length
    terminal.press('1')
    await terminal.shows(/toxic latency_downstream added/, from)
    await expect.poll(() => toxicsOf(control)).toEqual(['http_error_upstream', 'latency_downstream'])
    from = terminal.raw.length
    terminal.press('2')
    await terminal.shows(/\[2\] × http_error_upstream +off; 2 puts it back/, from)
    await terminal.shows(/toxic http_error_upstream removed/, from)
    await expect.poll(() => toxicsOf(control)).toEqual(['latency_downstream'])

    from = terminal.raw.length
    terminal.press('\u001b[A')
    await terminal.shows(/› #\d+/, from)
    from = terminal.raw.length
    terminal.press('\u001b')
    await terminal.shows(/\? keys {3}q leave {3}↑↓ events(?! {3}esc)/, from)

    from = terminal.raw.length
    terminal.press('s')
    await terminal.shows(/saved resil-proxy-watch\.txt and resil-proxy-watch\.svg/, from)
    expect(readFileSync(join(cwd, 'resil-proxy-watch.txt'), 'utf8')).toMatch(/LIVE/)
    expect(readFileSync(join(cwd, 'resil-proxy-watch.svg'), 'utf8')).toMatch(/^<svg/)

    from = terminal.raw.length
    child.kill('SIGKILL')
    await terminal.shows(/ STALE since \d\d:\d\d:\d\d UTC, for \d/, from)
    await terminal.shows(/At its last word/, from)
    from = terminal.raw.length
    terminal.press('1')
    await terminal.shows(/latency_downstream stays on: no proxy answers/, from)
    from = terminal.raw.length
    await stand(Number(new URL(control).port))
    await terminal.shows(/LIVE/, from)

    from = terminal.raw.length
    terminal.press('2')
    await terminal.shows(/\[2\] × http_error_upstream +off/, from)
    terminal.press('q')
    expect(await terminal.ended).toBe(0)
    const end = terminal.raw.slice(terminal.raw.lastIndexOf('\u001b[?1049l'))
    expect(plain(end)).toMatch(/open on 1 proxy.*\r?\nstill off: proxy: http_error_upstream/)
  })

  test('Ctrl-C gives the terminal back and ends with 130', { timeout: 60_000 }, async () => {
    const { control } = await stand()
    const terminal = openTerminal(['proxy', 'watch', '--control', control], { columns: 60, cwd })
    await terminal.shows(/LIVE/)
    terminal.press('\u0003')
    expect(await terminal.ended).toBe(130)
    expect(terminal.raw).toContain('\u001b[?1049l')
  })

  test('in a script it tells each line of the journal as it comes, and that the proxy is gone', { timeout: 60_000 }, async () => {
    const { child, control } = await stand()
    const watch = spawn(process.execPath, [`${root}bin/run.js`, 'proxy', 'watch', '--control', control, '--json'], { stdio: ['ignore', 'pipe', 'inherit'] })
    children.push(watch)
    const types: string[] = []
    // What was there before the watch began is not told: a toxic comes and goes until that is heard.
    let heard = false
    const change = async (): Promise<void> => {
      await fetch(`${control}/proxies/proxy/toxics`, { method: 'POST', body: '{"type":"noop","name":"n"}' })
      await fetch(`${control}/proxies/proxy/toxics/n`, { method: 'DELETE' })
      if (!heard) return change()
    }
    const changing = change()
    let text = ''
    for await (const data of watch.stdout!) {
      text += data
      const lines = text.split('\n')
      text = lines.pop()!
      types.push(...lines.map((line) => JSON.parse(line).type as string))
      if (!heard && types.includes('toxic.removed')) {
        heard = true
        await changing
        child.kill('SIGKILL')
      }
      if (types.includes('watch.lost')) break
    }
    expect(new Set(types)).toEqual(new Set(['toxic.added', 'toxic.removed', 'watch.lost']))
    watch.kill('SIGTERM')
  })

  test('a proxy that is not there is one line, and ends with 3', { timeout: 30_000 }, async () => {
    const watch = spawn(process.execPath, [`${root}bin/run.js`, 'proxy', 'watch', '--control', 'http://127.0.0.1:1'], { stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    watch.stderr.on('data', (data) => (said += data))
    const [code] = await once(watch, 'close')
    expect([code, said]).toEqual([3, expect.stringMatching(/^resil: no proxy answers at http:\/\/127\.0\.0\.1:1[^\n]*\n$/)])
  })
})
