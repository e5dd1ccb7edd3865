/**
 * A payment service that keeps its word: the key is claimed before anything else, the bank is asked under a key of its own, an unknown outcome is
 * looked up, and only what the bank does not know after the settle time is sent again. FACE=other gives it another path, other names and other answers.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createServer } from 'node:http'

const { BANK_URL, PORT = '0', FACE = 'usual' } = process.env
const ANSWER_WITHIN_MS = 4000
const SETTLE_MS = 12_000

const faces = {
  usual: {
    path: '/v1/payments',
    key: 'idempotency-key',
    read: ({ amount, currency, order, card }) => ({ amount, currency, reference: order, card }),
    charged: (payment) => [201, { id: payment.bankKey, paid: true }],
    declined: (payment) => [402, { id: payment.bankKey, paid: false }],
    pending: (payment) => [202, { id: payment.bankKey }],
    reused: [422, { error: 'the key belongs to another payment' }],
  },
  other: {
    path: '/charge',
    key: 'x-request-key',
    read: ({ cents, money, ref, pan }) => ({ amount: cents, currency: money.toUpperCase(), reference: ref.id, card: pan }),
    charged: (payment) => [200, { result: { number: payment.bankKey, outcome: 'PAID' } }],
    declined: (payment) => [409, { result: { number: payment.bankKey, outcome: 'REFUSED' } }],
    pending: (payment) => [503, { result: { number: payment.bankKey, outcome: 'WAIT' } }],
    reused: [418, { error: 'another payment' }],
  },
}
const face = faces[FACE]
const payments = new Map()

const ask = async (path, init) => {
  const response = await fetch(`${BANK_URL}${path}`, { ...init, signal: AbortSignal.timeout(3000) })
  return { status: response.status, body: await response.json() }
}

async function settle(payment) {
  for (let sentAt = 0; ; ) {
    try {
      if (sentAt === 0) {
        sentAt = Date.now()
        const { status } = await ask('/v1/charges', { method: 'POST', headers: { 'content-type': 'application/json', 'idempotency-key': payment.bankKey }, body: JSON.stringify(payment.asked) })
        if (status === 201) return 'charged'
        if (status === 402) return 'declined'
      }
      const { status, body } = await ask(`/v1/charges?key=${payment.bankKey}`)
      const known = status === 200 ? body.charges[0] : undefined
      if (known) return known.status === 'succeeded' ? 'charged' : 'declined'
      if (status === 200 && Date.now() > sentAt + SETTLE_MS) sentAt = 0
    } catch {
      // unknown: look it up
    }
    await sleep(100)
  }
}

const server = createServer(async (request, response) => {
  let text = ''
  for await (const chunk of request) text += chunk
  const say = ([status, value]) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
  if (request.method !== 'POST' || request.url !== face.path) return say([404, { error: 'not found' }])
  const key = request.headers[face.key]
  let payment = payments.get(key)
  if (payment && payment.text !== text) return say(face.reused)
  if (!payment) {
    payment = { text, asked: face.read(JSON.parse(text)), bankKey: randomUUID() }
    payments.set(key, payment)
    payment.end = settle(payment)
  }
  const end = await Promise.race([payment.end, sleep(ANSWER_WITHIN_MS, 'pending')])
  say(face[end](payment))
})
server.listen(Number(PORT), '127.0.0.1', () => console.log(`listening on ${server.address().port}`))
