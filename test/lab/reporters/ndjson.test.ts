import { expect, test } from 'vitest'
import { reporter } from '../../../src/lab/reporters/ndjson.ts'
import { doubleClick } from './runs.ts'

test('every event is one line, as it is, and the last says the verdict', () => {
  let text = ''
  const reporting = reporter.open({ write: (more) => (text += more) })
  for (const event of doubleClick()) reporting.event(event)
  const lines = text.trimEnd().split('\n').map((line) => JSON.parse(line))
  expect(lines).toEqual(doubleClick())
  expect(lines.at(-1)).toMatchObject({ type: 'run.ended', verdict: 'held' })
})

test('a text with line breaks stays on its line', () => {
  let text = ''
  reporter.open({ write: (more) => (text += more) }).event({ ...doubleClick()[0]!, summary: 'a\nb' })
  expect(text.split('\n')).toHaveLength(2)
})
