/** Engines with one planted bug each: copies of files of src/engines with a few words replaced. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { dirname, join } from 'node:path'

const engines = fileURLToPath(new URL('../../src/engines/', import.meta.url))
const place = fileURLToPath(new URL('.planted/', import.meta.url))

/** File below src/engines, what stands there once, and what shall stand there. */
export type Plant = readonly [file: string, stands: string, planted: string]

/**
 * Copies the files with the bug, and what of `rooms` imports them, up to the engine of the first room, whose file it answers; what knows nothing of the bug is the original.
 * `forget` takes the copy away.
 */
export function plant(rooms: readonly [string, ...string[]], name: string, plants: readonly Plant[]): { file: string; forget(): void } {
  const folder = join(place, `${rooms[0]}-${name}-${process.pid}`)
  const texts = new Map<string, string>()
  for (const room of rooms) {
    for (const file of readdirSync(join(engines, room))) if (file.endsWith('.ts')) texts.set(`${room}/${file}`, readFileSync(join(engines, room, file), 'utf8'))
  }
  const copied = new Set([`${rooms[0]}/engine.ts`])
  for (const [file, stands, planted] of plants) {
    const text = texts.get(file)!
    if (text.split(stands).length !== 2) throw new Error(`${name}: ${file} has ${text.split(stands).length - 1} times: ${stands}`)
    texts.set(file, text.replace(stands, () => planted))
    copied.add(file)
  }
  const imported = (file: string) => [...texts.get(file)!.matchAll(/^(?:import|export) (?!type ).* from '(\..+)'/gm)].map(([, path]) => join(dirname(file), path!))
  for (let before = 0; before < copied.size; ) {
    before = copied.size
    for (const file of texts.keys()) if (imported(file).some((other) => copied.has(other))) copied.add(file)
  }
  for (const room of rooms) mkdirSync(join(folder, room), { recursive: true })
  for (const file of copied) {
    const text = texts.get(file)!.replaceAll(/ from '(\..+)'/g, (stays, path: string) => (copied.has(join(dirname(file), path)) ? stays : ` from '${join(engines, dirname(file), path)}'`))
    writeFileSync(join(folder, file), text)
  }
  return { file: join(folder, rooms[0], 'engine.ts'), forget: () => rmSync(folder, { recursive: true, force: true }) }
}
