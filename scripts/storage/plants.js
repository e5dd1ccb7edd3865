// Engines and stores with one planted bug each, which a sweep must convict: a test that convicts nobody proves nothing.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const store = new URL('../../dist/engines/store/sqlite.js', import.meta.url)
const mutant = (name) => new URL(`../../test/mutants/${name}.mjs`, import.meta.url).href

/** A copy of the store in `folder` with a few words replaced, by its URL. Throws when one of them does not stand there exactly once. */
function plantStore(folder, name, replacements) {
  let text = readFileSync(store, 'utf8')
  for (const [stands, planted] of replacements) {
    if (text.split(stands).length !== 2) throw new Error(`${name}: the store has ${text.split(stands).length - 1} times: ${stands}`)
    text = text.replace(stands, () => planted)
  }
  text = text.replaceAll(/from '(\.[^']+)'/g, (_, path) => `from '${new URL(path, store).href}'`).replace('createRequire(import.meta.url)', `createRequire('${store.href}')`)
  const file = join(folder, `${name}.mjs`)
  writeFileSync(file, text)
  return pathToFileURL(file).href
}

/** By name: what is wrong, the modules of it (see bench.js), and the ways to cut that must convict it, each of them. */
export const PLANTS = {
  normal: {
    what: 'the store commits with synchronous=NORMAL, as SQLite does by default in WAL mode',
    plant: (folder) => ({ store: plantStore(folder, 'normal', [["'synchronous = FULL'", "'synchronous = NORMAL'"], ['synchronous !== 2', 'synchronous !== 1']]) }),
    convictedBy: ['power'],
  },
  deaf: {
    what: 'the store takes a commit that ended in an error for done',
    plant: (folder) => ({ store: plantStore(folder, 'deaf', [['this.#db.inTransaction ? this.#commit() : undefined', 'this.#db.inTransaction ? (this.#commit(), undefined) : undefined']]) }),
    convictedBy: ['eio', 'eioForGood'],
  },
  hasty: {
    what: 'the engine answers before the outcome is durable',
    plant: () => ({ engine: mutant('acknowledge-before-commit') }),
    convictedBy: ['kill', 'power'],
  },
  forgetful: {
    what: 'the engine asks the bank before the intent is durable',
    plant: () => ({ engine: mutant('no-intent') }),
    convictedBy: ['kill', 'power'],
  },
}
