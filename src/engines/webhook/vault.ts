/**
 * Secrets at rest: AES-256-GCM under a master key that does not stand in the database.
 *
 *   v1.<nonce>.<ciphertext and tag>     base64url; the endpoint's id is authenticated with it: a sealed secret opens for its own endpoint only
 *
 * The first key seals, all of them open: a master key is rotated by putting the new one before the old one, sealing anew what `reseal` gives, and
 * dropping the old one. Not protected: the memory of a running engine, which must sign.
 */
import { createCipheriv, createDecipheriv, createHash, createSecretKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { ResilError } from '../../errors.ts'
import { checkSecret } from './signature.ts'

export const MASTER_KEY_BYTES = 32
/** New one, old ones: each costs a try at opening. */
export const MASTER_KEYS_MOST = 8

const VERSION = 'v1'
const ALGORITHM = 'aes-256-gcm'
/** Random ones do not meet before 2^32 seals under one key. */
const NONCE_BYTES = 12
const TAG_BYTES = 16
/** Hex digits: enough to tell an endpoint's few secrets apart, too few to look for one. */
const FINGERPRINT_LENGTH = 8

export class Vault {
  readonly #keys: readonly KeyObject[]
  readonly #random: { bytes(n: number): Uint8Array }

  /** `keys` have 32 bytes each, the one that seals first; `random` gives nonces, which must never come twice. Throws BAD_MASTER_KEY. */
  constructor(keys: readonly Uint8Array[], random: { bytes(n: number): Uint8Array }) {
    if (keys.length === 0 || keys.length > MASTER_KEYS_MOST) throw badKey(`there are 1 to ${MASTER_KEYS_MOST} master keys, not ${keys.length}`)
    for (const { length } of keys) if (length !== MASTER_KEY_BYTES) throw badKey(`a master key has ${MASTER_KEY_BYTES} bytes, this one ${length}`)
    this.#keys = keys.map((key) => createSecretKey(key))
    this.#random = random
  }

  /** Throws INVALID_SECRET for what cannot sign: nothing else gets in. */
  seal(endpoint: string, secret: string): string {
    checkSecret(secret)
    return this.#seal(endpoint, secret)
  }

  /** Throws VAULT_WRONG_KEY when no key fits, or it was sealed for another endpoint, or was changed: these cannot be told apart. Throws VAULT_DAMAGED. */
  open(endpoint: string, sealed: string): string {
    return this.#open(endpoint, sealed).secret
  }

  /** Sealed under the first key, or undefined when it is already. Throws as `open` does. */
  reseal(endpoint: string, sealed: string): string | undefined {
    const { secret, by } = this.#open(endpoint, sealed)
    return by === 0 ? undefined : this.#seal(endpoint, secret)
  }

  /** For display: the beginning of the secret's SHA-256. */
  fingerprintOf(secret: string): string {
    return createHash('sha256').update(secret).digest('hex').slice(0, FINGERPRINT_LENGTH)
  }

  #seal(endpoint: string, secret: string): string {
    const nonce = Buffer.from(this.#random.bytes(NONCE_BYTES))
    const cipher = createCipheriv(ALGORITHM, this.#keys[0]!, nonce).setAAD(Buffer.from(endpoint))
    const sealed = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final(), cipher.getAuthTag()])
    return `${VERSION}.${nonce.toString('base64url')}.${sealed.toString('base64url')}`
  }

  #open(endpoint: string, sealed: string): { secret: string; by: number } {
    const [version, nonce, content, ...more] = sealed.split('.').map((part, n) => (n === 0 ? part : Buffer.from(part, 'base64url'))) as [string, Buffer?, Buffer?, ...Buffer[]]
    if (version !== VERSION || nonce?.length !== NONCE_BYTES || content === undefined || content.length < TAG_BYTES || more.length > 0) {
      throw new ResilError('VAULT_DAMAGED', `what is stored as the secret of ${endpoint} is no sealed secret`, 'resil webhook endpoint rotate gives it a new one')
    }
    for (const [by, key] of this.#keys.entries()) {
      const decipher = createDecipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES }).setAAD(Buffer.from(endpoint)).setAuthTag(content.subarray(-TAG_BYTES))
      const text = decipher.update(content.subarray(0, -TAG_BYTES))
      try {
        return { secret: Buffer.concat([text, decipher.final()]).toString(), by }
      } catch {
        // Not this key, or not what was sealed: the next one is tried.
      }
    }
    throw new ResilError('VAULT_WRONG_KEY', `the secret of ${endpoint} does not open with the master key`, 'start with the RESIL_MASTER_KEY or the key file that the database was made with; an old key may stand behind the new one, with a comma between')
  }
}

/** Keys as RESIL_MASTER_KEY or a key file has them: 32 bytes each in base64 or hex, commas between, the one that seals first. Throws BAD_MASTER_KEY, which repeats nothing. */
export function readMasterKeys(text: string): Buffer[] {
  return text.split(',').map((part, n) => {
    const word = part.trim()
    const bytes = /^[0-9a-f]{64}$/i.test(word) ? Buffer.from(word, 'hex') : /^[A-Za-z0-9+/_-]+={0,2}$/.test(word) ? Buffer.from(word, 'base64') : undefined
    if (bytes?.length !== MASTER_KEY_BYTES) throw badKey(`master key ${n + 1} is ${bytes ? `${bytes.length} bytes` : 'neither base64 nor hex'}`)
    return bytes
  })
}

function badKey(why: string): ResilError {
  return new ResilError('BAD_MASTER_KEY', why, `give ${MASTER_KEY_BYTES} random bytes: openssl rand -base64 ${MASTER_KEY_BYTES}`)
}
