// The points at which a script is cut, and the figures of many cuts together.
import { FAULTS } from './bench.js'

/** Operations that need space: only these fail on a full disk. */
const GROWING = ['create', 'write']

/** Of the deaths in a recovery one place in so many is enough: where the second comes is drawn anyway, and each costs two processes. */
const SPARSE = { killTwice: 5 }

/** How a life is cut: the faults of bench.js, and what needs more than one. */
export const WAYS = [...Object.keys(FAULTS), 'killTwice', 'power', 'forgottenSync']

/**
 * Every `every`th place where the script can be cut, for each way: an operation; for `power` also a message; for `forgottenSync` an fsync of a file
 * (SQLite ignores a folder's that fails). Some ways are sparser. Ways begin at different places, so that a sample does not always meet the same ones.
 */
export async function cutsOf(bench, script, ways, every = 1) {
  const { operations } = await bench.trace(script)
  const onDisk = operations.filter(({ kind }) => kind !== 'mark')
  const fits = {
    full: ({ kind }) => GROWING.includes(kind),
    fullForGood: ({ kind }) => GROWING.includes(kind),
    forgottenSync: ({ kind, name }) => kind === 'sync' && name !== '',
  }
  return ways.flatMap((way, shift) => {
    const places = way === 'power' ? operations.map((_, i) => i + 1) : onDisk.flatMap((operation, at) => ((fits[way] ?? (() => true))(operation) ? [at] : []))
    const step = every * (SPARSE[way] ?? 1)
    return places.filter((_, i) => i % step === shift % step).map((at) => ({ script, way, at }))
  })
}

/** What one cut showed: an entry for each image, or for the file that was left. */
export async function make(bench, { script, way, at }) {
  const results = way in FAULTS ? [await bench.strike(script, way, at)] : [await bench[way === 'power' ? 'powerCut' : way](script, at)].flat()
  return results.map((result) => ({ ...result, script, way, at }))
}

export class Figures {
  cuts = {}
  images = {}
  /** Images that left something else than all before them. */
  distinct = 0
  /** Second deaths that did not come: the life had ended before. */
  outlived = 0
  /** Answers that clients held at the cuts, all cuts together. */
  acknowledged = 0
  /** Cuts and images at which each word of judge.js was said. */
  lost = 0
  doubled = 0
  other = {}
  /** By way: how many of its cuts or images were convicted. */
  convicted = {}
  examples = []

  add({ script, way, at, model, anew, outlived, acknowledged, violations }) {
    if (outlived) this.outlived++
    if (model) {
      this.images[model] = (this.images[model] ?? 0) + 1
      if (anew) this.distinct++
    } else this.cuts[way] = (this.cuts[way] ?? 0) + 1
    this.acknowledged += acknowledged
    if (violations.length === 0) return
    this.convicted[way] = (this.convicted[way] ?? 0) + 1
    if (this.examples.length < 20) this.examples.push({ script, way, at, model, violations: violations.slice(0, 3) })
    for (const word of new Set(violations.map((violation) => violation.split(':')[0]))) {
      if (word === 'lost') this.lost++
      else if (word === 'doubled') this.doubled++
      else this.other[word] = (this.other[word] ?? 0) + 1
    }
  }
}
