/** Against the published vectors, node's own verification, and the libraries that receivers use: standardwebhooks, svix, stripe. */
import { createHmac, createPublicKey, verify as verifyBytes } from 'node:crypto'
import fc from 'fast-check'
import { Webhook } from 'standardwebhooks'
import { Stripe } from 'stripe'
import { Webhook as SvixWebhook } from 'svix'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  ackSignature, ackValid, digestId, digestOf, digestSignature, digestValid, newSecret, publicKeyOf, readSignature, readValid, receiptOf, receiptValid, SIGNATURES_MOST, signer, verifier, verify, verifyAck,
} from '../../../src/engines/webhook/signature.ts'
import type { Reason } from '../../../src/engines/webhook/signature.ts'
import { Random } from '../../../src/random.ts'

const random = Random.seeded('signature')

/** Published with Standard Webhooks and with Svix's server. */
const VECTOR = {
  secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  timestamp: 1614265330,
  body: '{"test": 2432232314}',
  signature: 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
}
const CURVE = {
  secret: 'whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==',
  publicKey: 'whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=',
  signature: 'v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==',
}
const { id, timestamp, body } = VECTOR
const now = timestamp * 1000

const signed = (signature: string, change: Record<string, string> = {}) => ({ 'webhook-id': id, 'webhook-timestamp': String(timestamp), 'webhook-signature': signature, ...change })

function codeOf(work: () => unknown): string | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    return (error as { code?: string }).code
  }
}

describe('the published vectors', () => {
  test('W-VECTOR: v1', () => {
    expect(signer([{ secret: VECTOR.secret }]).sign(id, timestamp, body)).toBe(VECTOR.signature)
    expect(verify([VECTOR.secret], signed(VECTOR.signature), body, now)).toEqual({ ok: true, id, timestamp, by: 0 })
  })

  test('W-ED25519: v1a, from the seed alone and from the pair; the public half verifies', () => {
    expect(signer([{ secret: CURVE.secret }]).sign(id, timestamp, body)).toBe(CURVE.signature)
    const seed = `whsk_${Buffer.from(CURVE.secret.slice(5), 'base64').subarray(0, 32).toString('base64')}`
    expect(signer([{ secret: seed }]).sign(id, timestamp, body)).toBe(CURVE.signature)
    expect(publicKeyOf(CURVE.secret)).toBe(CURVE.publicKey)
    expect(publicKeyOf(seed)).toBe(CURVE.publicKey)
    for (const key of [CURVE.publicKey, CURVE.secret]) expect(verify([key], signed(CURVE.signature), body, now)).toEqual({ ok: true, id, timestamp, by: 0 })
  })
})

describe('others verify what we sign', () => {
  beforeEach(() => {
    vi.useFakeTimers({ now, toFake: ['Date'] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  const bodies = fc.oneof(fc.json(), fc.constant('{"emoji":"🦀","umlaut":"ü","nul":"\\u0000","line":"a\\r\\nb"}'))
  const ids = fc.stringMatching(/^[\w-]{1,40}$/).map((text) => `evt_${text}`)

  test('standardwebhooks and svix, any id and body; and we what they sign', () => {
    fc.assert(
      fc.property(ids, bodies, fc.uint8Array({ minLength: 24, maxLength: 64 }), (id, body, bytes) => {
        const secret = `whsec_${Buffer.from(bytes).toString('base64')}`
        const signature = signer([{ secret }]).sign(id, timestamp, body)
        const headers = { 'webhook-id': id, 'webhook-timestamp': String(timestamp), 'webhook-signature': signature }
        for (const library of [new Webhook(secret), new SvixWebhook(secret)]) {
          expect(library.verify(body, headers)).toEqual(JSON.parse(body))
          expect(verify([secret], { ...headers, 'webhook-signature': library.sign(id, new Date(now), body) }, Buffer.from(body), now).ok).toBe(true)
          expect(() => library.verify(`${body} `, headers)).toThrow()
        }
      }),
      { numRuns: 100 },
    )
  })

  test('a signature of each secret, during a rotation: the old library key and the new one both find theirs', () => {
    const [old, young] = [newSecret('v1', random), newSecret('v1', random)]
    const headers = signed(signer([{ secret: young }, { secret: CURVE.secret }, { secret: old, expiresAt: now + 1 }]).sign(id, timestamp, body))
    for (const secret of [old, young]) expect(new Webhook(secret).verify(body, headers)).toEqual(JSON.parse(body))
    expect(() => new Webhook(newSecret('v1', random)).verify(body, headers)).toThrow()
  })

  test('stripe: its scheme, old and new secret', () => {
    const stripe = new Stripe('sk_test_x')
    const [old, young] = [newSecret('v1', random), newSecret('v1', random)]
    const value = signer([{ secret: young }, { secret: old }]).stripe(timestamp, body)
    expect(value).toMatch(/^t=1614265330,v1=[0-9a-f]{64},v1=[0-9a-f]{64}$/)
    for (const secret of [old, young]) expect(stripe.webhooks.constructEvent(body, value, secret)).toEqual(JSON.parse(body))
    expect(() => stripe.webhooks.constructEvent(`${body} `, value, old)).toThrow()
    expect(() => stripe.webhooks.constructEvent(body, value, newSecret('v1', random))).toThrow()
    expect(value).toContain(stripe.webhooks.generateTestHeaderString({ payload: body, secret: young, timestamp }))
  })

  test('node verifies ed25519 with the public key that a receiver is given', () => {
    const secret = newSecret('v1a', random)
    const [version, signature] = signer([{ secret }]).sign(id, timestamp, body).split(',')
    const x = Buffer.from(publicKeyOf(secret).slice(5), 'base64').toString('base64url')
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
    expect(version).toBe('v1a')
    expect(verifyBytes(null, Buffer.from(`${id}.${timestamp}.${body}`), key, Buffer.from(signature!, 'base64'))).toBe(true)
  })
})

describe('signing', () => {
  test('gives one signature for each secret that is valid at that second, newest first', () => {
    const [first, second] = [newSecret('v1', random), newSecret('v1a', random)]
    const both = signer([{ secret: second }, { secret: first, expiresAt: now }])
    const alone = (secret: string) => signer([{ secret, expiresAt: null }]).sign(id, timestamp - 1, body)
    expect(both.sign(id, timestamp - 1, body)).toBe(`${alone(second)} ${alone(first)}`)
    expect(both.sign(id, timestamp, body)).toBe(signer([{ secret: second }]).sign(id, timestamp, body))
  })

  test('never leaves a message unsigned', () => {
    expect(codeOf(() => signer([]).sign(id, timestamp, body))).toBe('NO_SECRET')
    expect(codeOf(() => signer([{ secret: VECTOR.secret, expiresAt: now }]).sign(id, timestamp, body))).toBe('NO_SECRET')
    expect(codeOf(() => signer([{ secret: CURVE.secret }]).stripe(timestamp, body))).toBe('NO_SECRET')
  })

  test.each(['', 'a.1614265330', '.', 'a b', 'a\nb', 'ü', 'x'.repeat(256), 'receipt', 'ack', 'digest'])('119 refuses the id %j', (id) => {
    expect(codeOf(() => signer([{ secret: VECTOR.secret }]).sign(id, timestamp, body))).toBe('INVALID_ID')
    expect(codeOf(() => receiptOf(VECTOR.secret, id, timestamp))).toBe('INVALID_ID')
  })

  test.each([Number.NaN, -1, 1.5, 1e21, Infinity, 10 ** 18])('120 refuses the timestamp %d', (timestamp) => {
    expect(codeOf(() => signer([{ secret: VECTOR.secret }]).sign(id, timestamp, body))).toBe('INVALID_TIMESTAMP')
    expect(codeOf(() => signer([{ secret: VECTOR.secret }]).stripe(timestamp, body))).toBe('INVALID_TIMESTAMP')
    expect(codeOf(() => ackSignature(VECTOR.secret, id, timestamp))).toBe('INVALID_TIMESTAMP')
  })
})

describe('119 a signature', () => {
  const other = newSecret('v1', random)
  const right = VECTOR.signature
  const wrong = signer([{ secret: other }]).sign(id, timestamp, body)
  const rows: [what: string, headers: Record<string, string>, outcome: true | Reason, keys?: string[]][] = [
    ['that is right', signed(right), true],
    ['of another secret', signed(wrong), 'wrong'],
    ['of another body', signed(signer([{ secret: VECTOR.secret }]).sign(id, timestamp, `${body} `)), 'wrong'],
    ['of another id', signed(right, { 'webhook-id': 'msg_2' }), 'wrong'],
    ['of another second', signed(right, { 'webhook-timestamp': String(timestamp + 1) }), 'wrong'],
    ['that is missing', { 'webhook-id': id, 'webhook-timestamp': String(timestamp) }, 'missing'],
    ['that is empty', signed(''), 'missing'],
    ['without an id', { 'webhook-timestamp': String(timestamp), 'webhook-signature': right }, 'missing'],
    ['without a timestamp', { 'webhook-id': id, 'webhook-signature': right }, 'missing'],
    ['of version v0', signed(right.replace('v1', 'v0')), 'wrong'],
    ['of version v2, which is not known, beside a right one', signed(`v2,AAAA ${right}`), true],
    ['that is wrong, beside a right one', signed(`${wrong} ${right}`), true],
    ['that is right, before a wrong one', signed(`${right} ${wrong}`), true],
    ['of an old and a new secret, of which we know the old one', signed(signer([{ secret: other }, { secret: VECTOR.secret }]).sign(id, timestamp, body)), true],
    ['that one of our several secrets made', signed(right), true, [other, VECTOR.secret]],
    ['that is no base64', signed('v1,%%%%'), 'wrong'],
    ['that is no base64, beside a right one', signed(`v1,\u{1f980} ${right}`), true],
    ['that is cut short', signed(right.slice(0, -2)), 'wrong'],
    ['that goes on', signed(`${right}=`), 'wrong'],
    ['without a version', signed(right.slice(3)), 'malformed'],
    ['that is only a version', signed('v1,'), 'malformed'],
    ['in hex', signed(Buffer.from(right.slice(3), 'base64').toString('hex')), 'malformed'],
    ['of Stripe’s scheme', signed(signer([{ secret: VECTOR.secret }]).stripe(timestamp, body)), 'malformed'],
    ['hidden behind too many', signed(`${new Array(SIGNATURES_MOST).fill(wrong).join(' ')} ${right}`), 'malformed'],
    ['behind as many as are looked at', signed(`${new Array(SIGNATURES_MOST - 1).fill(wrong).join(' ')} ${right}`), true],
    ['of an id with a dot', { 'webhook-id': 'a.1614265330', 'webhook-timestamp': '5', 'webhook-signature': right }, 'malformed'],
    ['of an id that is a word of ours', signed(right, { 'webhook-id': 'receipt' }), 'malformed'],
    ['of two ids', signed(right, { 'webhook-id': `${id}, msg_2` }), 'malformed'],
    ['ed25519, to one who has an HMAC secret', signed(CURVE.signature), 'wrong'],
    ['ed25519, beside a right HMAC', signed(`${CURVE.signature} ${right}`), true],
    ['HMAC, to one who has a public key', signed(right), 'wrong', [CURVE.publicKey]],
    ['ed25519, called HMAC', signed(CURVE.signature.replace('v1a', 'v1')), 'wrong', [CURVE.publicKey]],
    ['ed25519 of another key', signed(CURVE.signature), 'wrong', [publicKeyOf(newSecret('v1a', random))]],
    ['ed25519, cut short', signed(CURVE.signature.slice(0, -4)), 'wrong', [CURVE.publicKey]],
    ['HMAC with the public key as its secret', signed(`v1,${createHmac('sha256', Buffer.from(CURVE.publicKey.slice(5), 'base64')).update(`${id}.${timestamp}.${body}`).digest('base64')}`), 'wrong', [CURVE.publicKey]],
  ]
  test.each(rows)('%s', (_, headers, outcome, keys = [VECTOR.secret]) => {
    for (const given of [body, Buffer.from(body)]) expect(verify(keys, headers, given, now)).toEqual(outcome === true ? { ok: true, id, timestamp, by: keys.indexOf(VECTOR.secret) } : { ok: false, reason: outcome })
  })

  test('is found whatever the headers come in', () => {
    const headers = signed(right)
    const capitals = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toUpperCase(), value]))
    for (const each of [new Headers(headers), capitals, Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]]))]) expect(verify([VECTOR.secret], each, body, now).ok).toBe(true)
  })

  test('with any bit changed, in the body, the id or itself, is wrong', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 0, max: 7 }), fc.constantFrom('v1', 'v1a'), (at, bit, kind) => {
        const [key, signature] = kind === 'v1' ? [VECTOR.secret, VECTOR.signature] : [CURVE.publicKey, CURVE.signature]
        const flip = (bytes: Buffer) => {
          bytes[at % bytes.length]! ^= 1 << bit
          return bytes
        }
        expect(verify([key], signed(signature), flip(Buffer.from(body)), now)).toEqual({ ok: false, reason: 'wrong' })
        expect(verify([key], signed(`${kind},${flip(Buffer.from(signature.split(',')[1]!, 'base64')).toString('base64')}`), body, now)).toEqual({ ok: false, reason: 'wrong' })
      }),
    )
  })

  test('is compared by timingSafeEqual and by nothing else', async () => {
    const source = await import('node:fs').then(({ readFileSync }) => readFileSync(new URL('../../../src/engines/webhook/signature.ts', import.meta.url), 'utf8'))
    expect(source).toMatch(/function sameText[^]*?timingSafeEqual\(a, b\)\n}/)
    expect(source).not.toMatch(/hmac\([^\n]*\) ===|=== hmac\(/)
  })
})

describe('120 a timestamp', () => {
  const at = (stamp: string, seconds = timestamp) => {
    const signature = /^\d{1,15}$/.test(stamp) ? signer([{ secret: VECTOR.secret }]).sign(id, Number(stamp), body) : VECTOR.signature
    const verdict = verify([VECTOR.secret], signed(signature, { 'webhook-timestamp': stamp }), body, seconds * 1000)
    return verdict.ok ? true : verdict.reason
  }
  test.each([
    [-300, true], [-301, 'stale'], [300, true], [301, 'future'], [0, true], [-86_400, 'stale'], [86_400, 'future'],
  ] as const)('%d s from now: %s', (seconds, outcome) => {
    expect(at(String(timestamp + seconds))).toBe(outcome)
  })

  test('counts whole seconds, as the libraries do: 300.999 s old is 300', () => {
    expect(verify([VECTOR.secret], signed(VECTOR.signature), body, now + 300_999).ok).toBe(true)
    expect(verify([VECTOR.secret], signed(VECTOR.signature), body, now + 301_000)).toEqual({ ok: false, reason: 'stale' })
  })

  test.each(['NaN', '-1614265330', '1000000000000000000', '1614265330.5', '01614265330', '1e9', '0x10', ' 1614265330', '+1614265330', 'Infinity', '１６１４２６５３３０', '1614265330, 1614265330'])('%j is malformed', (stamp) => {
    expect(at(stamp)).toBe('malformed')
  })

  test('in ms is from the future, 0 is stale', () => {
    expect(at('1614265330000')).toBe('future')
    expect(at('0')).toBe('stale')
  })

  test('is held against the tolerance that was asked for', () => {
    const strict = verifier([VECTOR.secret], 5)
    expect(strict.verify(signed(VECTOR.signature), body, now + 5000).ok).toBe(true)
    expect(strict.verify(signed(VECTOR.signature), body, now + 6000)).toEqual({ ok: false, reason: 'stale' })
  })
})

describe('secrets', () => {
  test('are new each time, of 32 bytes, and sign', () => {
    expect(newSecret('v1', Random.seeded(7))).toBe(newSecret('v1', Random.seeded(7)))
    const made = Array.from({ length: 100 }, () => newSecret('v1', Random.system()))
    expect(new Set(made).size).toBe(100)
    expect(made.every((secret) => /^whsec_[A-Za-z0-9+/]{43}=$/.test(secret))).toBe(true)
    const curve = newSecret('v1a', Random.system())
    expect(curve).toMatch(/^whsk_[A-Za-z0-9+/]{86}==$/)
    expect(verify([publicKeyOf(curve)], signed(signer([{ secret: curve }]).sign(id, timestamp, body)), body, now).ok).toBe(true)
  })

  const bytes = (n: number) => Buffer.alloc(n, 7).toString('base64')
  test.each([
    ['23 bytes', `whsec_${bytes(23)}`], ['65 bytes', `whsec_${bytes(65)}`], ['nothing', 'whsec_'], ['no prefix', bytes(32)], ['another prefix', `whsex_${bytes(32)}`],
    ['what is no base64', `whsec_${'%'.repeat(44)}`], ['base64 with a space in it', `whsec_${bytes(32).slice(0, 20)} ${bytes(32).slice(20)}`], ['base64url', 'whsec_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_'],
    ['a line feed behind', `whsec_${bytes(32)}\n`], ['31 bytes', `whsk_${bytes(31)}`], ['halves that do not match', `whsk_${bytes(64)}`], ['a public key of 33 bytes', `whpk_${bytes(33)}`],
  ])('are refused with %s, and not repeated', (_, secret) => {
    let message = 'it was taken'
    try {
      verifier([secret])
    } catch (error) {
      expect((error as { code: string }).code).toBe('INVALID_SECRET')
      message = String(error)
    }
    expect(message).not.toBe('it was taken')
    if (secret.length > 20) expect(message).not.toContain(secret.slice(6, 16))
  })

  test.each([24, 32, 64])('of %d bytes are taken, with and without the padding', (n) => {
    const secret = `whsec_${bytes(n)}`
    const signature = signer([{ secret }]).sign(id, timestamp, body)
    expect(signer([{ secret: secret.replace(/=+$/, '') }]).sign(id, timestamp, body)).toBe(signature)
  })

  test('a public key does not sign, and a shared secret has no public half', () => {
    expect(codeOf(() => signer([{ secret: CURVE.publicKey }]))).toBe('INVALID_SECRET')
    expect(codeOf(() => publicKeyOf(VECTOR.secret))).toBe('INVALID_SECRET')
    expect(codeOf(() => publicKeyOf(CURVE.publicKey))).toBe('INVALID_SECRET')
    expect(codeOf(() => verifier([]))).toBe('NO_SECRET')
  })
})

describe('what is said back', () => {
  const secret = VECTOR.secret
  const key = Buffer.from(secret.slice(6), 'base64')
  const rows = [
    ['receipt', receiptOf, receiptValid],
    ['ack', ackSignature, ackValid],
    ['read', readSignature, readValid],
    ['digest', digestSignature, digestValid],
  ] as const

  test.each(rows)('a %s is HMAC-SHA256 of its word, the id and the timestamp', (word, make, valid) => {
    const made = make(secret, id, timestamp)
    expect(made).toBe(createHmac('sha256', key).update(`${word}.${id}.${timestamp}`).digest('base64'))
    expect(valid([secret], id, timestamp, made)).toBe(true)
    expect(valid([newSecret('v1', random), secret], id, timestamp, made)).toBe(true)
    expect(valid([newSecret('v1', random)], id, timestamp, made)).toBe(false)
    expect(valid([secret], 'msg_2', timestamp, made)).toBe(false)
    expect(valid([secret], id, timestamp + 1, made)).toBe(false)
    expect(valid([secret], 'a.b', timestamp, made)).toBe(false)
    expect(valid([secret], id, Number.NaN, made)).toBe(false)
    for (const given of ['', made.slice(1), `${made}=`, made.toLowerCase(), 'ü']) expect(valid([secret], id, timestamp, given)).toBe(false)
  })

  test('none of them, nor the signature, passes for another', () => {
    const made = { receipt: receiptOf(secret, id, timestamp), ack: ackSignature(secret, id, timestamp), read: readSignature(secret, id, timestamp), digest: digestSignature(secret, id, timestamp), message: VECTOR.signature.slice(3) }
    expect(new Set(Object.values(made)).size).toBe(5)
    for (const [word, , valid] of rows) for (const [from, given] of Object.entries(made)) expect([word, from, valid([secret], id, timestamp, given)]).toEqual([word, from, word === from])
    // Of a receipt for an id of digits one could else make a message with the id "receipt".
    const forged = { 'webhook-id': 'receipt', 'webhook-timestamp': String(timestamp), 'webhook-signature': `v1,${receiptOf(secret, String(timestamp), timestamp)}` }
    expect(verify([secret], forged, String(timestamp), now)).toEqual({ ok: false, reason: 'malformed' })
  })

  test('the sender takes a receipt and an acknowledgement of any secret that was valid then', () => {
    const [old, young] = [newSecret('v1', random), newSecret('v1', random)]
    const sender = signer([{ secret: young }, { secret: CURVE.secret }, { secret: old, expiresAt: now }])
    for (const secret of [young, old]) {
      expect(sender.receiptValid(id, timestamp - 1, receiptOf(secret, id, timestamp - 1))).toBe(true)
      expect(sender.ackValid(id, timestamp - 1, ackSignature(secret, id, timestamp - 1))).toBe(true)
    }
    expect(sender.receiptValid(id, timestamp, receiptOf(old, id, timestamp))).toBe(false)
    expect(sender.receiptValid(id, timestamp, ackSignature(young, id, timestamp))).toBe(false)
    expect(sender.ackValid(id, timestamp, receiptOf(young, id, timestamp))).toBe(false)
  })

  test('a receiver of ed25519 signatures has nothing to sign a receipt with; a digest it can verify', () => {
    expect(codeOf(() => receiptOf(CURVE.publicKey, id, timestamp))).toBe('NO_SHARED_SECRET')
    expect(codeOf(() => ackSignature(CURVE.secret, id, timestamp))).toBe('NO_SHARED_SECRET')
    expect(codeOf(() => readSignature(CURVE.secret, id, timestamp))).toBe('NO_SHARED_SECRET')
    const made = digestSignature(CURVE.secret, id, timestamp)
    expect(digestValid([CURVE.publicKey], id, timestamp, made)).toBe(true)
    expect(digestValid([CURVE.publicKey], id, timestamp + 1, made)).toBe(false)
    expect(receiptValid([CURVE.publicKey], id, timestamp, made)).toBe(false)
  })

  test('an acknowledgement is believed within five minutes', () => {
    const ack = (seconds: number, change: Record<string, string> = {}) => ({ 'webhook-timestamp': String(timestamp + seconds), 'webhook-ack-signature': ackSignature(secret, id, timestamp + seconds), ...change })
    expect(verifyAck([secret], ack(-300), id, now)).toEqual({ ok: true })
    expect(verifyAck([secret], ack(-301), id, now)).toEqual({ ok: false, reason: 'stale' })
    expect(verifyAck([secret], ack(301), id, now)).toEqual({ ok: false, reason: 'future' })
    expect(verifyAck([secret], ack(0), 'msg_2', now)).toEqual({ ok: false, reason: 'wrong' })
    expect(verifyAck([secret], ack(0), 'a.b', now)).toEqual({ ok: false, reason: 'malformed' })
    expect(verifyAck([secret], ack(0, { 'webhook-timestamp': 'NaN' }), id, now)).toEqual({ ok: false, reason: 'malformed' })
    expect(verifyAck([secret], {}, id, now)).toEqual({ ok: false, reason: 'missing' })
  })

  test('a digest does not depend on the order of its ids, nor on repeats, and differs when one is missing', () => {
    const ids = Array.from({ length: 1000 }, (_, n) => `evt_${n}`)
    const whole = digestOf('ep_1', 1, 1000, ids)
    expect(whole).toEqual({ endpoint: 'ep_1', from: 1, to: 1000, count: 1000, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) })
    expect(digestOf('ep_1', 1, 1000, [...ids.toReversed(), 'evt_5'])).toEqual(whole)
    expect(digestOf('ep_1', 1, 1000, ids.slice(1)).sha256).not.toBe(whole.sha256)
    expect(digestOf('ep_1', 1, 1, ['a'])).toMatchObject({ count: 1, sha256: '87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7' })
    const names = [whole, { ...whole, endpoint: 'ep_2' }, { ...whole, from: 2 }, { ...whole, to: 999 }, { ...whole, count: 999 }, { ...whole, sha256: '0' }].map(digestId)
    expect(new Set(names).size).toBe(names.length)
    expect(digestValid([secret], digestId(whole), timestamp, digestSignature(secret, digestId(whole), timestamp))).toBe(true)
  })
})
