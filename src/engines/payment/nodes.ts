/**
 * Which nodes live: each changes its row now and then, and whoever looks counts on its own monotonic clock for how long a row has not changed.
 * No two clocks are compared, so no skew and no jump of a wall clock takes a payment away from a node that lives.
 */
import type { Clock } from '../../clock.ts'
import type { Tx } from '../store/store.ts'

interface NodeRow {
  name: string
  life: number
  beat: number
}

export class Nodes {
  readonly #clock: Clock
  readonly #leaseMs: number
  readonly #node: string
  readonly #life: number
  /** The latest beat of each other node, and when it was first seen, monotonic ms. */
  readonly #seen = new Map<string, { life: number; beat: number; at: number }>()

  constructor(clock: Clock, leaseMs: number, node: string, life: number) {
    this.#clock = clock
    this.#leaseMs = leaseMs
    this.#node = node
    this.#life = life
  }

  /** Beats, and answers the names of other nodes that own something unfinished and have been silent for a lease. */
  async beat(tx: Tx): Promise<string[]> {
    await tx.query(
      `INSERT INTO nodes (name, life, beat) VALUES (:node, :life, 1)
       ON CONFLICT (name) DO UPDATE SET life = :life, beat = nodes.beat + 1`,
      { node: this.#node, life: this.#life },
    )
    const owners = await tx.query<NodeRow>(
      `SELECT o.name, coalesce(n.life, 0) AS life, coalesce(n.beat, 0) AS beat
       FROM (SELECT owner_node AS name FROM payments WHERE state IN ('claimed', 'sent', 'unknown') UNION SELECT owner_node FROM refunds WHERE state IN ('sent', 'unknown')) o
       LEFT JOIN nodes n ON n.name = o.name
       WHERE o.name <> :node`,
      { node: this.#node },
    )
    const now = this.#clock.monotonic()
    for (const name of this.#seen.keys()) if (!owners.some((owner) => owner.name === name)) this.#seen.delete(name)
    for (const { name, life, beat } of owners) {
      const seen = this.#seen.get(name)
      if (seen?.life !== life || seen.beat !== beat) this.#seen.set(name, { life, beat, at: now })
    }
    return owners.filter(({ name }) => now - this.#seen.get(name)!.at >= this.#leaseMs).map(({ name }) => name)
  }
}
