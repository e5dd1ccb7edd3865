/** The dashboard of webhooks, drawn from a run in virtual time at every width. */
import { renderToString } from 'ink'
import { beforeAll, expect, test } from 'vitest'
import type { Event } from '../../../../src/events.ts'
import { empty, fold } from '../../../../src/engines/webhook/view.ts'
import type { WebhookView } from '../../../../src/engines/webhook/view.ts'
import { run } from '../../../../src/lab/run.ts'
import type { Result } from '../../../../src/lab/run.ts'
import { lineText, toText, width } from '../../../../src/lab/reporters/screens/lines.ts'
import type { Frame } from '../../../../src/lab/reporters/screens/parts.ts'
import { Picture } from '../../../../src/lab/reporters/screens/picture.tsx'
import { webhookLines } from '../../../../src/lab/reporters/screens/webhook.ts'

let events: Event[]
let result: Result
beforeAll(async () => {
  events = []
  result = await run({ scenario: 'one-customer-down', mode: 'sim', seed: 7, subject: { kind: 'reference' }, toxics: [], invariants: [], again: 'resil webhook --seed 7 --sim' }, { sinks: [(event) => events.push(event)] })
}, 120_000)

const frame = (columns: number, now: number, rows = 44): Frame => ({ columns, rows, title: 'resil webhook', now, walk: null, hint: [{ text: '? keys   q leave', look: 'quiet' }], switches: [] })

/** Up to the last look before the third customer is back. */
function whileAway(): WebhookView {
  const back = events.findIndex(({ type }) => type === 'link.raised')
  return events.slice(0, back).reduce(fold, empty())
}

test.each([60, 100, 160])('while one is away, at %i columns: its lane is parked, the others are not, and no line is too long', (columns) => {
  const view = whileAway()
  const lines = webhookLines(view, frame(columns, view.t))
  for (const line of lines) expect(width(lineText(line)), lineText(line)).toBeLessThanOrEqual(columns)
  expect(lines.length).toBeLessThanOrEqual(44)
  const text = renderToString(<Picture lines={lines} colour={false} />, { columns })
  expect(text.trimEnd().split('\n')).toHaveLength(lines.length)
  expect(text).toMatch(/› customer-1 +healthy +\d+/)
  expect(text).toMatch(/customer-2 +slow +\d+/)
  expect(text).toMatch(/customer-3 +PARKED +2\d\d .*probe (now|in \d)/)
  expect(text).toMatch(/customer-3 has been down for 8\.0 s: 2\d\d webhooks/)
  expect(text.replace(/\s+/g, ' ')).toMatch(/! customer-3 has failed \d+ times in a row, for [\d.]+ s; oldest undelivered [\d.]+ s/)
})

test('what happened is told by the name of the customer; the line that says whose an endpoint is, and the fields of an event, keep its id', () => {
  const view = whileAway()
  const { endpoint } = [...view.lanes.values()].find(({ name }) => name === 'customer-3')!
  const text = toText(webhookLines(view, frame(160, view.t)))
  expect(text).toMatch(/customer-3 {3}PARKED after 5 failures in a row/)
  expect(text).toContain(`customer-3   is told at endpoint ${endpoint}`)
  expect(text.replaceAll(/is told at endpoint ep_\w+/g, '')).not.toContain('ep_')
  const parked = view.events.find(({ type }) => type === 'lane.parked')!
  const walked = toText(webhookLines(view, { ...frame(160, view.t), walk: parked.seq }))
  expect(walked).toMatch(new RegExp(`› #${parked.seq} .*customer-3 {3}PARKED`))
  expect(walked).toContain(`endpoint ${endpoint}`)
})

test('a low terminal keeps the lanes and the story', () => {
  const view = whileAway()
  const text = toText(webhookLines(view, frame(100, view.t, 12)))
  expect(text).toMatch(/PARKED/)
  expect(text).toMatch(/has been down/)
})

test('the end tells that all that was held has arrived, with nothing left in any lane', () => {
  expect(result.verdict).toBe('held')
  expect(result.story).toMatch(/^customer-3 was down for 8\.0 s: 2\d\d webhooks held, 0 lost, all delivered [\d.]+ m?s after it came back\. 1,080 webhooks owed, 1,080 delivered/)
  const view = events.reduce(fold, empty())
  expect([...view.lanes.values()].map(({ waiting, inFlight }) => [waiting, inFlight])).toEqual([[0, 0], [0, 0], [0, 0]])
  const text = toText(webhookLines(view, frame(120, view.t, 60)))
  expect(text).toMatch(/w1-none-lost/)
  expect(text).toMatch(/again: +resil webhook --seed 7 --sim/)
})
