import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import type { Event } from '../src/events.ts'
import { newSecret } from '../src/engines/webhook/signature.ts'
import type { Plan } from '../src/lab/plan.ts'
import { Recorder, readRecording } from '../src/lab/recording.ts'
import { Random } from '../src/random.ts'
import { makeDiscreet, redacted, reveal } from '../src/secrets.ts'
import { fixture } from './commands/cli.ts'

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'

test.each([
  [SECRET, 'whsec_[redacted]'],
  [`the secret ${SECRET}, and ${SECRET}.`, 'the secret whsec_[redacted], and whsec_[redacted].'],
  ['whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfV+A==', 'whsk_[redacted]'],
  ['whsec_a-b_c', 'whsec_[redacted]'],
  ['a key sk_live_4eC39HqLyjWDarjtT1zdp7dc and sk_test_mock', 'a key sk_[redacted] and sk_[redacted]'],
  ['rk_live_4eC39HqLyjWDarjtT1zdp7dc', 'rk_[redacted]'],
  ['STRIPE_KEY=sk_4eC39HqLyjWDarjt', 'STRIPE_KEY=sk_[redacted]'],
  [JSON.stringify({ text: `line\nsk_4eC39HqLyjWDarjt\n${SECRET}\n` }), JSON.stringify({ text: 'line\nsk_[redacted]\nwhsec_[redacted]\n' })],
  ['Authorization: Bearer abc.def-ghi', 'Authorization: [redacted]'],
  ['authorization: abc', 'authorization: [redacted]'],
  ['AUTHORIZATION: Basic dTpw', 'AUTHORIZATION: [redacted]'],
  ["curl -H 'Authorization: Bearer abc' http://x", "curl -H 'Authorization: [redacted]' http://x"],
  ["{ authorization: 'Bearer abc', a: 1 }", "{ authorization: '[redacted]', a: 1 }"],
  ['Proxy-Authorization: Token abc', 'Proxy-Authorization: [redacted]'],
])('%s leaves as %s', (text, left) => {
  expect(redacted(text)).toBe(left)
  expect(redacted(left)).toBe(left)
})

test.each([
  [{ headers: { authorization: 'Bearer abc' }, n: 1 }, { headers: { authorization: '[redacted]' }, n: 1 }],
  [{ Authorization: ['Bearer abc'], n: 1 }, { Authorization: ['[redacted]'], n: 1 }],
  [['Host', 'x', 'Authorization', 'Bearer abc', 'Accept', '*/*'], ['Host', 'x', 'Authorization', '[redacted]', 'Accept', '*/*']],
  [{ authorization: 'Digest username="a", response="b\\c"', n: 1 }, { authorization: '[redacted]', n: 1 }],
  [{ body: JSON.stringify({ authorization: 'Bearer abc', secret: SECRET, n: 1 }) }, { body: JSON.stringify({ authorization: '[redacted]', secret: 'whsec_[redacted]', n: 1 }) }],
  [{ raw: 'GET / HTTP/1.1\r\nauthorization: Bearer abc\r\nhost: x\r\n' }, { raw: 'GET / HTTP/1.1\r\nauthorization: [redacted]\r\nhost: x\r\n' }],
  [{ [SECRET]: SECRET }, { 'whsec_[redacted]': 'whsec_[redacted]' }],
  [{ authorization: '' }, { authorization: '' }],
])('JSON stays JSON: %j', (record, left) => {
  expect(JSON.parse(redacted(JSON.stringify(record)))).toEqual(left)
})

test.each([
  'the task_force_of_the_disk_full and risk_assessment_of_today',
  'asked for authorization, which the bank gave',
  '{"type":"bank.authorised","charge_state":"authorised"}',
  'a secret begins with whsec_ or whsk_, a public key with whpk_',
  'whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=',
  'sk_...',
  '',
])('%j is left alone', (text) => {
  expect(redacted(text)).toBe(text)
})

test('any new secret is caught, wherever it stands in a line', () => {
  const random = Random.seeded('redaction')
  for (let i = 0; i < 500; i++) {
    const secret = newSecret(i % 2 === 0 ? 'v1' : 'v1a', random)
    const left = redacted(JSON.stringify({ at: i, text: `${'x'.repeat(i)}\n${secret}`, secret, nested: JSON.stringify({ secret }) }))
    expect(left).not.toContain(secret.slice(6, 14))
    expect(JSON.parse(left)).toMatchObject({ at: i })
  }
})

test('a line costs little when there is nothing in it, and does not hang when there is much', () => {
  const evil = ['authorization:'.repeat(20_000), `authorization":"${'\\'.repeat(50_000)}`, 'whsec_'.repeat(30_000), `authorization${' '.repeat(50_000)}`, 'sk_'.repeat(50_000), `authorization: ${'Bearer '.repeat(20_000)}`]
  for (const text of evil) {
    const start = process.cpuUsage()
    redacted(text)
    const { user, system } = process.cpuUsage(start)
    expect([text.slice(0, 30), (user + system) / 1000 < 1000]).toEqual([text.slice(0, 30), true])
  }
})

describe('a discreet stream', () => {
  const open = () => {
    const written: unknown[] = []
    const stream = new Writable({ decodeStrings: false, write: (chunk, _, done) => (written.push(chunk), done()) })
    return { stream, written }
  }

  test('writes text without its secrets, bytes as they are, and what is revealed', () => {
    const { stream, written } = open()
    makeDiscreet(stream)
    makeDiscreet(stream)
    let told = false
    stream.write(`a ${SECRET}\n`, () => (told = true))
    stream.write(Buffer.from(SECRET))
    reveal(stream, SECRET)
    stream.write(SECRET)
    expect(written.map(String)).toEqual(['a whsec_[redacted]\n', SECRET, SECRET, 'whsec_[redacted]'])
    return expect.poll(() => told).toBe(true)
  })

  test('one that is not discreet is written to as it is', () => {
    const { stream, written } = open()
    reveal(stream, SECRET)
    expect(written).toEqual([SECRET])
  })
})

test('a recording holds no secret of an event', () => {
  const folder = mkdtempSync(join(tmpdir(), 'resil-secrets-'))
  try {
    const plan = { scenario: 'x', mode: 'sim', seed: 1, subject: { kind: 'reference' }, toxics: [], invariants: [], again: '' } as unknown as Plan
    const recorder = new Recorder('7', plan, folder)
    recorder.write({ run: '7', seq: 1, t: 0, at: 0, src: 'lab', node: null, type: 'run.started', secret: SECRET, headers: { authorization: 'Bearer abc' } } satisfies Event)
    recorder.close()
    expect(readFileSync(recorder.file, 'utf8')).not.toMatch(/MfKQ|abc/)
    expect(readRecording('7', folder).events[0]).toMatchObject({ secret: 'whsec_[redacted]', headers: { authorization: '[redacted]' } })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

describe('W-SECRET: a command lets a secret out by no door but the one', () => {
  test('as text', () => {
    const { stdout, stderr } = fixture(['keep'])
    expect(stdout).toBe(`said whsec_[redacted]\nanswered whsec_[redacted]\nlogged whsec_[redacted]\nshown once ${SECRET}\n`)
    expect(stderr).toBe('stderr whsec_[redacted]\nresil: failed with whsec_[redacted]; try whsec_[redacted]\n')
  })

  test('as JSON', () => {
    const [emitted, shown, failure] = fixture(['keep', '--json']).json()
    expect(emitted).toEqual({ emitted: 'whsec_[redacted]', headers: { authorization: '[redacted]' } })
    expect(shown).toEqual({ secret: SECRET })
    expect(failure).toMatchObject({ ok: false, error: { code: 'KEPT', message: 'failed with whsec_[redacted]', hint: 'try whsec_[redacted]' } })
  })

  test('nor under DEBUG, where the stack follows', () => {
    expect(fixture(['keep'], { env: { DEBUG: 'resil' } }).stderr).not.toContain('MfKQ')
  })
})
