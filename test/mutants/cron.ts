/** Schedulers with one planted bug each: files of src/engines/cron with a few words replaced. */
import { pathToFileURL } from 'node:url'
import { dirname, join } from 'node:path'
import type { CronEngine, CronOutside, CronSettings } from '../../src/engines/cron/engine.ts'
import type { Plant } from './plant.ts'
import { plant } from './plant.ts'

export type MakeEngine = (outside: CronOutside, settings: Partial<CronSettings>) => CronEngine

/** The engine with a bug; files are those of its room. `forget` takes the copy away. */
export async function plantCron(name: string, plants: readonly Plant[]): Promise<{ make: MakeEngine; module: (file: string) => Promise<any>; forget(): void }> {
  const { file, forget } = plant(['cron'], name, plants.map(([room, stands, planted]) => [`cron/${room}`, stands, planted]))
  const module = (of: string) => import(pathToFileURL(join(dirname(file), of)).href)
  const { CronEngine: Planted } = (await module('engine.ts')) as { CronEngine: typeof CronEngine }
  return { make: (outside, settings) => new Planted(outside, settings), module, forget }
}
