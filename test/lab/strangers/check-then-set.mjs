/** A payment service as one finds it: it looks whether the key is known, charges, and remembers the answer. It knows its bank from the environment, and nothing else. */
import { createServer } from 'node:http'

const { BANK_URL, PORT = '0' } = process.env
const answers = new Map()

async function charge({ amount, currency, order, card }) {
  const response = await fetch(`${BANK_URL}/v1/charges`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ amount, currency, reference: order, card }),
  })
  if (!response.ok) throw new Error(`the bank said ${response.status}`)
  return response.json()
}

const server = createServer(async (request, response) => {
  let body = ''
  for await (const chunk of request) body += chunk
  const say = (status, value) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
  if (request.method !== 'POST' || request.url !== '/v1/payments') return say(404, { error: 'not found' })
  const key = request.headers['idempotency-key']
  if (answers.has(key)) return say(201, answers.get(key))
  try {
    const { id } = await charge(JSON.parse(body))
    answers.set(key, { paid: true, charge: id })
    say(201, answers.get(key))
  } catch (error) {
    say(500, { error: String(error) })
  }
})
server.listen(Number(PORT), '127.0.0.1', () => console.log(`listening on ${server.address().port}`))
