import { describe, expect, test } from 'vitest'
import { newSecret, publicKeyOf } from '../../../src/engines/webhook/signature.ts'
import { MASTER_KEYS_MOST, Vault, readMasterKeys } from '../../../src/engines/webhook/vault.ts'
import { Random } from '../../../src/random.ts'

const random = Random.seeded('vault')
const [old, young, foreign] = [Buffer.from(random.bytes(32)), Buffer.from(random.bytes(32)), Buffer.from(random.bytes(32))] as const
const secret = newSecret('v1', random)
const vault = new Vault([old], random)

const code = (work: () => unknown) => {
  try {
    return { value: work() }
  } catch (error) {
    const { code, hint, message } = error as { code?: string; hint?: string; message: string }
    return { code, hint, message }
  }
}

test.each(['v1', 'v1a'] as const)('what is sealed opens again, and shows nothing: %s', (kind) => {
  const secret = newSecret(kind, random)
  const sealed = vault.seal('ep_1', secret)
  expect(sealed).toMatch(/^v1\.[\w-]{16}\.[\w-]+$/)
  expect(vault.open('ep_1', sealed)).toBe(secret)
  const [, , content] = sealed.split('.')
  expect(Buffer.from(content!, 'base64url')).toHaveLength(secret.length + 16)
  expect(Buffer.from(content!, 'base64url').includes(secret.slice(0, 8))).toBe(false)
})

test('the same secret is sealed differently each time: a nonce never comes twice', () => {
  const nonces = Array.from({ length: 1000 }, () => vault.seal('ep_1', secret).split('.')[1])
  expect(new Set(nonces).size).toBe(1000)
})

describe('VAULT_WRONG_KEY', () => {
  const sealed = vault.seal('ep_1', secret)
  const changed = (part: number, at: number) => {
    const parts = sealed.split('.')
    const bytes = Buffer.from(parts[part]!, 'base64url')
    bytes[at < 0 ? bytes.length + at : at]! ^= 1
    parts[part] = bytes.toString('base64url')
    return parts.join('.')
  }
  test.each([
    ['another key', () => new Vault([foreign], random).open('ep_1', sealed)],
    ['several others', () => new Vault([foreign, young], random).open('ep_1', sealed)],
    ['another endpoint', () => vault.open('ep_2', sealed)],
    ['a bit of the nonce', () => vault.open('ep_1', changed(1, 0))],
    ['a bit of the secret', () => vault.open('ep_1', changed(2, 0))],
    ['a bit of the tag', () => vault.open('ep_1', changed(2, -1))],
    ['a tag cut short', () => vault.open('ep_1', sealed.slice(0, -4))],
  ])('for %s', (_, work) => {
    const { code: found, hint, message } = code(work)
    expect(found).toBe('VAULT_WRONG_KEY')
    expect(hint).toContain('RESIL_MASTER_KEY')
    expect(`${message}${hint}`).not.toContain(secret.slice(6, 14))
  })
})

test.each(['', 'v1', 'v1..', 'v1.AAAA', 'v2.AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAA', 'v1.AAAA.AAAAAAAAAAAAAAAAAAAAAAAA', 'v1.AAAAAAAAAAAAAAAA.AAAA', `${'v1.AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAA'}.x`, secret])('%j is no sealed secret', (sealed) => {
  expect(code(() => vault.open('ep_1', sealed))).toMatchObject({ code: 'VAULT_DAMAGED' })
})

test('a master key is rotated: the new one seals, the old one still opens, and then is not needed any more', () => {
  const before = vault.seal('ep_1', secret)
  const both = new Vault([young, old], random)
  expect(both.open('ep_1', before)).toBe(secret)
  const after = both.reseal('ep_1', before)!
  expect(both.reseal('ep_1', after)).toBeUndefined()
  const now = new Vault([young], random)
  expect(now.open('ep_1', after)).toBe(secret)
  expect(code(() => now.open('ep_1', before))).toMatchObject({ code: 'VAULT_WRONG_KEY' })
  expect(now.open('ep_1', both.seal('ep_1', secret))).toBe(secret)
})

test.each(['', 'whsec_', 'whsec_AAAA', 'hunter2', publicKeyOf(newSecret('v1a', random))])('only what can sign gets in, not %j', (text) => {
  expect(code(() => vault.seal('ep_1', text))).toMatchObject({ code: 'INVALID_SECRET' })
})

test('fingerprints tell secrets apart and are the first eight digits of SHA-256', () => {
  expect(vault.fingerprintOf('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')).toBe('96ad2ccd')
  expect(vault.fingerprintOf(secret)).not.toBe(vault.fingerprintOf(newSecret('v1', random)))
})

describe('master keys', () => {
  test.each([
    ['base64', old.toString('base64')],
    ['base64 without its end', old.toString('base64').replace('=', '')],
    ['base64url', old.toString('base64url')],
    ['hex', old.toString('hex')],
    ['hex in capitals', old.toString('hex').toUpperCase()],
    ['spaces and a line feed around', ` ${old.toString('hex')}\n`],
  ])('are read from %s', (_, text) => {
    expect(readMasterKeys(text)).toEqual([old])
  })

  test('may be several, the one that seals first', () => {
    expect(readMasterKeys(`${young.toString('base64')}, ${old.toString('hex')}`)).toEqual([young, old])
  })

  test.each([
    ['nothing', ''],
    ['31 bytes', old.subarray(1).toString('base64')],
    ['33 bytes', Buffer.concat([old, Buffer.of(1)]).toString('base64')],
    ['a password', 'correct horse battery staple!'],
    ['63 digits', old.toString('hex').slice(1)],
    ['a comma too many', `${old.toString('hex')},`],
  ])('are refused when they are %s, and not repeated', (_, text) => {
    const { code: found, message, hint } = code(() => readMasterKeys(text))
    expect(found).toBe('BAD_MASTER_KEY')
    if (text.length > 8) expect(`${message}${hint}`).not.toContain(text.slice(0, 8))
  })

  test('have 32 bytes, and are at least one and not many', () => {
    for (const keys of [[], [Buffer.alloc(16)], [old, Buffer.alloc(33)], new Array(MASTER_KEYS_MOST + 1).fill(old)]) expect(code(() => new Vault(keys, random))).toMatchObject({ code: 'BAD_MASTER_KEY' })
  })
})
