import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { keyFileOf, openKeyFile } from '../../src/lab/key-file.ts'
import { Random } from '../../src/random.ts'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'resil-key-'))
  file = keyFileOf(join(folder, 'webhooks.db'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const random = Random.system()
const key = Buffer.from(random.bytes(32))

function refusal() {
  try {
    openKeyFile(file, random)
  } catch (error) {
    return error as { code: string; message: string; hint: string }
  }
  throw new Error('it was taken')
}

test('is made once, for its owner alone, with nothing left beside it', () => {
  const [made] = openKeyFile(file, random)
  expect(made).toHaveLength(32)
  expect(openKeyFile(file, Random.system())).toEqual([made])
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(readFileSync(file, 'utf8')).toBe(`${made!.toString('base64')}\n`)
  expect(readdirSync(folder)).toEqual(['webhooks.db.key'])
})

test('a umask of the user neither opens nor closes it', () => {
  for (const umask of [0o000, 0o777]) {
    const before = process.umask(umask)
    try {
      openKeyFile(`${file}${umask}`, random)
    } finally {
      process.umask(before)
    }
    expect(statSync(`${file}${umask}`).mode & 0o777).toBe(0o600)
  }
})

test.each(['0640', '0604', '0620', '0602', '0644', '0610'])('mode %s is refused in one line that says how to mend it', (mode) => {
  writeFileSync(file, key.toString('base64'))
  chmodSync(file, Number.parseInt(mode, 8))
  const { code, message, hint } = refusal()
  expect(code).toBe('KEY_FILE_OPEN')
  expect(message).toBe(`${file} can be read or written by others (mode ${mode})`)
  expect(hint).toBe(`chmod 600 ${file}`)
})

test.each(['0600', '0400'])('mode %s is taken', (mode) => {
  writeFileSync(file, key.toString('hex'))
  chmodSync(file, Number.parseInt(mode, 8))
  expect(openKeyFile(file, random)).toEqual([key])
})

test('a link to a file that its owner alone reads is taken: so secrets are mounted', () => {
  writeFileSync(join(folder, 'real'), key.toString('hex'), { mode: 0o600 })
  symlinkSync('real', file)
  expect(openKeyFile(file, random)).toEqual([key])
})

test('an old key may stand behind the new one', () => {
  const old = Buffer.from(random.bytes(32))
  writeFileSync(file, `${key.toString('base64')},${old.toString('base64')}\n`, { mode: 0o600 })
  expect(openKeyFile(file, random)).toEqual([key, old])
})

test.each([
  ['is empty', ''],
  ['holds 31 bytes', key.subarray(1).toString('base64')],
  ['holds raw bytes', key.toString('latin1')],
  ['holds a database', 'x'.repeat(5000)],
])('one that %s is refused, left as it was, and not repeated', (_, content) => {
  writeFileSync(file, content, { mode: 0o600 })
  const { code, message } = refusal()
  expect(code).toBe('KEY_FILE_BROKEN')
  if (content.length > 8) expect(message).not.toContain(content.slice(0, 8))
  expect(readFileSync(file, 'utf8')).toBe(content)
})

test('a folder is no key', () => {
  mkdirSync(file, 0o700)
  expect(refusal()).toMatchObject({ code: 'KEY_FILE_BROKEN' })
})

test('where nothing can be written there is one clear line, and nothing left', () => {
  file = join(folder, 'nowhere', 'x.key')
  expect(refusal()).toMatchObject({ code: 'CANNOT_WRITE_KEY' })
  expect(readdirSync(folder)).toEqual([])
})

test('many processes that make it at once get the same key', async () => {
  const source = `import { openKeyFile } from ${JSON.stringify(fileURLToPath(new URL('../../src/lab/key-file.ts', import.meta.url)))}
import { Random } from ${JSON.stringify(fileURLToPath(new URL('../../src/random.ts', import.meta.url)))}
process.stdin.once('data', () => { console.log(openKeyFile(${JSON.stringify(file)}, Random.system())[0].toString('hex')); process.exit() })
console.log('ready')`
  const script = join(folder, 'make.mjs')
  const { build } = await import('esbuild')
  await build({ stdin: { contents: source, resolveDir: folder, loader: 'ts' }, bundle: true, platform: 'node', format: 'esm', outfile: script, logLevel: 'error' })
  const children = await Promise.all(
    Array.from({ length: 6 }, async () => {
      const child = spawn(process.execPath, [script], { stdio: ['pipe', 'pipe', 'inherit'] })
      await once(child.stdout, 'data')
      return child
    }),
  )
  const said = children.map(async (child) => String(((await once(child.stdout, 'data')) as [Buffer])[0]).trim())
  for (const child of children) child.stdin.write('go')
  const keys = await Promise.all(said)
  expect(keys[0]).toMatch(/^[0-9a-f]{64}$/)
  expect(new Set(keys).size).toBe(1)
})
