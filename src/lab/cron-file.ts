/**
 * Schedules in a file:
 *
 *   schedules:
 *     digest:  { when: '0 9 * * *', zone: Europe/Berlin, run: ./send-digest.sh, misfire: once }
 *     reports: { when: '@hourly', http: { url: 'http://127.0.0.1:3000/reports' }, overlap: queue_one }
 *     cleanup: { when: '*\/15 * * * *', run: [psql, -f, cleanup.sql], timeout: 5m }
 */
import { z } from 'zod'
import { durationMs } from '../duration.ts'
import { ResilError } from '../errors.ts'
import { DAYS, GAPS, OVERLAPS } from '../engines/cron/crontab.ts'
import type { Job, Spec } from '../engines/cron/spec.ts'
import { completeSpec, MISFIRES, OVERLAP_POLICIES } from '../engines/cron/spec.ts'
import { readConfigFile } from './config-file.ts'

const duration = z
  .string()
  .transform((text) => durationMs(text) ?? Number.NaN)
  .refine(Number.isInteger, 'must be a duration such as 90s, 5m or 1h')

const schedule = z.strictObject({
  when: z.string(),
  zone: z.string().optional(),
  run: z.union([z.string().min(1), z.array(z.string()).min(1)]).optional(),
  http: z.strictObject({ url: z.url({ protocol: /^https?$/ }), method: z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']).optional(), headers: z.record(z.string().regex(/^[A-Za-z0-9-]+$/), z.string().regex(/^[\x20-\x7e]*$/)).optional(), body: z.string().optional() }).optional(),
  module: z.string().optional(),
  overlap: z.enum(OVERLAP_POLICIES).optional(),
  queueMax: z.number().int().optional(),
  misfire: z.enum(MISFIRES).optional(),
  grace: duration.optional(),
  window: duration.optional(),
  catchUpMax: z.number().int().optional(),
  catchUpPerSecond: z.number().optional(),
  timeout: duration.optional(),
  attempts: z.number().int().optional(),
  gap: z.enum(GAPS).optional(),
  overlapTime: z.enum(OVERLAPS).optional(),
  days: z.enum(DAYS).optional(),
  minBuild: z.number().int().min(0).optional(),
})

const file = z.strictObject({ schedules: z.record(z.string(), schedule) })

export interface FileSchedule {
  name: string
  spec: Spec
  minBuild: number
}

/** In the order of the file; a `run` that is one text is given to sh. Throws BAD_CONFIG, and what is wrong with a schedule. */
export function readCronFile(path: string): FileSchedule[] {
  const { schedules } = readConfigFile(path, file, 'see docs/scheduler.md for what it may say')
  return Object.entries(schedules).map(([name, said]) => {
    const { when, zone, grace, window, timeout, minBuild = 0, run: _run, http: _http, module: _module, ...rest } = said
    const given = { ...rest, expr: when, job: jobOf(name, said), zone, graceMs: grace, windowMs: window, timeoutMs: timeout }
    return { name, minBuild, spec: completeSpec(name, Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as typeof given & { zone?: string }) }
  })
}

function jobOf(name: string, { run, http, module }: z.infer<typeof schedule>): Job {
  if ([run, http, module].filter((kind) => kind !== undefined).length !== 1) throw new ResilError('BAD_CONFIG', `${name}: it has no job, or more than one`, 'give one of run, http, module')
  if (module !== undefined) return { kind: 'module', file: module }
  if (run !== undefined) return { kind: 'command', argv: typeof run === 'string' ? ['sh', '-c', run] : run }
  const url = new URL(http!.url)
  const headers = Object.fromEntries(Object.entries(http!.headers ?? {}).map(([key, value]) => [key.toLowerCase(), value]))
  return { kind: 'http', service: url.origin, method: http!.method ?? 'POST', path: `${url.pathname}${url.search}`, headers, body: http!.body ?? '' }
}
