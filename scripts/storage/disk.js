// What a power cut leaves of a folder. The order log of shim.c says every operation in its order; an image is the folder after the first so many of
// them, when the disk kept only some of those that no fsync had made durable:
//
//   kept     all of them, as after a kill
//   synced   none of them
//   subset   any of them, by chance, each for itself
//   torn     all before the last one, which is a write of which only a first part arrived
//   alone    the durable ones and that first part: the head of the disk was there first
//
// The bytes of a file become durable with an fsync of the file; that it exists, is gone or has another name, with an fsync of the folder and not before
// (POSIX; ext4 is kinder). An fsync that fails forgets what it should have written: a later one that succeeds does not bring it to the disk (as on Linux).
// Not modelled: sectors of one write out of order, writes to the wrong place, a disk that lies about fsync.
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'

/** @typedef {{ kind: 'create' | 'write' | 'truncate' | 'sync' | 'unlink' | 'rename' | 'mark', struck: boolean, name: string, offset: number, data: Buffer }} Operation */

const KINDS = { c: 'create', w: 'write', t: 'truncate', s: 'sync', u: 'unlink', r: 'rename', m: 'mark' }
const HEAD_BYTES = 16

/** The order log; `name` is the file's without its folder, '' for the folder itself. @returns {Operation[]} */
export function readLog(path, folder) {
  const log = readFileSync(path)
  const operations = []
  for (let at = 0; at < log.length; ) {
    const pathEnd = at + HEAD_BYTES + log.readUInt16LE(at + 2)
    const end = pathEnd + log.readUInt32LE(at + 4)
    const where = log.toString('utf8', at + HEAD_BYTES, pathEnd)
    operations.push({
      kind: KINDS[String.fromCharCode(log[at])],
      struck: log[at + 1] !== 0,
      name: where === folder ? '' : basename(where),
      offset: Number(log.readBigUInt64LE(at + 8)),
      data: log.subarray(pathEnd, end),
    })
    at = end
  }
  return operations
}

export const MODELS = ['kept', 'synced', 'subset', 'torn', 'alone']

/** One life of a folder: what stood in it before, durable, and what was done to it. */
export class Disk {
  #before
  #operations
  /** For each operation, the number of the fsync that made it durable; Infinity when none did. */
  #durableAt

  /** @param {Map<string, Buffer>} before @param {Operation[]} operations */
  constructor(before, operations) {
    this.#before = before
    this.#operations = operations
    this.#durableAt = durabilities(before, operations)
  }

  get length() {
    return this.#operations.length
  }

  /** Whether the model has anything to say about a cut after the first `prefix` operations. */
  applies(model, prefix) {
    const last = this.#operations[prefix - 1]
    return (model !== 'torn' && model !== 'alone') || (last?.kind === 'write' && last.data.length > 1)
  }

  /**
   * The files as they are found after the first `prefix` operations.
   * @param {string} model @param {number} prefix @param {{ next(): number, int(min: number, max: number): number }} random @returns {Map<string, Buffer>}
   */
  image(model, prefix, random) {
    const part = model === 'torn' || model === 'alone' ? random.int(1, this.#operations[prefix - 1].data.length - 1) : 0
    const keeps = { kept: () => true, synced: () => false, subset: () => random.next() < 0.5, torn: () => true, alone: (i) => i === prefix - 1 }[model]
    const seen = new Map([...this.#before].map(([name, bytes]) => [name, new Growing(bytes)]))
    const found = new Map(seen)
    for (let i = 0; i < prefix; i++) {
      const { kind, name, offset, data, struck } = this.#operations[i]
      if (struck || kind === 'sync' || kind === 'mark') continue
      const kept = this.#durableAt[i] < prefix || keeps(i)
      const file = seen.get(name)
      if (kind === 'write' && kept) file.write(part && i === prefix - 1 ? data.subarray(0, part) : data, offset)
      else if (kind === 'truncate' && kept) file.truncate(offset)
      else if (kind === 'create') {
        const made = new Growing(Buffer.alloc(0))
        seen.set(name, made)
        if (kept) found.set(name, made)
      } else if (kind === 'unlink') {
        seen.delete(name)
        if (kept) found.delete(name)
      } else if (kind === 'rename') {
        const to = basename(data.toString())
        seen.delete(name)
        seen.set(to, file)
        if (!kept) continue
        if (found.get(name) === file) found.delete(name)
        found.set(to, file)
      }
    }
    return new Map([...found].map(([name, file]) => [name, file.bytes]))
  }
}

/** A file names may come and go; what is synced is the file that a name meant at that moment. */
function durabilities(before, operations) {
  const durableAt = operations.map(() => Infinity)
  const pending = new Map()
  const files = new Map([...before.keys()].map((name) => [name, Symbol(name)]))
  const FOLDER = Symbol('folder')
  const waits = (file, i) => pending.set(file, [...(pending.get(file) ?? []), i])
  for (const [i, { kind, name, data, struck }] of operations.entries()) {
    if (kind === 'mark' || (struck && kind !== 'sync')) continue
    if (kind === 'sync') {
      const file = name === '' ? FOLDER : files.get(name)
      if (!struck) for (const each of pending.get(file) ?? []) durableAt[each] = i
      pending.delete(file)
    } else if (kind === 'write' || kind === 'truncate') waits(files.get(name), i)
    else {
      waits(FOLDER, i)
      if (kind === 'create') files.set(name, Symbol(name))
      if (kind === 'rename') files.set(basename(data.toString()), files.get(name))
      if (kind !== 'create') files.delete(name)
    }
  }
  return durableAt
}

/** Bytes that can be written beyond their end, and cost no copy for each write. */
class Growing {
  #room
  #length
  #own = false

  constructor(bytes) {
    this.#room = bytes
    this.#length = bytes.length
  }

  get bytes() {
    return this.#room.subarray(0, this.#length)
  }

  write(data, offset) {
    this.#grow(offset + data.length)
    data.copy(this.#room, offset)
  }

  truncate(length) {
    this.#grow(length)
    this.#room.fill(0, length, this.#length)
    this.#length = length
  }

  #grow(length) {
    if (!this.#own || length > this.#room.length) {
      const room = Buffer.alloc(Math.max(length, this.#own ? 2 * this.#room.length : this.#length + 65_536))
      this.#room.copy(room, 0, 0, this.#length)
      this.#room = room
      this.#own = true
    }
    this.#length = Math.max(this.#length, length)
  }
}
