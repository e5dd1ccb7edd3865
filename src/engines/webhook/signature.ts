/**
 * Who says so: signatures of webhooks, and of what is said back about them. Standard Webhooks 1.0.0, with the scheme of Stripe's beside it.
 *
 *   webhook-signature   v1,HMAC-SHA256 or v1a,ed25519 of "ID.TIMESTAMP.BODY", in base64; one for each secret, a space between
 *   webhook-receipt     HMAC-SHA256 of "receipt.ID.TIMESTAMP", in base64: whoever answers so holds the secret and has read the message
 *   acknowledgement     the same of "ack.ID.TIMESTAMP"
 *   question            the same of "read.ENDPOINT.TIMESTAMP": whoever asks for what an endpoint is told is that endpoint
 *   digest              the same, or ed25519, of "digest.ID.TIMESTAMP"
 *
 * An id holds no dot, else two messages could have one signature; and "receipt", "ack" and "digest" are no ids, else a receipt could be presented as
 * the signature of a message. Pure: keys, ids, times and chance come in. Timestamps are whole seconds since 1970, other times are ms.
 */
import type { KeyObject } from 'node:crypto'
import { createHash, createHmac, createPrivateKey, createPublicKey, createSecretKey, sign as signBytes, timingSafeEqual, verify as verifyBytes } from 'node:crypto'
import { ResilError } from '../../errors.ts'

/** v1: HMAC-SHA256, one secret for both sides. v1a: ed25519, the receiver knows the public half alone. */
export type Kind = 'v1' | 'v1a'

/** A secret as the sender keeps it. */
export interface Secret {
  /** `whsec_...` or `whsk_...` */
  secret: string
  /** Signs until then, ms; for good when absent or null. */
  expiresAt?: number | null
}

/** Why a request is not believed: a header is missing, or unreadable; it is too old, or from the future; or the signature is wrong. */
export type Reason = 'missing' | 'malformed' | 'stale' | 'future' | 'wrong'

export type Refused = { ok: false; reason: Reason }

/** `by` is the place, among the keys that were given, of the one that fits. */
export type Verified = { ok: true; id: string; timestamp: number; by: number } | Refused

/** Headers as Node, `fetch` or a test has them; upper and lower case are the same. */
export type AnyHeaders = { get(name: string): string | null } | Readonly<Record<string, string | readonly string[] | undefined>>

/** How far the two clocks may be apart, either way. What all libraries of Standard Webhooks and Stripe's take. */
export const TOLERANCE_SECONDS = 300
/** Signatures of one request that are looked at: each may cost a curve multiplication. A rotation overlaps eleven. */
export const SIGNATURES_MOST = 32

/** Of a new HMAC secret; those of others may have 24 to 64. */
const SECRET_BYTES = 32
const SECRET_BYTES_LEAST = 24
const SECRET_BYTES_MOST = 64
const ED25519_BYTES = 32

/** Visible ASCII without a dot: it travels in a header and stands before a dot. */
const ID = /^[!-\-/-~]{1,255}$/
const RESERVED: ReadonlySet<string> = new Set(['receipt', 'ack', 'read', 'digest'])
/** No sign, no leading zero, and nothing that a number could not hold. */
const TIMESTAMP = /^(0|[1-9]\d{0,14})$/
/** PKCS #8 of an ed25519 seed, up to the seed. RFC 8410. */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex')

/** A new secret from `random`, which is the system's wherever the secret is to be one. */
export function newSecret(kind: Kind, random: { bytes(n: number): Uint8Array }): string {
  if (kind === 'v1') return `whsec_${Buffer.from(random.bytes(SECRET_BYTES)).toString('base64')}`
  const seed = Buffer.from(random.bytes(ED25519_BYTES))
  return `whsk_${Buffer.concat([seed, publicBytes(createPublicKey(privateKey(seed)))]).toString('base64')}`
}

/** `whpk_...`, which a receiver of v1a is given. Throws INVALID_SECRET unless it is given a `whsk_...`. */
export function publicKeyOf(secret: string): string {
  const key = readKey(secret)
  if (key.kind !== 'v1a' || !key.sign) throw invalid('only a whsk_ secret has a public half')
  return `whpk_${publicBytes(key.verify).toString('base64')}`
}

/** Throws INVALID_SECRET for what cannot sign. */
export function checkSecret(secret: string): void {
  const key = readKey(secret)
  if (key.kind === 'v1a' && !key.sign) throw invalid('a public key does not sign')
}

type Key = { kind: 'v1'; secret: KeyObject } | { kind: 'v1a'; sign?: KeyObject; verify: KeyObject }

/**
 * `whsec_` and base64 of 24 to 64 bytes; `whsk_` and base64 of the seed, or of the seed and the public key; `whpk_` and base64 of the public key.
 * Throws INVALID_SECRET, which never repeats what it was given.
 */
function readKey(text: string): Key {
  const [, prefix, encoded] = /^(whsec|whsk|whpk)_(.*)$/s.exec(text) ?? []
  if (prefix === undefined || encoded === undefined) throw invalid('a secret begins with whsec_ or whsk_, a public key with whpk_')
  const bytes = Buffer.from(encoded, 'base64')
  if (bytes.toString('base64').replace(/=+$/, '') !== encoded.replace(/=+$/, '')) throw invalid(`what follows ${prefix}_ is not base64`)
  if (prefix === 'whsec') {
    if (bytes.length < SECRET_BYTES_LEAST || bytes.length > SECRET_BYTES_MOST) throw invalid(`a whsec_ secret has ${SECRET_BYTES_LEAST} to ${SECRET_BYTES_MOST} bytes, this one ${bytes.length}`)
    return { kind: 'v1', secret: createSecretKey(bytes) }
  }
  if (prefix === 'whpk') {
    if (bytes.length !== ED25519_BYTES) throw invalid(`a whpk_ key has ${ED25519_BYTES} bytes, this one ${bytes.length}`)
    return { kind: 'v1a', verify: createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: bytes.toString('base64url') }, format: 'jwk' }) }
  }
  if (bytes.length !== ED25519_BYTES && bytes.length !== 2 * ED25519_BYTES) throw invalid(`a whsk_ secret has ${ED25519_BYTES} or ${2 * ED25519_BYTES} bytes, this one ${bytes.length}`)
  const sign = privateKey(bytes.subarray(0, ED25519_BYTES))
  const verify = createPublicKey(sign)
  if (bytes.length > ED25519_BYTES && !publicBytes(verify).equals(bytes.subarray(ED25519_BYTES))) throw invalid('the two halves of the whsk_ secret do not belong together')
  return { kind: 'v1a', sign, verify }
}

const privateKey = (seed: Buffer) => createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, seed]), format: 'der', type: 'pkcs8' })

const publicBytes = (key: KeyObject) => Buffer.from(key.export({ format: 'jwk' }).x!, 'base64url')

function invalid(why: string): ResilError {
  return new ResilError('INVALID_SECRET', why, 'resil webhook endpoint rotate makes a new one')
}

/** Signs for one endpoint, its keys read once. */
export interface Signer {
  /** The value of `webhook-signature`. Throws INVALID_ID, INVALID_TIMESTAMP, and NO_SECRET when none is valid at that second. */
  sign(id: string, timestampSeconds: number, body: string): string
  /** The value of `stripe-signature`, for receivers that verify with Stripe's SDK. Throws INVALID_TIMESTAMP, and NO_SECRET without a `whsec_` that is valid. */
  stripe(timestampSeconds: number, body: string): string
  /** Whether the receipt, or the acknowledgement, was made with a secret that was valid at that second. */
  receiptValid(id: string, timestampSeconds: number, given: string): boolean
  ackValid(id: string, timestampSeconds: number, given: string): boolean
}

/** `secrets` newest first, in which order they sign. Throws INVALID_SECRET. */
export function signer(secrets: readonly Secret[]): Signer {
  const all = secrets.map(({ secret, expiresAt }) => {
    const key = readKey(secret)
    if (key.kind === 'v1a' && !key.sign) throw invalid('a public key does not sign')
    return { key, until: expiresAt ?? Infinity, whole: key.kind === 'v1' ? createSecretKey(Buffer.from(secret)) : undefined }
  })
  const validAt = (timestampSeconds: number) => all.filter(({ until }) => timestampSeconds * 1000 < until)
  const said = (word: Word) => (id: string, timestampSeconds: number, given: string) =>
    validAt(timestampSeconds).reduce((valid, { key }) => (key.kind === 'v1' && sameText(given, hmac(key.secret, `${word}.${id}.${timestampSeconds}`))) || valid, false)
  return {
    sign(id, timestampSeconds, body) {
      checkId(id)
      checkTimestamp(timestampSeconds)
      const prefix = `${id}.${timestampSeconds}.`
      let value = ''
      for (const { key, until } of all) {
        if (timestampSeconds * 1000 >= until) continue
        if (value !== '') value += ' '
        value += key.kind === 'v1' ? `v1,${hmac(key.secret, prefix, body)}` : `v1a,${signBytes(null, Buffer.from(prefix + body), key.sign!).toString('base64')}`
      }
      if (value === '') throw noSecret()
      return value
    },
    stripe(timestampSeconds, body) {
      checkTimestamp(timestampSeconds)
      const signatures = validAt(timestampSeconds).flatMap(({ whole }) => (whole ? [`,v1=${createHmac('sha256', whole).update(`${timestampSeconds}.`).update(body).digest('hex')}`] : []))
      if (signatures.length === 0) throw noSecret()
      return `t=${timestampSeconds}${signatures.join('')}`
    },
    receiptValid: said('receipt'),
    ackValid: said('ack'),
  }
}

/** Nothing leaves unsigned. */
function noSecret(): ResilError {
  return new ResilError('NO_SECRET', 'no secret of this endpoint is valid now', 'resil webhook endpoint rotate gives it a new one')
}

function hmac(key: KeyObject, head: string, body: string | Uint8Array = ''): string {
  return createHmac('sha256', key).update(head).update(body).digest('base64')
}

/** The time that it takes tells the lengths, which are no secret, and nothing else. */
function sameText(given: string, right: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(right)]
  return a.length === b.length && timingSafeEqual(a, b)
}

function checkId(id: string): void {
  if (!isId(id)) throw new ResilError('INVALID_ID', 'an id of a webhook is 1 to 255 visible characters without a dot, and not receipt, ack, read or digest', 'use the id that the engine gave')
}

const isId = (id: string) => ID.test(id) && !RESERVED.has(id)

function checkTimestamp(seconds: number): void {
  if (!TIMESTAMP.test(String(seconds))) throw new ResilError('INVALID_TIMESTAMP', `${seconds} is no timestamp`, 'give whole seconds since 1970')
}

/** Verifies for one endpoint, its keys read once. */
export interface Verifier {
  /**
   * `rawBody` are the bytes that came, before anybody parsed them. `nowMs` is wall time. Signatures of versions that are not known are passed over; of the
   * others one that is right is enough.
   */
  verify(headers: AnyHeaders, rawBody: string | Uint8Array, nowMs: number): Verified
}

/** `keys` are `whsec_`, `whsk_` or `whpk_`, any of which may have signed. Throws INVALID_SECRET, and NO_SECRET when there are none. */
export function verifier(keys: readonly string[], toleranceSeconds = TOLERANCE_SECONDS): Verifier {
  const all = readKeys(keys)
  return {
    verify(headers, rawBody, nowMs) {
      const id = header(headers, 'webhook-id')
      const stamp = header(headers, 'webhook-timestamp')
      const signatures = header(headers, 'webhook-signature')
      if (!id || !stamp || !signatures) return { ok: false, reason: 'missing' }
      const entries = signatures.split(' ')
      if (!isId(id) || entries.length > SIGNATURES_MOST || !entries.some((entry) => /^v\w+,./.test(entry))) return { ok: false, reason: 'malformed' }
      const late = lateness(stamp, nowMs, toleranceSeconds)
      if (late) return { ok: false, reason: late }
      const prefix = `${id}.${stamp}.`
      const right = all.map((key) => (key.kind === 'v1' ? matchesHmac(entries, `v1,${hmac(key.secret, prefix, rawBody)}`) : matchesCurve(entries, key.verify, prefix, rawBody)))
      const by = right.indexOf(true)
      return by === -1 ? { ok: false, reason: 'wrong' } : { ok: true, id, timestamp: Number(stamp), by }
    },
  }
}

/** Once; whoever verifies often keeps a `verifier`. Throws INVALID_SECRET, NO_SECRET. */
export function verify(keys: readonly string[], headers: AnyHeaders, rawBody: string | Uint8Array, nowMs: number): Verified {
  return verifier(keys).verify(headers, rawBody, nowMs)
}

/** All are compared, whichever is right. */
const matchesHmac = (entries: readonly string[], right: string) => entries.reduce((found, entry) => sameText(entry, right) || found, false)

function matchesCurve(entries: readonly string[], key: KeyObject, prefix: string, body: string | Uint8Array): boolean {
  const signatures = entries.filter((entry) => entry.startsWith('v1a,')).map((entry) => Buffer.from(entry.slice(4), 'base64'))
  if (signatures.length === 0) return false
  const content = Buffer.concat([Buffer.from(prefix), typeof body === 'string' ? Buffer.from(body) : body])
  return signatures.some((signature) => signature.length === 2 * ED25519_BYTES && verifyBytes(null, content, key, signature))
}

function readKeys(keys: readonly string[]): Key[] {
  if (keys.length === 0) throw new ResilError('NO_SECRET', 'there is no secret to verify with', 'give the endpoint’s whsec_ secret or its whpk_ public key')
  return keys.map(readKey)
}

/** Undefined within the tolerance, its ends included. */
function lateness(stamp: string, nowMs: number, toleranceSeconds: number): 'malformed' | 'stale' | 'future' | undefined {
  if (!TIMESTAMP.test(stamp)) return 'malformed'
  const age = Math.floor(nowMs / 1000) - Number(stamp)
  if (age > toleranceSeconds) return 'stale'
  return age < -toleranceSeconds ? 'future' : undefined
}

/** A header that came twice is unreadable on purpose: two ids have a comma and a space between them. */
export function header(headers: AnyHeaders, name: string): string | undefined {
  if (typeof headers.get === 'function') return (headers as { get(name: string): string | null }).get(name) ?? undefined
  const record = headers as Readonly<Record<string, string | readonly string[] | undefined>>
  const value = record[name] ?? record[Object.keys(record).find((key) => key.toLowerCase() === name) ?? '']
  return typeof value === 'string' || value === undefined ? value : value.join(', ')
}

type Word = 'receipt' | 'ack' | 'read' | 'digest'

/** For people. */
const CALLED: Readonly<Record<Word, string>> = { receipt: 'a receipt', ack: 'an acknowledgement', read: 'a question', digest: 'a digest' }

/** The value of `webhook-receipt` for the attempt with this id and timestamp. Throws NO_SHARED_SECRET, INVALID_SECRET, INVALID_ID, INVALID_TIMESTAMP. */
export const receiptOf = (secret: string, id: string, timestampSeconds: number): string => tag('receipt', secret, id, timestampSeconds)

/** The value of `webhook-ack-signature`; the timestamp is that of the acknowledgement. Throws as `receiptOf` does. */
export const ackSignature = (secret: string, id: string, timestampSeconds: number): string => tag('ack', secret, id, timestampSeconds)

/** The value of `webhook-read-signature`, of the endpoint's id; the timestamp is that of the question. Throws as `receiptOf` does. */
export const readSignature = (secret: string, endpoint: string, timestampSeconds: number): string => tag('read', secret, endpoint, timestampSeconds)

/** Of what `digestId` says of a digest. Throws INVALID_SECRET, INVALID_ID, INVALID_TIMESTAMP. */
export const digestSignature = (secret: string, id: string, timestampSeconds: number): string => tag('digest', secret, id, timestampSeconds)

function tag(word: Word, secret: string, id: string, timestampSeconds: number): string {
  checkId(id)
  checkTimestamp(timestampSeconds)
  const key = readKey(secret)
  const content = `${word}.${id}.${timestampSeconds}`
  if (key.kind === 'v1') return hmac(key.secret, content)
  if (word !== 'digest') throw new ResilError('NO_SHARED_SECRET', `a receiver of ed25519 signatures has no secret to sign ${CALLED[word]} with`, 'give the endpoint a v1 secret: resil webhook endpoint rotate --signature v1')
  if (!key.sign) throw invalid('a public key does not sign')
  return signBytes(null, Buffer.from(content), key.sign).toString('base64')
}

/** The twins of those above: whether one of `keys` made it. What cannot be an id, or a timestamp, is false. Throws INVALID_SECRET, NO_SECRET. */
export const receiptValid = (keys: readonly string[], id: string, timestampSeconds: number, given: string): boolean => tagValid('receipt', keys, id, timestampSeconds, given)
export const ackValid = (keys: readonly string[], id: string, timestampSeconds: number, given: string): boolean => tagValid('ack', keys, id, timestampSeconds, given)
export const readValid = (keys: readonly string[], endpoint: string, timestampSeconds: number, given: string): boolean => tagValid('read', keys, endpoint, timestampSeconds, given)
export const digestValid = (keys: readonly string[], id: string, timestampSeconds: number, given: string): boolean => tagValid('digest', keys, id, timestampSeconds, given)

function tagValid(word: Word, keys: readonly string[], id: string, timestampSeconds: number, given: string): boolean {
  const all = readKeys(keys)
  if (!isId(id) || !TIMESTAMP.test(String(timestampSeconds))) return false
  const content = `${word}.${id}.${timestampSeconds}`
  return all
    .map((key) => {
      if (key.kind === 'v1') return sameText(given, hmac(key.secret, content))
      const signature = Buffer.from(given, 'base64')
      return word === 'digest' && signature.length === 2 * ED25519_BYTES && verifyBytes(null, Buffer.from(content), key.verify, signature)
    })
    .includes(true)
}

/** An acknowledgement as it comes: `webhook-timestamp` and `webhook-ack-signature` in the headers, the id in the body. Throws INVALID_SECRET, NO_SECRET. */
export const verifyAck = (keys: readonly string[], headers: AnyHeaders, id: string, nowMs: number): { ok: true } | Refused => verifySaid('ack', keys, headers, id, nowMs)

/** A question as it comes: `webhook-timestamp` and `webhook-read-signature` in the headers, the endpoint in the path. Throws INVALID_SECRET, NO_SECRET. */
export const verifyRead = (keys: readonly string[], headers: AnyHeaders, endpoint: string, nowMs: number): { ok: true } | Refused => verifySaid('read', keys, headers, endpoint, nowMs)

function verifySaid(word: 'ack' | 'read', keys: readonly string[], headers: AnyHeaders, id: string, nowMs: number): { ok: true } | Refused {
  const stamp = header(headers, 'webhook-timestamp')
  const given = header(headers, `webhook-${word}-signature`)
  if (!stamp || !given) return { ok: false, reason: 'missing' }
  const late = isId(id) ? lateness(stamp, nowMs, TOLERANCE_SECONDS) : 'malformed'
  if (late) return { ok: false, reason: late }
  return tagValid(word, keys, id, Number(stamp), given) ? { ok: true } : { ok: false, reason: 'wrong' }
}

/** What an endpoint was sent under the sequence numbers `from` to `to`, both included. */
export interface Digest {
  endpoint: string
  from: number
  to: number
  /** How many events these are. */
  count: number
  /** Of their ids, sorted, each followed by a line feed; hex. */
  sha256: string
}

/** An id that comes twice counts once. */
export function digestOf(endpoint: string, from: number, to: number, ids: Iterable<string>): Digest {
  const sorted = [...new Set(ids)].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
  const hash = createHash('sha256')
  for (const id of sorted) hash.update(`${id}\n`)
  return { endpoint, from, to, count: sorted.length, sha256: hash.digest('hex') }
}

/** The whole digest in one word, for `digestSignature`: no two digests have the same. */
export function digestId({ endpoint, from, to, count, sha256 }: Digest): string {
  return `${endpoint}/${from}-${to}/${count}/${sha256}`
}
