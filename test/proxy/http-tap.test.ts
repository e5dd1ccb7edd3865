import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MAX_HEAD_BYTES, editedHead, headerIn } from '../../src/proxy/http-head.ts'
import { HttpTap, MAX_PIPELINED } from '../../src/proxy/http-tap.ts'
import type { Exchange, Piece } from '../../src/proxy/http-tap.ts'

type Side = 'request' | 'response'

function tap(): HttpTap {
  let number = 0
  return new HttpTap(() => ++number, () => true)
}

/** Cuts `text` after each of the places, given as fractions of its length. */
function cut(text: string, places: number[]): Buffer[] {
  const bytes = Buffer.from(text, 'latin1')
  const at = [...new Set([0, ...places.map((place) => Math.floor(place * bytes.length)), bytes.length])].sort((a, b) => a - b)
  return at.slice(1).map((to, i) => bytes.subarray(at[i]!, to))
}

function feed(into: HttpTap, side: Side, text: string, places: number[] = []): Piece[] {
  return cut(text, places).flatMap((bytes) => into[side](bytes))
}

/** Neighbouring pieces of the same kind as one, so that only boundaries of messages remain. */
function messages(pieces: Piece[]): { exchange: number | null; part: string; last: boolean; text: string }[] {
  const merged: { exchange: number | null; part: string; last: boolean; text: string }[] = []
  for (const { bytes, exchange, part, last } of pieces) {
    const before = merged.at(-1)
    const text = bytes.toString('latin1')
    if (before && before.part === part && before.exchange === (exchange?.number ?? null) && !before.last) Object.assign(before, { text: before.text + text, last })
    else merged.push({ exchange: exchange?.number ?? null, part, last, text })
  }
  return merged
}

const out = (pieces: Piece[]) => Buffer.concat(pieces.map((piece) => piece.bytes)).toString('latin1')

const token = fc.stringMatching(/^[A-Za-z][A-Za-z-]{0,9}$/).filter((name) => !/^(content-length|transfer-encoding|expect|connection|idempotency-key)$/i.test(name))
const header = fc.tuple(token, fc.stringMatching(/^[!-~]{0,20}$/)).map(([name, value]) => `${name}: ${value}\r\n`)
const headers = fc.array(header, { maxLength: 5 }).map((lines) => lines.join(''))
const body = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 60 })
const chunks = fc.tuple(fc.array(body.filter((text) => text !== ''), { maxLength: 4 }), fc.constantFrom('', ';a=b', ';x="y"'), headers).map(
  ([parts, extension, trailers]) => `${parts.map((part) => `${part.length.toString(16)}${extension}\r\n${part}\r\n`).join('')}0\r\n${trailers}\r\n`,
)
const framed = fc.oneof(
  body.map((text) => ({ line: `Content-Length: ${text.length}\r\n`, text })),
  chunks.map((text) => ({ line: 'Transfer-Encoding: chunked\r\n', text })),
)
const request = fc.tuple(fc.constantFrom('GET', 'POST', 'DELETE', 'HEAD'), headers, fc.option(framed)).map(([method, lines, content]) => ({
  method,
  head: `${method} /v1/charges?x=1 HTTP/1.1\r\n${lines}${content?.line ?? ''}\r\n`,
  body: content?.text ?? '',
}))
const exchange = fc.tuple(request, fc.boolean(), fc.constantFrom(200, 201, 204, 304, 503), headers, framed).map(([asked, hints, status, lines, content]) => ({
  ...asked,
  interim: hints ? 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n' : '',
  answerHead: `HTTP/1.1 ${status} Whatever it is\r\n${lines}${status === 204 ? '' : content.line}\r\n`,
  answerBody: asked.method === 'HEAD' || status === 204 || status === 304 ? '' : content.text,
}))
const places = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 40 })

const factsOf = ({ number, method, path, key, keepAlive, expects, head }: Exchange) => ({ number, method, path, key, keepAlive, expects, head })

describe('whatever the cuts', () => {
  test('the same bytes come out, and the same messages are seen', () => {
    fc.assert(
      fc.property(fc.array(exchange, { minLength: 1, maxLength: 4 }), places, places, (exchanges, cutRequests, cutResponses) => {
        const requests = exchanges.map((each) => each.head + each.body).join('')
        const responses = exchanges.map((each) => each.interim + each.answerHead + each.answerBody).join('')
        const it = tap()
        const up = feed(it, 'request', requests, cutRequests)
        const down = feed(it, 'response', responses, cutResponses)
        expect(out(up)).toBe(requests)
        expect(out(down)).toBe(responses)
        expect(messages(up)).toEqual(
          exchanges.flatMap((each, i) => [
            { exchange: i + 1, part: 'head', last: each.body === '', text: each.head },
            ...(each.body === '' ? [] : [{ exchange: i + 1, part: 'body', last: true, text: each.body }]),
          ]),
        )
        expect(messages(down)).toEqual(
          exchanges.flatMap((each, i) => [
            ...(each.interim === '' ? [] : [{ exchange: i + 1, part: 'interim', last: true, text: each.interim }]),
            { exchange: i + 1, part: 'head', last: each.answerBody === '', text: each.answerHead },
            ...(each.answerBody === '' ? [] : [{ exchange: i + 1, part: 'body', last: true, text: each.answerBody }]),
          ]),
        )
      }),
      { seed: 20260101, numRuns: 300 },
    )
  })

  test('bytes that are no HTTP, or HTTP gone wrong, come out as they went in, and the exchanges are the same as in one piece', () => {
    const damaged = fc.tuple(request, fc.nat(), fc.constantFrom('', '\n', '\r', '\0', ' ', 'x', '\r\n', ':')).map(([asked, at, noise]) => {
      const text = asked.head + asked.body
      const place = at % (text.length + 1)
      return text.slice(0, place) + noise + text.slice(place)
    })
    fc.assert(
      fc.property(fc.array(fc.oneof(damaged, body), { minLength: 1, maxLength: 3 }), places, (parts, cuts) => {
        const text = parts.join('')
        const [whole, pieced] = [tap(), tap()]
        const expected = [...feed(whole, 'request', text), ...whole.release('request')]
        const actual = [...feed(pieced, 'request', text, cuts), ...pieced.release('request')]
        expect(out(actual)).toBe(text)
        const heads = (pieces: Piece[]) => pieces.filter((piece) => piece.part === 'head').map((piece) => [factsOf(piece.exchange!), piece.bytes.toString('latin1')])
        expect(heads(actual)).toEqual(heads(expected))
      }),
      { seed: 20260102, numRuns: 500 },
    )
  })

  test('handing out what is held early loses nothing and doubles nothing', () => {
    fc.assert(
      fc.property(fc.array(request, { minLength: 1, maxLength: 3 }), places, (requests, cuts) => {
        const text = requests.map((asked) => asked.head + asked.body).join('')
        const it = tap()
        const pieces = cut(text, cuts).flatMap((bytes) => [...it.request(bytes), ...it.release('request')])
        expect(out(pieces)).toBe(text)
        expect(pieces.filter((piece) => piece.part === 'head').map((piece) => piece.exchange!.method)).toEqual(requests.map((asked) => asked.method))
      }),
      { seed: 20260103, numRuns: 200 },
    )
  })
})

describe('opaque for the rest of the connection', () => {
  test.each([
    ['a length and chunks', 'POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['differing lengths', 'POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n'],
    ['a list of lengths', 'POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n'],
    ['a signed length', 'POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n'],
    ['a length with a blank that HTTP does not know', 'POST / HTTP/1.1\r\nContent-Length: 5\xa0\r\n\r\n'],
    ['a length beyond counting', 'POST / HTTP/1.1\r\nContent-Length: 9999999999999999\r\n\r\n'],
    ['a coding that is not chunked', 'POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n'],
    ['chunked twice', 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['chunks in HTTP/1.0', 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['a bare LF', 'GET / HTTP/1.1\nHost: a\n\n'],
    ['a bare LF in a header', 'GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n'],
    ['a bare CR', 'GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n'],
    ['a folded line', 'GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n'],
    ['a blank before the colon', 'GET / HTTP/1.1\r\nContent-Length : 5\r\n\r\n'],
    ['a header without a colon', 'GET / HTTP/1.1\r\nHost\r\n\r\n'],
    ['a NUL', 'GET / HTTP/1.1\r\nA: \0\r\n\r\n'],
    ['two blanks', 'GET  / HTTP/1.1\r\n\r\n'],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['an empty first line', '\r\nGET / HTTP/1.1\r\n\r\n'],
    ['a method in small letters', 'get / HTTP/1.1\r\n\r\n'],
    ['a head that is too long', `GET / HTTP/1.1\r\nA: ${'a'.repeat(MAX_HEAD_BYTES)}\r\n\r\n`],
  ])('%s', (_, text) => {
    const it = tap()
    const pieces = feed(it, 'request', `${text}GET /next HTTP/1.1\r\n\r\n`)
    expect(out(pieces)).toBe(`${text}GET /next HTTP/1.1\r\n\r\n`)
    expect(pieces.filter((piece) => piece.exchange)).toEqual([])
  })

  test.each([
    ['a chunk size that is none', '5x\r\nhello\r\n0\r\n\r\n'],
    ['a chunk that is longer than it says', '3\r\nhello\r\n0\r\n\r\n'],
    ['a chunk size with a blank', ' 5\r\nhello\r\n0\r\n\r\n'],
    ['a bare LF behind a chunk size', '5\nhello\r\n0\r\n\r\n'],
  ])('a body with %s ends the exchanges', (_, text) => {
    const it = tap()
    const head = 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n'
    const pieces = feed(it, 'request', `${head}${text}GET /next HTTP/1.1\r\n\r\n`)
    expect(out(pieces)).toBe(`${head}${text}GET /next HTTP/1.1\r\n\r\n`)
    expect(pieces.filter((piece) => piece.part === 'head')).toHaveLength(1)
    expect(pieces.some((piece) => piece.last)).toBe(false)
  })

  test('an answer that nobody asked for, and every request after it', () => {
    const it = tap()
    expect(messages(feed(it, 'response', 'HTTP/1.1 408 Request Timeout\r\n\r\n'))).toMatchObject([{ part: 'opaque' }])
    expect(messages(feed(it, 'request', 'GET / HTTP/1.1\r\n\r\n'))).toMatchObject([{ part: 'opaque' }])
  })

  test.each(['hello', '*1\r\n$4\r\nPING\r\n', '\x16\x03\x01', '\0\0\0\x08', 'PING\r\n'])('another protocol, %j, at once', (text) => {
    expect(out(feed(tap(), 'request', text))).toBe(text)
  })

  test('more requests than may wait for an answer', () => {
    const heads = feed(tap(), 'request', 'GET / HTTP/1.1\r\n\r\n'.repeat(MAX_PIPELINED + 5)).filter((piece) => piece.part === 'head')
    expect(heads).toHaveLength(MAX_PIPELINED)
  })

  test.each([
    ['an upgrade', 'GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
    ['CONNECT', 'CONNECT bank:443 HTTP/1.1\r\n\r\n', 'HTTP/1.1 200 OK\r\n\r\n'],
  ])('what follows %s', (_, asked, answered) => {
    const it = tap()
    expect(messages(feed(it, 'request', asked))).toMatchObject([{ exchange: 1, part: 'head', last: true }])
    expect(messages(feed(it, 'response', `${answered}GET / HTTP/1.1`))).toMatchObject([{ exchange: 1, part: 'head', last: true, text: answered }, { part: 'opaque' }])
    expect(messages(feed(it, 'request', 'GET / HTTP/1.1\r\n\r\n'))).toMatchObject([{ part: 'opaque' }])
  })

  test('what is held of a request when the service turns opaque comes first', () => {
    const it = tap()
    feed(it, 'request', 'GET / HTTP/1.1\r\n\r\nGET /ne')
    feed(it, 'response', 'garbage')
    expect(it.opaque).toBe(true)
    expect(messages(feed(it, 'request', 'xt HTTP/1.1\r\n\r\n'))).toEqual([{ exchange: null, part: 'opaque', last: false, text: 'GET /next HTTP/1.1\r\n\r\n' }])
  })
})

test('a body without a length ends with the connection', () => {
  const it = tap()
  feed(it, 'request', 'GET / HTTP/1.0\r\n\r\n')
  const pieces = feed(it, 'response', 'HTTP/1.0 200 OK\r\n\r\nall of it')
  expect(messages(pieces)).toMatchObject([{ part: 'head', last: false }, { part: 'body', last: false, text: 'all of it' }])
  expect(it.responseEnded()).toMatchObject({ number: 1 })
})

test('a body that is cut off is not ended by the end of the connection', () => {
  const it = tap()
  feed(it, 'request', 'GET / HTTP/1.1\r\n\r\n')
  feed(it, 'response', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234')
  expect(it.responseEnded()).toBeNull()
})

test('a request that was withdrawn has no answer', () => {
  const it = tap()
  const [first] = feed(it, 'request', 'GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n')
  it.withdraw(first!.exchange!)
  expect(feed(it, 'response', 'HTTP/1.1 204 No Content\r\n\r\n')[0]!.exchange!.path).toBe('/b')
})

test('the head tells what rules and journal need', () => {
  const facts = (text: string) => factsOf(feed(tap(), 'request', text)[0]!.exchange!)
  expect(facts('POST /v1/x?y HTTP/1.1\r\nIDEMPOTENCY-KEY:  k 1 \r\nConnection: Upgrade, Close\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n')).toEqual({
    number: 1, method: 'POST', path: '/v1/x?y', key: 'k 1', keepAlive: false, expects: true, head: expect.stringMatching(/^POST .*\r\nContent-Length: 1\r\n$/s),
  })
  expect(facts('GET / HTTP/1.1\r\n\r\n')).toMatchObject({ key: null, keepAlive: true, expects: false })
  expect(facts('GET / HTTP/1.0\r\n\r\n')).toMatchObject({ keepAlive: false })
  expect(facts('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')).toMatchObject({ keepAlive: true })
})

test('where nobody needs the boundary, what came of the body with a head stays with it', () => {
  const it = new HttpTap(() => 1, () => false)
  const seen = (side: 'request' | 'response', text: string) => feed(it, side, text).map(({ bytes, part, last, status, bodyBytes }) => ({ text: bytes.toString(), part, last, status, bodyBytes }))
  const post = 'POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n'
  const next = 'GET / HTTP/1.1\r\n\r\n'
  expect(seen('request', `${post}hello${next}`)).toMatchObject([{ text: `${post}hello`, part: 'head', last: true }, { text: next, part: 'head', last: true }])
  const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'
  expect(seen('response', `${answer}he`)).toEqual([{ text: `${answer}he`, part: 'head', last: false, status: 200, bodyBytes: 5 }])
  expect(seen('response', 'llo')).toMatchObject([{ text: 'llo', part: 'body', last: true }])
})

test('a header is found in a head by its name in lower case, the first of its name', () => {
  const head = 'GET / HTTP/1.1\r\nX-Tenant:  acme \r\nX-Ten: 10\r\nx-tenant: other'
  expect(headerIn(head, 'x-tenant')).toBe('acme')
  expect(headerIn(head, 'x-ten')).toBe('10')
  expect(headerIn(head, 'tenant')).toBeUndefined()
  expect(headerIn('GET / HTTP/1.1', 'x')).toBeUndefined()
})

test('an edited head differs in that header alone', () => {
  const head = (lines: string) => Buffer.from(`POST /x HTTP/1.1\r\n${lines}\r\n`, 'latin1')
  const edit = (lines: string, value: string | null) => editedHead(head(lines), { name: 'X-A', value }).toString('latin1')
  expect(edit('HOST: b\r\nx-a:1\r\nB:  2\r\nX-A: 3\r\n', 'new')).toBe('POST /x HTTP/1.1\r\nHOST: b\r\nX-A: new\r\nB:  2\r\n\r\n')
  expect(edit('HOST: b\r\nx-a:1\r\nB:  2\r\nX-A: 3\r\n', null)).toBe('POST /x HTTP/1.1\r\nHOST: b\r\nB:  2\r\n\r\n')
  expect(edit('B: \xe9\r\n', 'new')).toBe('POST /x HTTP/1.1\r\nB: \xe9\r\nX-A: new\r\n\r\n')
  expect(edit('', 'new')).toBe('POST /x HTTP/1.1\r\nX-A: new\r\n\r\n')
  expect(editedHead(Buffer.from('the rest of a head\r\n\r\n'), { name: 'X-A', value: '1' }).toString()).toBe('the rest of a head\r\n\r\n')
})
