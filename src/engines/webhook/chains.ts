/** Where order was asked for, what belongs together is a chain: only its first link is pending, the others are `chained` until it has ended. */
import type { Tx } from '../store/store.ts'

/** When a link has ended: the next one may go, unless one of the chain is under way. Answers its delivery. */
export async function nextLink(tx: Tx, lane: number, chain: string): Promise<number | undefined> {
  const [row] = await tx.query<{ id: number }>(
    `UPDATE delivery SET state = 'pending'
     WHERE id = (SELECT MIN(id) FROM delivery WHERE lane = :lane AND chain = :chain AND state = 'chained')
       AND NOT EXISTS (SELECT 1 FROM delivery o WHERE o.lane = :lane AND o.chain = :chain AND o.state = 'pending')
     RETURNING id`,
    { lane, chain },
  )
  return row?.id
}

/** The same for who does not own the lane: its owner is nudged. */
export async function promote(tx: Tx, lane: number, chain: string): Promise<void> {
  if ((await nextLink(tx, lane, chain)) !== undefined) await tx.query('INSERT INTO nudge (lane) VALUES (:lane)', { lane })
}
