/** Schedulers with one planted bug each: copies of src/engines/cron with a few words replaced. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { join } from 'node:path'
import type { CronEngine, CronOutside, CronSettings } from '../../src/engines/cron/engine.ts'

const source = fileURLToPath(new URL('../../src/engines/cron/', import.meta.url))
const engines = fileURLToPath(new URL('../../src/engines/', import.meta.url))
const src = fileURLToPath(new URL('../../src/', import.meta.url))
const place = fileURLToPath(new URL('.planted/', import.meta.url))

/** File, what stands there once, and what shall stand there. */
export type Plant = readonly [file: string, stands: string, planted: string]

export type MakeEngine = (outside: CronOutside, settings: Partial<CronSettings>) => CronEngine

/** The engine with a bug; `forget` takes the copy away. */
export async function plantCron(name: string, plants: readonly Plant[]): Promise<{ make: MakeEngine; module: (file: string) => Promise<any>; forget(): void }> {
  const folder = join(place, `cron-${name}-${process.pid}`)
  mkdirSync(folder, { recursive: true })
  const texts = new Map(readdirSync(source).filter((file) => file.endsWith('.ts')).map((file) => [file, readFileSync(join(source, file), 'utf8')]))
  for (const [file, stands, planted] of plants) {
    const text = texts.get(file)!
    if (text.split(stands).length !== 2) throw new Error(`${name}: ${file} has ${text.split(stands).length - 1} times: ${stands}`)
    texts.set(file, text.replace(stands, () => planted))
  }
  for (const [file, text] of texts) writeFileSync(join(folder, file), text.replaceAll("from '../../", `from '${src}`).replaceAll("from '../", `from '${engines}`))
  const module = (file: string) => import(pathToFileURL(join(folder, file)).href)
  const { CronEngine: Planted } = (await module('engine.ts')) as { CronEngine: typeof CronEngine }
  return { make: (outside, settings) => new Planted(outside, settings), module, forget: () => rmSync(folder, { recursive: true, force: true }) }
}
