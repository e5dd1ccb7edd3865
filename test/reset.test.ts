import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { reset } from '../src/reset.ts'

const server = createServer({ allowHalfOpen: true })
beforeAll(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)))
afterAll(() => server.close())

async function pair(): Promise<{ ours: Socket; theirs: Socket }> {
  const accepted = once(server, 'connection').then(([socket]) => socket as Socket)
  const ours = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true })
  await once(ours, 'connect')
  return { ours, theirs: await accepted }
}

const handles = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length

test.each([
  ['that is open', () => {}],
  ['that is just being ended', (socket: Socket) => socket.end()],
  ['that still has much to write before it ends', (socket: Socket) => socket.end(Buffer.alloc(30_000_000))],
])('a connection %s is reset, and nothing of it stays', async (_, prepare) => {
  const before = handles()
  const { ours, theirs } = await pair()
  theirs.on('error', () => {})
  ours.on('error', () => {})
  prepare(ours)
  await Promise.resolve()
  reset(ours)
  await once(ours, 'close')
  // Whoever writes to it learns that it was no orderly end.
  const error = new Promise<NodeJS.ErrnoException>((resolve) => theirs.on('error', resolve))
  const gone = new Promise((resolve) => theirs.on('close', resolve))
  theirs.resume().write('x')
  expect((await error).code).toMatch(/^(ECONNRESET|EPIPE)$/)
  await gone
  expect(handles()).toBe(before)
})
