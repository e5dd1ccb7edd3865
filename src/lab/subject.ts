/**
 * A subject that is not ours: a payment service known by its URL, whose bank, fraud check and notifications are our mocks behind our links.
 * How it wants to be spoken to stands in a file:
 *
 *   pay:      { method: POST, path: /charge, keyHeader: X-Key, headers: {...}, body: { cents: '{{amount}}', order: '{{order}}' } }
 *   status:   { path: '/orders/{{order}}' }                        # optional
 *   told:     { charged: [200, 201], declined: [402], pending: [202], conflict: [409], refused: [400, 422], not_charged: [503] }
 *   payment:  id                                                    # where the answer carries its own id; dots go deeper
 *   deadline: 5s
 *   ports:    { bank: 4002, fraud: 4001, notification: 4003 }       # where your service finds its dependencies
 */
import { existsSync } from 'node:fs'
import { z } from 'zod'
import { DURATION, durationMs } from '../duration.ts'
import { ResilError } from '../errors.ts'
import { parseJson } from '../network.ts'
import type { PaymentAdapter, PayOrder, ToldWord } from '../engines/payment/adapter.ts'
import { readConfigFile } from './config-file.ts'
import type { Subject } from './plan.ts'

export const DEFAULT_CONFIG = 'resil.config.yaml'

/** Where a service under test finds the mocks unless its file says otherwise: what it has to be configured with before it starts. */
export const DEFAULT_PORTS = { fraud: 4001, bank: 4002, notification: 4003 }

const USUAL_DEADLINE = '5s'

const statuses = z.array(z.number().int().min(100).max(599)).optional()
const port = z.number().int().min(1).max(65_535)
const headers = z.record(z.string().regex(/^[A-Za-z0-9-]+$/), z.string().regex(/^[\x20-\x7e]*$/)).optional()
const path = z.string().startsWith('/', 'must begin with /')

const schema = z.strictObject({
  pay: z
    .strictObject({
      method: z.enum(['POST', 'PUT', 'PATCH', 'GET']).optional(),
      path: path.optional(),
      keyHeader: z.string().regex(/^[A-Za-z0-9-]+$/).optional(),
      headers,
      body: z.record(z.string(), z.unknown()).optional(),
    })
    .optional(),
  status: z.strictObject({ path, headers }).optional(),
  told: z
    .strictObject({ charged: statuses, declined: statuses, not_charged: statuses, pending: statuses, conflict: statuses, refused: statuses, not_found: statuses })
    .optional(),
  payment: z.string().optional(),
  deadline: z.string().regex(DURATION, 'must be a duration such as 5s').optional(),
  ports: z.strictObject({ bank: port.optional(), fraud: port.optional(), notification: port.optional() }).optional(),
})

/** What such a file says. */
export type Face = z.infer<typeof schema>

const USUAL: Record<number, ToldWord> = { 200: 'charged', 201: 'charged', 202: 'pending', 400: 'refused', 402: 'declined', 404: 'not_found', 409: 'conflict', 413: 'refused', 422: 'refused' }

export interface ReadSubject {
  subject: Subject
  face?: Face
  ports?: Record<string, number>
}

/** Throws BAD_SUBJECT, BAD_CONFIG. */
export async function readSubject(given: string | undefined, config: string | undefined): Promise<ReadSubject> {
  if (given === undefined) return { subject: { kind: 'reference' } }
  if (/^[a-z][a-z0-9+.-]*:\/\/|^[a-z]+:[^\\/]/i.test(given)) {
    const url = URL.canParse(given) ? new URL(given) : undefined
    if (url?.protocol !== 'http:') throw new ResilError('BAD_SUBJECT', `${given} is no service that resil can stand before`, 'give an http:// URL, for example http://127.0.0.1:3000')
    if (!['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname)) throw new ResilError('BAD_SUBJECT', `${url.hostname} is not this machine`, 'faults are for your own service: run it on loopback')
    const file = config ?? (existsSync(DEFAULT_CONFIG) ? DEFAULT_CONFIG : undefined)
    const read: Face = file === undefined ? {} : readConfig(file)
    return { subject: { kind: 'url', url: given }, face: read, ports: { ...DEFAULT_PORTS, ...read.ports } }
  }
  if (!existsSync(given)) throw new ResilError('BAD_SUBJECT', `${given} is neither a URL nor a file`, 'give http://127.0.0.1:PORT, or a module that exports createEngine')
  return { subject: { kind: 'module', file: given } }
}

export function readConfig(file: string): Face {
  return readConfigFile(file, schema, 'see docs/your-service.md for what it may say')
}

/** The default face, with what the file says otherwise. */
export function adapterOf(config: Face): PaymentAdapter {
  const { pay = {}, status, told = {}, payment: idAt } = config
  const words = new Map<number, ToldWord>(Object.entries(USUAL).map(([code, word]) => [Number(code), word]))
  for (const [word, codes] of Object.entries(told)) for (const code of codes ?? []) words.set(code, word as ToldWord)
  const keyHeader = (pay.keyHeader ?? 'Idempotency-Key').toLowerCase()
  const body = pay.body ?? { amount: '{{amount}}', currency: '{{currency}}', order: '{{order}}', card: '{{card}}' }
  return {
    deadlineMs: durationMs(config.deadline ?? USUAL_DEADLINE)!,
    pay: (order) => ({
      method: pay.method ?? 'POST',
      path: String(fill(pay.path ?? '/v1/payments', order, true)),
      headers: { 'content-type': 'application/json', ...lower(pay.headers), [keyHeader]: order.key },
      body: pay.method === 'GET' ? '' : JSON.stringify(fill(body, order, false)),
    }),
    status: (order, payment) => status ? { method: 'GET', path: String(fill(status.path.replaceAll('{{payment}}', payment ?? ''), order, true)), headers: lower(status.headers), body: '' } : null,
    read: (response) => {
      const answer = parseJson(response.body)
      const id = idAt === undefined ? undefined : idAt.split('.').reduce<unknown>((at, part) => (at as Record<string, unknown> | null | undefined)?.[part], answer)
      return { told: words.get(response.status) ?? 'nothing', payment: typeof id === 'string' || typeof id === 'number' ? String(id) : null, safeNewKey: null }
    },
  }
}

function lower(given: Record<string, string> | undefined): Record<string, string> {
  return Object.fromEntries(Object.entries(given ?? {}).map(([name, value]) => [name.toLowerCase(), value]))
}

/** Replaces {{amount}}, {{currency}}, {{order}}, {{key}}, {{card}}; a string that is nothing but {{amount}} becomes the number. */
function fill(template: unknown, order: PayOrder, inPath: boolean): unknown {
  if (typeof template === 'string') {
    if (template === '{{amount}}' && !inPath) return order.amount
    return template.replaceAll(/\{\{(amount|currency|order|key|card)\}\}/g, (_, name: keyof PayOrder) => (inPath ? encodeURIComponent(String(order[name])) : String(order[name])))
  }
  if (Array.isArray(template)) return template.map((item) => fill(item, order, inPath))
  if (template !== null && typeof template === 'object') return Object.fromEntries(Object.entries(template).map(([name, value]) => [name, fill(value, order, inPath)]))
  return template
}
