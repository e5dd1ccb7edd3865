/**
 * The hop on each Node that is supported, as a user runs it: `resil proxy start` before an HTTP upstream, and not a word on stderr. The Nodes that
 * do not run the suite are the packages node-PLATFORM-ARCH of the registry, in a folder each: `RESIL_NODES`, which `.ci/run` fills.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { root } from '../lab/pty.ts'

const MAJORS = [20, 22, 24, 25, 26]

function nodeOf(major: number): string | undefined {
  if (process.versions.node.startsWith(`${major}.`)) return process.execPath
  const folder = process.env['RESIL_NODES'] ?? join(homedir(), '.cache', 'resil', 'nodes')
  const file = join(folder, String(major), 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node')
  return existsSync(file) ? file : undefined
}

/** The status of the answer, and its body. */
function ask(port: number, method: string, chunks: readonly string[] = []): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ port, host: '127.0.0.1', method, path: '/x', agent: false, headers: chunks.length > 0 ? { 'transfer-encoding': 'chunked' } : {} }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (data) => (text += data)).on('end', () => resolve(`${answer.statusCode} ${text}`))
    }).on('error', reject)
    for (const chunk of chunks) asked.write(chunk)
    asked.end()
  })
}

describe.each(MAJORS)('on Node %i', (major) => {
  const node = nodeOf(major)

  test.skipIf(node === undefined)('the hop forwards, is left in the middle, finds nobody, and never warns', { timeout: 60_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'resil-test-'))
    const service = createServer((asked, answer) => {
      let text = ''
      asked.setEncoding('utf8').on('data', (data) => (text += data)).on('end', () => {
        if (asked.headers['x-slow'] === undefined) answer.end(`${asked.method} ${text}`)
        else answer.write('begun')
      })
    })
    new WebSocketServer({ server: service }).on('connection', (socket) => socket.on('message', (message) => socket.send(`you said ${String(message)}`)))
    service.listen(0, '127.0.0.1')
    await once(service, 'listening')
    const upstream = `http://127.0.0.1:${(service.address() as AddressInfo).port}`
    writeFileSync(join(folder, 'proxies.yaml'), JSON.stringify({ proxies: [{ name: 'api', listen: '127.0.0.1:0', upstream }, { name: 'down', listen: '127.0.0.1:0', upstream: 'http://127.0.0.1:1' }] }))
    const proxy = spawn(node!, [`${root}bin/run.js`, 'proxy', 'start', '--config', join(folder, 'proxies.yaml'), '--port', '0'], { stdio: ['ignore', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    proxy.stderr.on('data', (data) => (stderr += data))
    const ended = once(proxy, 'exit')
    const ports = await new Promise<number[]>((resolve, reject) => {
      proxy.stdout.on('data', (data) => {
        stdout += data
        const found = [...stdout.matchAll(/^(?:api|down) +127\.0\.0\.1:(\d+) .*\n/gm)].map((match) => Number(match[1]))
        if (found.length === 2) resolve(found)
      })
      void ended.then(() => reject(new Error(`it did not start: ${stdout}${stderr}`)))
    })
    const [api, down] = ports as [number, number]
    try {
      expect(await ask(api, 'GET')).toBe('200 GET ')
      expect(await ask(api, 'POST', ['ab', 'cd'])).toBe('200 POST abcd')
      expect(await ask(api, 'DELETE', ['GET /smuggled HTTP/1.1\r\n\r\n'])).toBe('200 DELETE GET /smuggled HTTP/1.1\r\n\r\n')
      const client = new WebSocket(`ws://127.0.0.1:${api}/chat`)
      await once(client, 'open')
      client.send('hello')
      expect(String((await once(client, 'message'))[0])).toBe('you said hello')
      client.terminate()
      await Promise.all(Array.from({ length: 20 }, () => new Promise((resolve) => {
        const asked = request({ port: api, host: '127.0.0.1', agent: false, headers: { 'x-slow': '1' } }, (answer) => answer.once('data', () => asked.destroy()).on('error', () => {}).on('close', resolve))
        asked.on('error', () => {}).end()
      })))
      expect(await ask(down, 'GET')).toMatch(/^502 /)
      expect(await ask(api, 'GET')).toBe('200 GET ')
    } finally {
      proxy.kill('SIGTERM')
      service.closeAllConnections()
      service.close()
      rmSync(folder, { recursive: true, force: true })
    }
    expect([await ended, stderr]).toEqual([[0, null], ''])
  })
})
