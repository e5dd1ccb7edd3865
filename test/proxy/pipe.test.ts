import { expect, test } from 'vitest'
import { VirtualClock } from '../../src/clock.ts'
import { silentLog } from '../../src/events.ts'
import { Pipe } from '../../src/proxy/pipe.ts'
import { Rules } from '../../src/proxy/rules.ts'
import { toxics } from './wire.ts'

function setup() {
  const clock = new VirtualClock()
  const rules = new Rules({ link: 'bank', seed: 1, toxics, clock, log: silentLog })
  const out: string[] = []
  const pipes: Pipe[] = []
  rules.watch((change) => {
    for (const pipe of pipes) {
      if ('added' in change) pipe.add(change.added)
      else if ('removed' in change) pipe.remove(change.removed)
      else pipe.update(change.updated)
    }
  })
  const say = (what: string) => void out.push(`${Math.round(clock.monotonic())} ${what}`)
  const open = () => {
    const pipe = new Pipe({
      clock,
      rules,
      stream: 'downstream',
      connection: 1,
      client: '127.0.0.1',
      subjectOf: ({ number, method, path }) => ({ connection: 1, client: '127.0.0.1', exchange: number, method, path, header: () => undefined }),
      deliver: (item) => say(item.is === 'bytes' ? item.bytes.toString() : item.is),
      cut: (how) => say(`cut ${how}`),
    })
    pipes.push(pipe)
    return pipe
  }
  const add = (type: string, attributes: Record<string, number>, name = type) => void rules.add({ link: 'bank', type, name, attributes })
  const send = (pipe: Pipe, text: string) => {
    pipe.push({ is: 'bytes', bytes: Buffer.from(text), exchange: null, last: false })
    pipe.settle()
  }
  return { clock, rules, out, open, add, send, rest: () => clock.run(clock.sleep(100_000)) }
}

test('without rules everything passes at once', () => {
  const { open, send, out } = setup()
  const pipe = open()
  send(pipe, 'a')
  pipe.push({ is: 'end' })
  expect(out).toEqual(['0 a', '0 end'])
})

test('two latencies add up, throughput is kept, and the end waits behind the bytes', async () => {
  const { open, add, send, out, clock, rest } = setup()
  add('latency', { latency: 100 }, 'one')
  add('latency', { latency: 50 }, 'two')
  const pipe = open()
  send(pipe, 'a')
  await clock.run(clock.sleep(10))
  send(pipe, 'b')
  pipe.push({ is: 'end' })
  await rest()
  expect(out).toEqual(['150 a', '160 b', '160 end'])
})

test('jitter never reorders', async () => {
  const { open, add, send, out, rest } = setup()
  add('latency', { latency: 100, jitter: 90 })
  const pipe = open()
  const letters = [...'abcdefghijklmnopqrstuvwxyz']
  for (const letter of letters) send(pipe, letter)
  await rest()
  expect(out.map((line) => line.split(' ')[1])).toEqual(letters)
})

test('bandwidth cuts what takes long into slices of 100 ms', async () => {
  const { open, add, send, out, rest } = setup()
  add('bandwidth', { rate: 1 })
  const pipe = open()
  send(pipe, 'x'.repeat(250))
  expect(pipe.queuedBytes).toBe(250)
  await rest()
  expect(out.map((line) => [line.split(' ')[0], line.split(' ')[1]!.length])).toEqual([['100', 100], ['200', 100], ['250', 50]])
  expect(pipe.queuedBytes).toBe(0)
})

test('what a rule held passes at once when it is gone, in order', async () => {
  const { open, add, send, out, rules, rest } = setup()
  add('bandwidth', { rate: 0 })
  const pipe = open()
  send(pipe, 'a')
  send(pipe, 'b')
  pipe.push({ is: 'end' })
  expect(pipe.isStuck).toBe(true)
  expect(out).toEqual([])
  rules.remove('bandwidth')
  expect(out).toEqual(['0 a', '0 b', '0 end'])
  expect(pipe.isStuck).toBe(false)
  send(pipe, 'c')
  expect(out.at(-1)).toBe('0 c')
  await rest()
})

test('a rule that is gone hands on to the rules that stay', async () => {
  const { open, add, send, out, rules, rest } = setup()
  add('latency', { latency: 1000 }, 'one')
  add('latency', { latency: 50 }, 'two')
  const pipe = open()
  send(pipe, 'a')
  rules.remove('one')
  await rest()
  expect(out).toEqual(['50 a'])
})

test('a new rule comes behind those that are there, and leaves what has passed', async () => {
  const { open, add, send, out, rest } = setup()
  const pipe = open()
  send(pipe, 'a')
  add('latency', { latency: 30 })
  send(pipe, 'b')
  await rest()
  expect(out).toEqual(['0 a', '30 b'])
})

test('the time to the close begins again with every swallowed chunk', async () => {
  const { open, add, send, out, clock, rest } = setup()
  add('timeout', { timeout: 100 })
  const pipe = open()
  send(pipe, 'a')
  await clock.run(clock.sleep(80))
  send(pipe, 'b')
  await rest()
  expect(out).toEqual(['180 cut fin'])
})

test('what is pushed for later keeps its place before what comes after, and can be hurried', async () => {
  const { open, send, out, rest } = setup()
  const pipe = open()
  pipe.push({ is: 'bytes', bytes: Buffer.from('a'), exchange: null, last: false }, 500)
  send(pipe, 'b')
  expect(out).toEqual([])
  pipe.hurry()
  expect(out).toEqual(['0 a', '0 b'])
  await rest()
})

test('parts of one read that belong together stay together', () => {
  const { open, out } = setup()
  const pipe = open()
  const read = Buffer.from('headbodyhead')
  const push = (from: number, to: number, last: boolean) => pipe.push({ is: 'bytes', bytes: read.subarray(from, to), exchange: null, last })
  push(0, 4, false)
  push(4, 8, true)
  push(8, 12, false)
  pipe.push({ is: 'end' })
  expect(out).toEqual(['0 headbody', '0 head', '0 end'])
})

test('after discard nothing comes out and nothing is held', async () => {
  const { open, add, send, out, rest } = setup()
  add('latency', { latency: 30 })
  const pipe = open()
  send(pipe, 'a')
  pipe.discard()
  send(pipe, 'b')
  await rest()
  expect(out).toEqual([])
  expect(pipe.queuedBytes).toBe(0)
})
