/** A store as it is, row by row, in another one: what a backup is to stores in memory. */
import type { Row, Store } from '../engines/store/store.ts'

/** SQLite. Copies schema, rows and version of `from` into `to`, which is empty; each in one transaction. Triggers come last: they would judge the copying. */
export async function copyStore(from: Store, to: Store): Promise<void> {
  const { version, schema, tables } = await from.transaction('copy', async (tx) => {
    const [{ user_version: version }] = (await tx.query<{ user_version: number }>('PRAGMA user_version')) as [{ user_version: number }]
    const schema = await tx.query<{ type: string; name: string; sql: string }>("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 ELSE 2 END")
    const tables: { name: string; rows: Row[] }[] = []
    for (const { type, name } of schema) if (type === 'table') tables.push({ name, rows: await tx.query(`SELECT * FROM ${name}`) })
    return { version, schema, tables }
  })
  await to.transaction('copy', async (tx) => {
    for (const { type, sql } of schema) if (type === 'table') await tx.query(sql)
    for (const { name, rows } of tables) {
      for (const row of rows) await tx.query(`INSERT INTO ${name} (${Object.keys(row).join(', ')}) VALUES (${Object.keys(row).map((column) => `:${column}`).join(', ')})`, row)
    }
    for (const { type, sql } of schema) if (type !== 'table') await tx.query(sql)
    await tx.query(`PRAGMA user_version = ${version}`)
  })
}
