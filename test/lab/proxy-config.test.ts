import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { configSchema, readProxyConfig, readShortToxic } from '../../src/lab/proxy-config.ts'
import { toxics } from '../proxy/wire.ts'

const folder = mkdtempSync(join(tmpdir(), 'resil-test-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let files = 0
function file(text: string | Buffer): string {
  const path = join(folder, `${++files}.yaml`)
  writeFileSync(path, text)
  return path
}

const read = (text: string | Buffer) => readProxyConfig(file(text), toxics)
const PROXY = 'proxies:\n  - name: bank\n    listen: 127.0.0.1:0\n    upstream: 127.0.0.1:5432\n'

test('toxics are written in short or at length, durations as people write them', () => {
  const config = read(`seed: 7\nport: 0\n${PROXY}    toxics:\n      - latency=200ms,jitter=50ms@upstream\n      - { type: http_error, name: e, toxicity: 0.5, attributes: { status: 503, path: '/v1/**' } }\nschedule:\n  repeat: 1m\n  stages:\n    - { at: 10s, for: 1.5s, proxy: bank, enabled: false }\n    - { at: 20000, proxy: bank, add: [timeout], remove: [e] }\n`)
  expect(config).toEqual({
    seed: 7,
    port: 0,
    proxies: [
      {
        name: 'bank',
        listen: '127.0.0.1:0',
        upstream: '127.0.0.1:5432',
        routes: undefined,
        upstreamTls: undefined,
        tls: undefined,
        toxics: [
          { type: 'latency', stream: 'upstream', attributes: { latency: 200, jitter: 50 } },
          { type: 'http_error', name: 'e', toxicity: 0.5, attributes: { status: 503, path: '/v1/**' } },
        ],
      },
    ],
    schedule: {
      repeat: 60_000,
      times: undefined,
      stages: [
        { at: 10_000, for: 1500, proxy: 'bank', enabled: false },
        { at: 20_000, proxy: 'bank', add: [{ type: 'timeout', attributes: {} }], remove: ['e'] },
      ],
    },
  })
})

test("Toxiproxy's own file is read as it is", () => {
  const text = JSON.stringify([{ name: 'web', listen: '[::]:18080', upstream: 'web.app:8080', enabled: true, extra: 1 }, { name: 'db', listen: '', upstream: 'db:5432', enabled: null, toxics: null }])
  expect(read(text).proxies).toEqual([
    { name: 'web', listen: '[::]:18080', upstream: 'web.app:8080', enabled: true, toxics: [] },
    { name: 'db', listen: '', upstream: 'db:5432', enabled: true, toxics: [] },
  ])
})

const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghi'.split('').map((name, n) => `${name}: &${name} [${Array.from({ length: 9 }, () => `*${'abcdefgh'[n]}`).join(',')}]`).join('\n')}\n`

describe('a file that is wrong is refused in one line', () => {
  test.each<[string, string | Buffer, RegExp]>([
    ['B19 an alias bomb', bomb, /alias/i],
    ['B20 brackets that nest 20,000 deep', `proxies: ${'['.repeat(20_000)}${']'.repeat(20_000)}`, /deeper than 32/],
    ['B20 lists that nest 20,000 deep', `proxies:\n  ${'- '.repeat(20_000)}x`, /deeper than 32/],
    ['B20 maps that nest 40 deep', Array.from({ length: 40 }, (_, n) => `${' '.repeat(n)}a:`).join('\n'), /deeper than 32/],
    ['B21 __proto__', `${PROXY}__proto__: { polluted: 1 }`, /there is no "__proto__" here|__proto__/],
    ['B21 constructor', `${PROXY}constructor: 1`, /there is no "constructor" here/],
    ['B21 a merge key', `x: &x { a: 1 }\n${PROXY}    <<: *x`, /there is no/],
    ['B22 a function', 'proxies: !!js/function "function () {}"', /Unresolved tag/],
    ['B23 a key that stands twice', `${PROXY}    name: other`, /unique/],
    ['B24 a tab as indentation', 'proxies:\n\t- name: x', /Tabs are not allowed.* line 2|line 2/],
    ['B25 two documents', `${PROXY}---\n${PROXY}`, /multiple documents/],
    ['B26 nothing', '', /it is empty/],
    ['B26 a comment alone', '# nothing\n', /it is empty/],
    ['B28 a port with a fraction', 'port: 80.5\nproxies: []', /^[^\n]*port: /],
    ['B28 a number beyond numbers', `seed: 1e400\n${PROXY}`, /seed/],
    ['B28 a seed that is not exact', `seed: 9007199254740993\n${PROXY}`, /seed/],
    ['B28 a number in quotes', `port: "80"\n${PROXY}`, /port/],
    ['B29 a duration in parsecs', `${PROXY}schedule: { stages: [{ at: 5 parsecs, proxy: bank, enabled: false }] }`, /schedule\.stages\[0\]\.at/],
    ['B29 a negative duration', `${PROXY}schedule: { stages: [{ at: -1s, proxy: bank, enabled: false }] }`, /schedule\.stages\[0\]\.at/],
    ['B29 an endless duration', `${PROXY}schedule: { stages: [{ at: .inf, proxy: bank, enabled: false }] }`, /schedule\.stages\[0\]\.at/],
    ['B31 a command as text', `${PROXY}cmd: "rm -rf x; y"`, /there is no "cmd" here/],
    ['B33 a toxic that is not there', `${PROXY}    toxics: [{ type: latencyy }]`, /no toxic "latencyy", did you mean latency\?/],
    ['B33 a toxic that is not there, in short', `${PROXY}    toxics: [latencyy=3]`, /no toxic latencyy/],
    ['B33 an attribute that is not there', `${PROXY}    toxics: [{ type: latency, attributes: { jiter: 1 } }]`, /no attribute "jiter", did you mean jitter\?/],
    ['B33 a proxy that is not there', `${PROXY}schedule: { stages: [{ at: 1s, proxy: bnk, enabled: false }] }`, /no proxy "bnk", did you mean bank\?/],
    ['B35 more than 1 MiB', Buffer.alloc(1024 * 1024 + 1, ' '), /larger than 1 MiB/],
    ['a field that is missing', 'proxies:\n  - name: bank\n    listen: x:1', /proxies\[0\]\.upstream/],
    ['a name that stands twice', `${PROXY}  - { name: bank, listen: x:1, upstream: y:1 }`, /two proxies are called bank/],
    ['no proxies', 'seed: 7', /proxies/],
    ['a word', 'hello', /the file/],
  ])('%s', (_, text, message) => {
    expect(() => read(text)).toThrow(expect.objectContaining({ code: 'BAD_CONFIG', message: expect.stringMatching(message) }))
    expect(() => read(text)).toThrow(/^[^\n]*$/)
    expect(({} as { polluted?: number }).polluted).toBeUndefined()
  })

  test('B30 a device or a pipe is not read; a link is followed to a file only', () => {
    for (const path of ['/dev/zero', folder]) expect(() => readProxyConfig(path, toxics)).toThrow(/is not a file/)
    const pipe = join(folder, 'pipe')
    execFileSync('mkfifo', [pipe])
    expect(() => readProxyConfig(pipe, toxics)).toThrow(/is not a file/)
    symlinkSync('/dev/zero', join(folder, 'link.yaml'))
    expect(() => readProxyConfig(join(folder, 'link.yaml'), toxics)).toThrow(/is not a file/)
    expect(() => readProxyConfig(join(folder, 'none.yaml'), toxics)).toThrow(/there is no such file/)
  })
})

test('B27 a byte order mark and CRLF are fine', () => {
  expect(read(`\ufeff${PROXY.replaceAll('\n', '\r\n')}`).proxies[0]!.name).toBe('bank')
})

test.each(['', 'latency=1,jitter', 'latency@sideways', 'a b=1'])('the short form %j is refused', (text) => {
  expect(() => readShortToxic(text, toxics)).toThrow(expect.objectContaining({ code: 'BAD_TOXIC' }))
})

test('its JSON Schema is published as it is (npm run docs writes it)', async () => {
  await expect(`${JSON.stringify({ title: 'resil proxy', ...z.toJSONSchema(configSchema) }, undefined, 2)}\n`).toMatchFileSnapshot('../../docs/proxy.schema.json')
})
