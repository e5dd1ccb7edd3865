/**
 * How a customer judges a webhook's signature, by Standard Webhooks 1.0.0. It is the judge of whoever signs, so it shares no code with them.
 *
 *   signed content   id "." timestamp "." body, the body as it came
 *   v1,BASE64        HMAC-SHA256 under a `whsec_` secret
 *   v1a,BASE64       ed25519, against a `whpk_` key
 *
 * The header holds several signatures, separated by spaces; one good one is enough. The timestamp is in seconds, and TOLERANCE_S old or ahead at most.
 */
import { createHmac, createPublicKey, timingSafeEqual, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { ResilError } from '../../errors.ts'

/** `stale` is a good signature with a timestamp too old or too far ahead; `invalid` is all that is no good signature; `unchecked`: there is no secret to check with. */
export type Signed = 'valid' | 'invalid' | 'missing' | 'stale' | 'unchecked'

export interface Judgement {
  signed: Signed
  /** The secret under which the v1 signature was good. */
  secret?: Buffer
}

/** As the headers say it; null for a header that is not there. */
export interface Claim {
  id: string | null
  /** Text of the header. */
  timestamp: string | null
  signature: string | null
  body: string
}

/** Both ends are within. */
export const TOLERANCE_S = 300

/** Secrets and keys at once; a rotation needs two. */
const SECRETS_LIMIT = 16
/** Signatures in one header that are looked at; a sender puts one for each secret. */
const SIGNATURES_LIMIT = 32

const SECRET_BYTES = { least: 24, most: 64 }
const KEY_BYTES = 32
const SIGNATURE_BYTES = 64

export class Trust {
  #secrets: Buffer[] = []
  #keys: KeyObject[] = []

  /** These and no others from now on, whsec_ secrets and whpk_ keys; none at all means that nothing is checked. Throws INVALID_SECRET. */
  trust(given: readonly string[]): void {
    if (given.length > SECRETS_LIMIT) throw new ResilError('INVALID_SECRET', `a customer trusts ${SECRETS_LIMIT} secrets at most`, 'take away those that were revoked')
    const secrets = given.filter((text) => !text.startsWith('whpk_')).map(readSecret)
    this.#keys = given.filter((text) => text.startsWith('whpk_')).map(readKey)
    this.#secrets = secrets
  }

  /** `nowMs` is the customer's own wall time. */
  judge({ id, timestamp, signature, body }: Claim, nowMs: number): Judgement {
    if (this.#secrets.length === 0 && this.#keys.length === 0) return { signed: 'unchecked' }
    if (id === null || timestamp === null || signature === null) return { signed: 'missing' }
    // A dot in the id or the timestamp would let one signed content stand for another.
    if (id.includes('.') || !/^(0|[1-9]\d{0,15})$/.test(timestamp)) return { signed: 'invalid' }
    const found = this.#match(`${id}.${timestamp}.${body}`, signature)
    if (!found) return { signed: 'invalid' }
    const aheadS = Number(timestamp) - Math.floor(nowMs / 1000)
    return { signed: Math.abs(aheadS) > TOLERANCE_S ? 'stale' : 'valid', ...found }
  }

  #match(content: string, header: string): { secret?: Buffer } | undefined {
    for (const signature of header.split(' ', SIGNATURES_LIMIT)) {
      const comma = signature.indexOf(',')
      const [version, text] = [signature.slice(0, comma), signature.slice(comma + 1)]
      if (version === 'v1') {
        const secret = this.#secrets.find((candidate) => equal(hmac(candidate, content), text))
        if (secret) return { secret }
      } else if (version === 'v1a') {
        const bytes = strictBase64(text)
        if (bytes?.length === SIGNATURE_BYTES && this.#keys.some((key) => verify(null, Buffer.from(content), key, bytes))) return {}
      }
    }
    return undefined
  }

  /** `secret` while it is trusted, else the one that was given first: what is said later about a webhook is signed as the webhook was, until that is revoked. */
  current(secret: Buffer | undefined): Buffer | undefined {
    return this.#secrets.find((candidate) => secret?.equals(candidate)) ?? this.#secrets[0]
  }
}

/** For `webhook-receipt`: only who holds the secret can say that this attempt was processed. */
export function receipt(secret: Buffer, id: string, timestamp: string): string {
  return hmac(secret, `receipt.${id}.${timestamp}`)
}

/** For `webhook-ack-signature`; `seconds` since 1970. */
export function ackSignature(secret: Buffer, id: string, seconds: number): string {
  return hmac(secret, `ack.${id}.${seconds}`)
}

function hmac(secret: Buffer, content: string): string {
  return createHmac('sha256', secret).update(content).digest('base64')
}

/** As long as it takes for the longer of the two whatever they share: the text is compared, so that there is one way only to write a signature. */
function equal(expected: string, given: string): boolean {
  const [a, b] = [Buffer.from(expected), Buffer.from(given)]
  return a.length === b.length && timingSafeEqual(a, b)
}

function strictBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}

/** The message never repeats what was given: it may be a secret with a slip in it. */
function readSecret(text: string): Buffer {
  const bytes = text.startsWith('whsec_') ? strictBase64(text.slice('whsec_'.length)) : undefined
  if (bytes && bytes.length >= SECRET_BYTES.least && bytes.length <= SECRET_BYTES.most) return bytes
  throw new ResilError('INVALID_SECRET', 'this is no secret of a webhook', `write whsec_ and ${SECRET_BYTES.least} to ${SECRET_BYTES.most} bytes in base64, or whpk_ and a public ed25519 key`)
}

function readKey(text: string): KeyObject {
  const bytes = strictBase64(text.slice('whpk_'.length))
  if (bytes?.length !== KEY_BYTES) throw new ResilError('INVALID_SECRET', 'this is no public key of a webhook', `write whpk_ and the ${KEY_BYTES} bytes of an ed25519 key in base64`)
  return createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv: 'Ed25519', x: bytes.toString('base64url') } })
}
