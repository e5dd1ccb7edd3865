/** Engines with one planted bug each: copies of rooms of src/engines with a few words replaced. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'

const engines = fileURLToPath(new URL('../../src/engines/', import.meta.url))
const src = fileURLToPath(new URL('../../src/', import.meta.url))
const place = fileURLToPath(new URL('.planted/', import.meta.url))

/** File below src/engines, what stands there once, and what shall stand there. */
export type Plant = readonly [file: string, stands: string, planted: string]

/** Copies `rooms` with the bug, and answers the file of the first room's engine; `forget` takes the copy away. */
export function plant(rooms: readonly [string, ...string[]], name: string, plants: readonly Plant[]): { file: string; forget(): void } {
  const folder = join(place, `${rooms[0]}-${name}-${process.pid}`)
  const texts = new Map<string, string>()
  for (const room of rooms) {
    for (const file of readdirSync(join(engines, room))) if (file.endsWith('.ts')) texts.set(`${room}/${file}`, readFileSync(join(engines, room, file), 'utf8'))
  }
  for (const [file, stands, planted] of plants) {
    const text = texts.get(file)!
    if (text.split(stands).length !== 2) throw new Error(`${name}: ${file} has ${text.split(stands).length - 1} times: ${stands}`)
    texts.set(file, text.replace(stands, () => planted))
  }
  for (const room of rooms) mkdirSync(join(folder, room), { recursive: true })
  const others = new RegExp(`from '\\.\\./(?!(?:${rooms.join('|')})/)`, 'g')
  for (const [file, text] of texts) writeFileSync(join(folder, file), text.replaceAll("from '../../", `from '${src}`).replaceAll(others, `from '${engines}`))
  return { file: join(folder, rooms[0], 'engine.ts'), forget: () => rmSync(folder, { recursive: true, force: true }) }
}
