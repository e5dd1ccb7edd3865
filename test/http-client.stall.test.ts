/** A process that stands still while the answer comes: only a process of its own can answer it meanwhile. */
import { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { SystemClock } from '../src/clock.ts'
import { HttpNetwork } from '../src/http-client.ts'

const ANSWER_AFTER_MS = 100
const TIMEOUT_MS = 200
const STALL_MS = 400

let server: Worker
let network: HttpNetwork

beforeAll(async () => {
  server = new Worker(
    `const { createServer } = require('node:http')
     const { parentPort } = require('node:worker_threads')
     const server = createServer((request, response) => {
       if (request.url !== '/never') setTimeout(() => response.end('{}'), ${ANSWER_AFTER_MS})
       if (request.url !== '/first') parentPort.postMessage('received')
     })
     server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))`,
    { eval: true },
  )
  const port = await new Promise((resolve) => server.once('message', resolve))
  network = new HttpNetwork({ clock: new SystemClock(), services: { bank: `http://127.0.0.1:${String(port)}` } })
})

afterAll(async () => {
  await network.close()
  await server.terminate()
})

const received = () => new Promise((resolve) => server.once('message', resolve))

const call = (path: string) => network.call('bank', { method: 'GET', path, headers: {}, body: '' }, { timeoutMs: TIMEOUT_MS })

/** This thread stands still: no timer fires and no socket is read. */
const stall = () => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STALL_MS)

it('an answer that came while the process stood still counts more than the time-out that fell due meanwhile', async () => {
  await call('/first') // the connection is made
  const got = received()
  const answered = call('/')
  await got
  stall()
  expect(await answered).toMatchObject({ kind: 'ok', value: { status: 200 } })
})

it('one that did not come is a time-out all the same', async () => {
  const got = received()
  const answered = call('/never')
  await got
  stall()
  expect(await answered).toMatchObject({ kind: 'unknown', error: { code: 'TIMEOUT' } })
})
