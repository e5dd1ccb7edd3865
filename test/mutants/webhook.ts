/** Webhook engines with one planted bug each: copies of src/engines/webhook and src/engines/policies with a few words replaced. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import type { Plant } from './payment.ts'

const engines = fileURLToPath(new URL('../../src/engines/', import.meta.url))
const src = fileURLToPath(new URL('../../src/', import.meta.url))
const place = fileURLToPath(new URL('.planted/', import.meta.url))
const ROOMS = ['webhook', 'policies']

/** The module of an engine with a bug; `forget` takes the copy away. */
export function plantWebhook(name: string, plants: readonly Plant[]): { file: string; forget(): void } {
  const folder = join(place, `webhook-${name}-${process.pid}`)
  const texts = new Map<string, string>()
  for (const room of ROOMS) {
    for (const file of readdirSync(join(engines, room))) if (file.endsWith('.ts')) texts.set(`${room}/${file}`, readFileSync(join(engines, room, file), 'utf8'))
  }
  for (const [file, stands, planted] of plants) {
    const text = texts.get(file)!
    if (text.split(stands).length !== 2) throw new Error(`${name}: ${file} has ${text.split(stands).length - 1} times: ${stands}`)
    texts.set(file, text.replace(stands, () => planted))
  }
  for (const room of ROOMS) mkdirSync(join(folder, room), { recursive: true })
  for (const [file, text] of texts) writeFileSync(join(folder, file), text.replaceAll("from '../../", `from '${src}`).replaceAll(/from '\.\.\/(?!policies\/|webhook\/)/g, `from '${engines}`))
  return { file: join(folder, 'webhook/engine.ts'), forget: () => rmSync(folder, { recursive: true, force: true }) }
}
