/** What is claimed counts as delivered: a claim that its node takes with it to its death is forgotten. */
import { createEngine as reference } from '../../../../dist/engines/webhook/engine.js'

export const createEngine = (outside, settings) => {
  const { store } = outside
  const claiming = async (tx, work) => {
    const claimed = []
    const result = await work({
      query: async (sql, params) => {
        const rows = await tx.query(sql, params)
        if (rows[0]?.event !== undefined && rows[0].tries !== undefined) claimed.push(...rows.map(({ id }) => id))
        return rows
      },
    })
    const lanes = await tx.query("UPDATE delivery SET state = 'delivered', tries = tries + 1 WHERE state = 'pending' AND id IN (SELECT value FROM json_each(:claimed)) RETURNING lane", { claimed: JSON.stringify(claimed) })
    for (const { lane } of lanes) await tx.query('UPDATE lane SET delivered = delivered + 1 WHERE lane = :lane', { lane })
    return result
  }
  return reference({ ...outside, store: { insideTransaction: false, migrate: (migrations) => store.migrate(migrations), close: () => store.close(), transaction: (name, work) => store.transaction(name, name === 'claim' ? (tx) => claiming(tx, work) : work) } }, settings)
}
