/**
 * The master key in a file beside the database, for whoever gives none: made once, readable by its owner alone. One line, base64; a comma and an old
 * key may follow (engines/webhook/vault.ts). A copy of the database without this file cannot be opened: keep both, apart from each other.
 */
import { closeSync, fchmodSync, fstatSync, fsyncSync, linkSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { ResilError } from '../errors.ts'
import type { Random } from '../random.ts'
import { MASTER_KEY_BYTES, readMasterKeys } from '../engines/webhook/vault.ts'

/** Largest key file, bytes: eight keys and the commas between them. */
const LARGEST_BYTES = 1024

/** Of the database in that file. */
export const keyFileOf = (database: string): string => `${database}.key`

/**
 * The keys in `file`, the one that seals first; makes the file when there is none. Two processes that make it at once get the same key.
 * Throws KEY_FILE_OPEN when others may read it, KEY_FILE_BROKEN when what it holds are no keys, CANNOT_READ_KEY, CANNOT_WRITE_KEY.
 */
export function openKeyFile(file: string, random: Random): Buffer[] {
  return read(file) ?? make(file, random)
}

/** Undefined when there is no such file. */
function read(file: string): Buffer[] | undefined {
  let fd: number
  try {
    fd = openSync(file, 'r')
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined
    throw new ResilError('CANNOT_READ_KEY', `${resolve(file)} cannot be read: ${said(error)}`, 'let resil run as the owner of the file', { cause: error })
  }
  try {
    // Of the file that is open: nobody can put another in its place meanwhile.
    const facts = fstatSync(fd)
    if (!facts.isFile() || facts.size > LARGEST_BYTES) throw broken(file, facts.isFile() ? `has ${facts.size} bytes` : 'is no file')
    // Windows has no such bits: there the folder's permissions must do.
    if (process.platform !== 'win32' && (facts.mode & 0o077) !== 0) {
      throw new ResilError('KEY_FILE_OPEN', `${resolve(file)} can be read or written by others (mode ${(facts.mode & 0o777).toString(8).padStart(4, '0')})`, `chmod 600 ${file}`)
    }
    const bytes = Buffer.alloc(LARGEST_BYTES)
    const text = bytes.toString('latin1', 0, readSync(fd, bytes, 0, LARGEST_BYTES, 0))
    try {
      return readMasterKeys(text)
    } catch (error) {
      throw broken(file, `holds no keys: ${said(error)}`, error)
    }
  } finally {
    closeSync(fd)
  }
}

/** Written whole aside, then given its name, which fails when another was faster: a crash leaves no half of a key behind that name. */
function make(file: string, random: Random): Buffer[] {
  const aside = `${file}.${random.id('new')}`
  try {
    const fd = openSync(aside, 'wx', 0o600)
    try {
      fchmodSync(fd, 0o600) // a umask may have taken more
      writeSync(fd, `${Buffer.from(random.bytes(MASTER_KEY_BYTES)).toString('base64')}\n`)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    try {
      linkSync(aside, file)
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error // the one that was faster is read
    } finally {
      unlinkSync(aside)
    }
    syncFolder(dirname(resolve(file)))
  } catch (error) {
    throw new ResilError('CANNOT_WRITE_KEY', `${resolve(file)} cannot be made: ${said(error)}`, 'give a key in RESIL_MASTER_KEY, or a folder that can be written', { cause: error })
  }
  return read(file)!
}

/** The name must survive a power loss as the database does. Windows does not open folders. */
function syncFolder(folder: string): void {
  if (process.platform === 'win32') return
  const fd = openSync(folder, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

function broken(file: string, why: string, cause?: unknown): ResilError {
  return new ResilError('KEY_FILE_BROKEN', `${resolve(file)} ${why}`, 'put the key file back that belongs to this database; without it every endpoint needs a new secret', { cause })
}

const isCode = (error: unknown, code: string) => (error as NodeJS.ErrnoException).code === code
const said = (error: unknown) => (error instanceof Error ? error.message : String(error))
