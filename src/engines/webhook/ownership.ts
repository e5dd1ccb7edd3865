/**
 * Which lanes are this node's. Each lane has one owner at a time; the fence, which grows with every owner, keeps what an old one still writes out of the store.
 *
 *   nodes beat ──▶ whoever lives, in the order of names, has the lanes whose number leaves its place as the remainder
 *   a lane that is mine and nobody's, or a dead node's ──▶ taken, with the next fence
 *   a lane that is no longer mine ──▶ let go once nothing of it is in flight
 *
 * No two clocks are compared: whoever looks counts on its own monotonic clock for how long a beat has not changed.
 */
import type { Clock } from '../../clock.ts'
import type { Tx } from '../store/store.ts'
import { isStoreTrouble } from '../store/store.ts'
import { ResilError } from '../../errors.ts'

interface NodeRow {
  name: string
  life: string
  beat: number
}

export interface Owned {
  lane: number
  fence: number
}

/** Before a lease ends by this much, its holder sends nothing more: the beat may be on its way, the message must not be. */
const MARGIN = 0.8

export class Ownership {
  readonly #clock: Clock
  readonly #leaseMs: number
  readonly node: string
  readonly life: string
  /** The latest beat of each other node, and when it was first seen, monotonic ms. */
  readonly #seen = new Map<string, { life: string; beat: number; at: number }>()
  #beat = 0
  #beatenAt = Number.NEGATIVE_INFINITY
  #members = ''
  /** What the last beat made of these, until its commit is known to have gone well. */
  #unsure: { members: string; isFirst: boolean; at: number } | undefined
  /** Whether this node is the first of those that live: what is nobody's lane is its work. */
  isFirst = false

  constructor(clock: Clock, leaseMs: number, node: string, life: string) {
    this.#clock = clock
    this.#leaseMs = leaseMs
    this.node = node
    this.life = life
  }

  /** Whether this node may believe that its lanes are still its own. */
  get trusted(): boolean {
    return this.#clock.monotonic() - this.#beatenAt < this.#leaseMs * MARGIN
  }

  /**
   * In the beat's transaction: beats, and answers what has changed hands: `taken` are this node's from now on, `over` another is to have, `lost` another has.
   * It counts when `beaten` is called after the commit. Throws NODE_REPLACED when another process runs under this name.
   */
  async beat(tx: Tx, mine: ReadonlySet<number>): Promise<{ taken: Owned[]; over: number[]; lost: number[] }> {
    const asked = this.#clock.monotonic()
    await this.#say(tx)
    const others = (await tx.query<NodeRow>('SELECT name, life, beat FROM node ORDER BY name')).filter(({ name }) => name !== this.node)
    for (const name of this.#seen.keys()) if (!others.some((other) => other.name === name)) this.#seen.delete(name)
    for (const { name, life, beat } of others) {
      const seen = this.#seen.get(name)
      if (seen?.life !== life || seen.beat !== beat) this.#seen.set(name, { life, beat, at: asked })
    }
    const living = others.filter(({ name }) => asked - this.#seen.get(name)!.at < this.#leaseMs)
    for (const { name, life } of others) if (!living.some((other) => other.name === name)) await tx.query('DELETE FROM node WHERE name = :name AND life = :life', { name, life })
    const names = [...living.map(({ name }) => name), this.node].toSorted()
    const place = names.indexOf(this.node)
    const share = { count: names.length, place }
    const lives = [this.life, ...living.map(({ life }) => life)]
    const members = JSON.stringify([names, lives.toSorted()])
    // Everything is looked at when somebody has come or gone, or when nobody knows what the last beat did; else only what is nobody's, which an index knows.
    const all = members !== this.#members || this.#unsure !== undefined
    this.#unsure = { members, isFirst: place === 0, at: asked }
    const taken = await tx.query<Owned>(
      `UPDATE lane SET owner = :life, fence = fence + 1
       WHERE lane % :count = :place AND (owner IS NULL${all ? ' OR owner NOT IN (SELECT value FROM json_each(:lives)) OR (owner = :life AND lane NOT IN (SELECT value FROM json_each(:mine)))' : ''})
       RETURNING lane, fence`,
      { ...share, life: this.life, ...(all ? { lives: JSON.stringify(lives), mine: JSON.stringify([...mine]) } : {}) },
    )
    const kept = all ? new Set((await tx.query<{ lane: number }>('SELECT lane FROM lane WHERE owner = :life', { life: this.life })).map(({ lane }) => lane)) : mine
    return { taken, over: [...mine].filter((lane) => lane % names.length !== place && kept.has(lane)), lost: [...mine].filter((lane) => !kept.has(lane)) }
  }

  /** The beat is committed. */
  beaten(): void {
    if (!this.#unsure) return
    this.#members = this.#unsure.members
    this.isFirst = this.#unsure.isFirst
    this.#beatenAt = this.#unsure.at
    this.#unsure = undefined
  }

  async #say(tx: Tx): Promise<void> {
    if (this.#beatenAt === Number.NEGATIVE_INFINITY) {
      // It counts on from the life before: a number that comes again would look like silence.
      const [begun] = await tx.query<{ beat: number }>(
        `INSERT INTO node (name, life, beat, started_at) VALUES (:name, :life, 1, :now)
         ON CONFLICT (name) DO UPDATE SET life = :life, beat = node.beat + 1, started_at = :now
         RETURNING beat`,
        { name: this.node, life: this.life, now: this.#clock.now() },
      )
      this.#beat = begun!.beat
      return
    }
    // A node that was silent for long finds its row gone: it is nobody yet, and begins anew. One that finds another life there has been replaced.
    const [row] = await tx.query<NodeRow>('SELECT name, life, beat FROM node WHERE name = :name', { name: this.node })
    if (row && row.life !== this.life) throw new ResilError('NODE_REPLACED', `another process runs as node ${this.node}`, 'give each node its own name with --node')
    await tx.query('INSERT INTO node (name, life, beat, started_at) VALUES (:name, :life, :beat, :now) ON CONFLICT (name) DO UPDATE SET beat = :beat', { name: this.node, life: this.life, beat: ++this.#beat, now: this.#clock.now() })
    if (!row) this.#members = ''
  }

  /** In a transaction: gives lanes back. */
  async letGo(tx: Tx, lanes: readonly number[]): Promise<void> {
    await tx.query('UPDATE lane SET owner = NULL WHERE owner = :life AND lane IN (SELECT value FROM json_each(:lanes))', { life: this.life, lanes: JSON.stringify(lanes) })
  }

  /** In a transaction: there is nobody here any more. */
  async leave(tx: Tx): Promise<void> {
    await tx.query('UPDATE lane SET owner = NULL WHERE owner = :life', { life: this.life })
    await tx.query('DELETE FROM node WHERE name = :name AND life = :life', { name: this.node, life: this.life })
  }
}

/** For loops that outlive the machine's trouble. */
export function unlessTrouble(error: unknown): void {
  if (!isStoreTrouble(error)) throw error
}
