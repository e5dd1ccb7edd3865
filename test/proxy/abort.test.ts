/** Clients that give up, by the thousand: the service feels each, and no socket, timer or exchange is left of any. */
import { expect, test } from 'vitest'
import type { ToxicSpec } from '../../src/scenario.ts'
import { answer, deferred, openWire, post } from './wire.ts'
import type { End } from './wire.ts'

const ABORTS = 1000
const AT_ONCE = 50

/** Where in the exchange the client gives up: what it has sent and read by then. */
const MOMENTS: { moment: string; sent: string; read: string }[] = [
  { moment: 'before a byte', sent: '', read: '' },
  { moment: 'inside the head', sent: 'POST /v1/charges HTTP/1.1\r\nhost: b', read: '' },
  { moment: 'inside the body', sent: post('/v1/charges', 'x'.repeat(20_000)).slice(0, 9000), read: '' },
  { moment: 'while the service works', sent: post('/slow'), read: '' },
  { moment: 'inside the answer', sent: post('/half'), read: 'half' },
  { moment: 'after the answer', sent: post('/v1/charges'), read: 'done' },
]

function serve(end: End): void {
  end.socket.once('data', () => {
    if (end.text.startsWith('POST /half')) end.socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf')
    else if (end.text.startsWith('POST /v1/charges') && end.text.endsWith('{}')) end.socket.write(answer('done'))
  })
  end.socket.on('end', () => end.socket.end())
}

test.each([
  ['with no rule', [] as Omit<ToxicSpec, 'link'>[]],
  [
    'with rules that hold bytes and answers back',
    [
      { type: 'latency', attributes: { latency: 5 } },
      { type: 'http_delay', attributes: { path: '/slow', where: 'forward', ms: 30 } },
      { type: 'lost_response', attributes: { path: '/slow', then: 'hang' } },
      { type: 'duplicate_request', attributes: { path: '/v1/charges' } },
    ],
  ],
])(`${ABORTS} requests that were given up leave 0 sockets, %s`, { timeout: 60_000 }, async (_, rules) => {
  let oneClosed = deferred<void>()
  await using wire = await openWire((end) => {
    end.socket.on('close', () => {
      oneClosed.resolve()
      oneClosed = deferred()
    })
    serve(end)
  })
  for (const rule of rules) wire.rules.add({ link: 'bank', ...rule })
  for (let done = 0; done < ABORTS; done += AT_ONCE) {
    await Promise.all(
      Array.from({ length: AT_ONCE }, async (_, i) => {
        const { sent, read } = MOMENTS[i % MOMENTS.length]!
        const client = await wire.client()
        if (sent !== '') client.socket.write(sent)
        if (read !== '') await client.until(read)
        if (i % 2 === 0) client.socket.destroy()
        else client.socket.resetAndDestroy()
      }),
    )
  }
  await wire.until('connection.closed', ABORTS)
  while (wire.served.size > 0) await oneClosed.promise
  expect(wire.of('connection.opened')).toHaveLength(ABORTS)
  expect(wire.link.connections).toBe(0)
  const ended = wire.of('exchange.answered').length + wire.of('exchange.cut').length
  expect(ended).toBe(wire.of('exchange.opened').length)
})
