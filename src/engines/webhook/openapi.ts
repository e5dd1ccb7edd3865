/** The face as an OpenAPI 3.1 document, made from the very schemas that it obeys. */
import { z } from 'zod'
import type { Route } from './routes.ts'
import { answers, READ_SIGNATURE, ROUTES } from './routes.ts'

function schemaOf(schema: z.ZodType): Record<string, unknown> {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { target: 'draft-2020-12', io: 'output' })
  return rest
}

const PROBLEMS: Readonly<Record<number, string>> = {
  400: 'not readable',
  401: 'a token, or a signature, is missing or wrong',
  403: 'web pages may not ask',
  404: 'there is none of that id',
  409: 'it contradicts what stands already',
  413: 'too large',
  422: 'a field is not valid; `errors` points to it',
  503: 'the store cannot now: ask again after Retry-After, with the same idempotency key',
}

export function describe(version: string, routes: Readonly<Record<string, Route>> = ROUTES): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const [name, route] of Object.entries(routes)) (paths[route.path] ??= {})[route.method.toLowerCase()] = operationOf(name, route)
  return {
    openapi: '3.1.0',
    info: { title: 'resil webhooks', version, summary: 'Events in, signed webhooks out, and everything that people ask about them' },
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' }, receiver: { type: 'apiKey', in: 'header', name: READ_SIGNATURE } },
      schemas: { Problem: { ...schemaOf(answers.problem), description: 'RFC 9457' } },
    },
  }
}

function operationOf(operationId: string, { path, summary, open, receivers, query, headers = [], body, mayBeEmpty, answers: told, problems }: Route): Record<string, unknown> {
  const parameters: Record<string, unknown>[] = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({ name, in: 'path', required: true, schema: { type: 'string' } }))
  for (const [name, schema] of Object.entries(query?.shape ?? {})) parameters.push({ name, in: 'query', required: false, schema: schemaOf(schema as z.ZodType) })
  for (const { name, required, summary: description } of headers) parameters.push({ name, in: 'header', required, description, schema: { type: 'string' } })
  const responses: Record<string, unknown> = {}
  for (const [status, answer] of Object.entries(told)) {
    responses[status] = { description: summary, content: typeof answer === 'string' ? { [answer]: { schema: { type: answer === 'text/plain' ? 'string' : 'object' } } } : { 'application/json': { schema: schemaOf(answer) } } }
  }
  for (const status of new Set([...problems, ...(open ? [] : [401, 403])])) {
    responses[status] = { description: PROBLEMS[status], content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } } }
  }
  return {
    operationId,
    summary,
    ...(open ? { security: [] } : receivers ? { security: [{ token: [] }, { receiver: [] }] } : {}),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body === undefined ? {} : { requestBody: { required: mayBeEmpty !== true, content: { 'application/json': { schema: schemaOf(body) } } } }),
    responses,
  }
}
