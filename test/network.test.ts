import { describe, expect, test } from 'vitest'
import { ResilError } from '../src/errors.ts'
import { connectionCut, json, outcomeOf, parseJson, problem } from '../src/network.ts'

const coded = (code: string) => Object.assign(new Error(`it was ${code}`), { code })

describe('failed means that it did not happen; anything less certain is unknown', () => {
  test.each([
    ['ECONNREFUSED', 1, 'failed'], ['ENOTFOUND', 1, 'failed'], ['EAI_AGAIN', 1, 'failed'], ['EADDRNOTAVAIL', 1, 'failed'],
    ['UND_ERR_CONNECT_TIMEOUT', 1, 'failed'], ['CERT_HAS_EXPIRED', 1, 'failed'],
    ['REFUSED', 1, 'failed'], ['UNREACHABLE', 1, 'failed'], ['QUEUE_FULL', 1, 'failed'], ['INVALID_REQUEST', 1, 'failed'],
    ['ECONNRESET', 1, 'unknown'], ['EPIPE', 1, 'unknown'], ['ETIMEDOUT', 1, 'unknown'], ['EHOSTUNREACH', 1, 'unknown'], ['ENETUNREACH', 1, 'unknown'],
    ['UND_ERR_SOCKET', 1, 'unknown'], ['UND_ERR_HEADERS_TIMEOUT', 1, 'unknown'], ['UND_ERR_BODY_TIMEOUT', 1, 'unknown'], ['UND_ERR_ABORTED', 1, 'unknown'],
    ['RESET', 1, 'unknown'], ['TRUNCATED', 1, 'unknown'], ['MALFORMED', 1, 'unknown'], ['TIMEOUT', 1, 'unknown'], ['A_NEW_WORD', 1, 'unknown'],
    ['ECONNRESET', 0, 'failed'], ['EHOSTUNREACH', 0, 'failed'], ['TIMEOUT', 0, 'failed'], ['A_NEW_WORD', 0, 'failed'],
  ])('%s after %i bytes is %s', (code, bytesWritten, kind) => {
    expect(outcomeOf(coded(code), bytesWritten)).toMatchObject({ kind, error: { code, message: `it was ${code}` } })
  })

  test.each([[new Error('plain')], ['text'], [undefined], [null], [{ code: 7 }]])('%s, thrown after a byte, is unknown', (thrown) => {
    expect(outcomeOf(thrown, 1)).toMatchObject({ kind: 'unknown', error: { code: 'UNKNOWN_ERROR' } })
  })

  test('an error of ours is kept, a foreign one is the cause', () => {
    const ours = new ResilError('TIMEOUT', 'late')
    expect(outcomeOf(ours, 1).error).toBe(ours)
    const foreign = coded('ECONNRESET')
    expect(outcomeOf(foreign, 1).error).toMatchObject({ code: 'ECONNRESET', cause: foreign })
  })

  test('an error without a message is told by its code: several refused addresses come as one such error', () => {
    expect(outcomeOf(Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' }), 0).error.message).toBe('ECONNREFUSED')
  })
})

test('json writes an answer', () => {
  expect(json(201, { a: 1 }, { 'x-id': '7' })).toEqual({ status: 201, headers: { 'content-type': 'application/json', 'x-id': '7' }, body: '{"a":1}' })
})

test('problem writes an RFC 9457 document that its fields extend', () => {
  const answer = problem(409, 'in-progress', 'Still running', { code: 'IN_PROGRESS' }, { 'retry-after': '1' })
  expect(answer).toMatchObject({ status: 409, headers: { 'content-type': 'application/problem+json', 'retry-after': '1' } })
  expect(parseJson(answer.body)).toEqual({ type: 'https://resil.dev/problems/in-progress', title: 'Still running', status: 409, code: 'IN_PROGRESS' })
})

test('parseJson gives undefined for what is no JSON', () => {
  expect(parseJson('{"id":')).toBeUndefined()
  expect(parseJson('')).toBeUndefined()
  expect(parseJson('null')).toBeNull()
})

test('connectionCut carries the word that services agree on', () => {
  expect(connectionCut('a lie')).toMatchObject({ code: 'CONNECTION_CUT', message: 'a lie' })
})
