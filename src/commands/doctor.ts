import { mkdir, mkdtemp, rm, rmdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Flags } from '@oclif/core'
import { SystemClock } from '../clock.ts'
import { openSqlite } from '../engines/store/sqlite.ts'
import { ResilError } from '../errors.ts'
import { visible } from '../visible.ts'
import { serveHttp } from '../http-server.ts'
import { Random } from '../random.ts'
import { BaseCommand } from './base.ts'
import type { ExitCode } from './failure.ts'
import { table } from './text.ts'

/** What one look found; `mend` says what to do when something must be done. */
interface Finding {
  check: string
  found: string
  mend?: string
}

/** Commits that are timed; the middle one is told. */
const TIMED_COMMITS = 9
/** Readings of the monotonic clock, which may never step back. */
const CLOCK_READINGS = 10_000

/** Characters of a refusal that are shown: a driver that does not load lists every place where it was looked for. */
const LONGEST_REFUSAL = 200

const MIGRATION = { version: 1, sql: 'CREATE TABLE kept (id INTEGER PRIMARY KEY, word TEXT NOT NULL) STRICT' }

export default class Doctor extends BaseCommand<typeof Doctor> {
  static override summary = 'check this machine: Node.js, SQLite, disk, ports, clock, terminal'
  static override description = 'Exit code 0 when all is well, 2 when something must be mended; what and how stands beside it.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --db payments.db --json']
  static override flags = {
    db: Flags.string({ summary: 'look at this database too; nothing is written to it', helpValue: 'FILE' }),
  }

  readonly #clock = new SystemClock()

  protected async work(): Promise<ExitCode> {
    const checks: Record<string, () => Promise<Omit<Finding, 'check'>>> = {
      'node': node,
      'durable write': () => this.#durableWrite(),
      'loopback port': () => this.#loopbackPort(),
      'monotonic clock': () => this.#monotonicClock(),
      'run folder': runFolder,
      'terminal': () => this.#terminal(),
      ...(this.flags.db !== undefined && { 'database': () => this.#database(this.flags.db!) }),
    }
    const findings: Finding[] = []
    for (const [check, look] of Object.entries(checks)) {
      if (this.interrupted.aborted) throw new ResilError('RUN_CUT_SHORT', 'interrupted before all was looked at')
      const finding: Finding = { check, ...(await look().catch(failed)) }
      this.emit({ ...finding, ok: finding.mend === undefined })
      findings.push(finding)
    }
    const broken = findings.filter(({ mend }) => mend !== undefined)
    const rows = table((this.flags.quiet ? broken : findings).map(({ check, found, mend }) => [mend === undefined ? 'fine' : 'MEND', check, mend === undefined ? found : [found, mend]]))
    for (const row of rows) this.answer(row)
    this.say()
    this.say(broken.length === 0 ? 'all is well' : `${broken.length} of ${findings.length} must be mended`)
    this.emit({ ok: broken.length === 0, mend: broken.length })
    return broken.length === 0 ? 0 : 2
  }

  /** A row that is on the disk when the promise resolves, in a store of its own; and how long that takes here. */
  async #durableWrite(): Promise<Omit<Finding, 'check'>> {
    const folder = await mkdtemp(join(tmpdir(), 'resil-doctor-')).catch((error: NodeJS.ErrnoException) => {
      throw new ResilError('TEMP_UNUSABLE', `${tmpdir()} cannot be written (${error.code})`, 'set TMPDIR to a folder that you may write')
    })
    try {
      const store = await openSqlite(join(folder, 'doctor.db'), { clock: this.#clock, random: Random.system() })
      try {
        await store.migrate([MIGRATION])
        const tookMs: number[] = []
        for (let i = 0; i < TIMED_COMMITS; i++) {
          const began = this.#clock.monotonic()
          await store.transaction('keep', (tx) => tx.query('INSERT INTO kept (word) VALUES (:word)', { word: 'kept' }))
          tookMs.push(this.#clock.monotonic() - began)
        }
        const { sqlite, driver, journal, synchronous } = store.facts()
        const middle = tookMs.toSorted((a, b) => a - b)[TIMED_COMMITS >> 1]!
        const found = `SQLite ${sqlite} (better-sqlite3 ${driver}, Node-API ${process.versions.napi}), ${journal}, synchronous ${synchronous}: a commit takes ${middle.toFixed(2)} ms`
        return synchronous >= 2 ? { found } : { found, mend: 'this build of SQLite does not flush each commit: npm rebuild better-sqlite3' }
      } finally {
        await store.close()
      }
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }

  async #loopbackPort(): Promise<Omit<Finding, 'check'>> {
    const server = await serveHttp(async () => ({ status: 204, headers: {}, body: '' }), { clock: this.#clock })
    await server.close(0)
    return { found: `${server.host}:${server.port} could be opened` }
  }

  async #monotonicClock(): Promise<Omit<Finding, 'check'>> {
    let last = this.#clock.monotonic()
    let step = Infinity
    for (let i = 0; i < CLOCK_READINGS; i++) {
      const now = this.#clock.monotonic()
      if (now < last) return { found: `stepped back by ${last - now} ms`, mend: 'leases and deadlines cannot be trusted on this machine: mend its clock source' }
      if (now > last) step = Math.min(step, now - last)
      last = now
    }
    return { found: `never stepped back in ${CLOCK_READINGS} readings, smallest step ${(step * 1000).toFixed(1)} us` }
  }

  async #terminal(): Promise<Omit<Finding, 'check'>> {
    const { isTTY, columns, rows } = process.stdout
    if (!isTTY || !process.stdin.isTTY) return { found: 'stdin or stdout is no terminal: plain lines instead of a dashboard' }
    if (process.env.TERM === 'dumb') return { found: 'TERM is dumb: plain lines instead of a dashboard' }
    return { found: `${columns} x ${rows}, ${this.colour ? `${2 ** process.stdout.getColorDepth()} colours` : 'no colour'}` }
  }

  async #database(path: string): Promise<Omit<Finding, 'check'>> {
    const store = await openSqlite(path, { clock: this.#clock, random: Random.system(), readOnly: true })
    const { warnings, journal } = store.facts()
    await store.close()
    return { found: visible([`${store.path} is a database of resil, ${journal}`, ...warnings].join('; ')) }
  }
}

/** bin/run.js has refused what is too old before it came here. */
async function node(): Promise<Omit<Finding, 'check'>> {
  return { found: `${process.version} on ${process.platform}-${process.arch}, Node-API ${process.versions.napi}` }
}

/** Records of runs are kept under .resil of the folder that resil runs in. */
async function runFolder(): Promise<Omit<Finding, 'check'>> {
  const folder = resolve('.resil')
  const probe = join(folder, `doctor-${process.pid}`)
  try {
    const made = await mkdir(folder, { recursive: true })
    await writeFile(probe, 'probe')
    await rm(probe)
    if (made) await rmdir(folder)
    return { found: `${visible(folder)} can be written` }
  } catch (error) {
    return { found: visible(`${folder} cannot be written (${(error as NodeJS.ErrnoException).code})`), mend: 'run resil in a folder that you may write, or make .resil there a folder of yours' }
  }
}

/** A refusal is a finding; anything else is a bug. */
function failed(error: unknown): Omit<Finding, 'check'> {
  if (!(error instanceof ResilError)) throw error
  const found = visible(`${error.code}: ${error.message}`)
  return { found: found.length > LONGEST_REFUSAL ? `${found.slice(0, LONGEST_REFUSAL)}...` : found, mend: visible(error.hint) }
}
