import { ALWAYS } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { CALM, usual } from '../staging.ts'

export const scenario: CronScenario = {
  name: 'C-12',
  summary: 'the lease is deleted, then restored from an older copy: nodes that have seen the newer epoch refuse to go on',
  engine: 'cron',
  invariants: [...ALWAYS.filter((name) => name !== 'i5-one-holder')],
  toxics: [],
  failures: [{ component: 'store', mode: 'byzantine' }],
  refusals: ['EPOCH_REGRESSED'],
  async drive(world) {
    await usual(world)
    await world.kill(world.leader()!)
    await world.must('leader.elected')
    await world.startAll()
    await world.clock.sleep(CALM)
    const refusals = async (how: string, tamper: () => Promise<unknown>, mend: () => Promise<unknown>) => {
      const before = world.of('node.refused').length
      await tamper()
      await world.clock.sleep(2 * world.ttlMs)
      const refused = world.of('node.refused').slice(before)
      world.expect(`${how}: every node refuses`, refused.length === world.nodes.length && refused.every((event) => event['code'] === 'EPOCH_REGRESSED'), `${refused.length} of ${world.nodes.length} refused`)
      await mend()
      await world.startAll()
      await world.elected()
      await world.clock.sleep(world.ttlMs)
    }
    const write = (name: string, sql: string, params: Record<string, string | number | null> = {}) => world.store.transaction(name, (tx) => tx.query(sql, params))
    let kept: Record<string, string | number | null> = {}
    await refusals(
      'the row is gone',
      async () => {
        const [row] = (await write('tamper', 'SELECT * FROM lease')) as Record<string, string | number | null>[]
        kept = row!
        await write('tamper', 'DELETE FROM lease')
      },
      () => write('mend', "INSERT INTO lease (name, epoch, holder, beat, ttl_ms, pid, born, host, build, acquired_at) VALUES (:name, :epoch, '', :beat, :ttl, NULL, NULL, NULL, :build, :at)", { name: kept['name']!, epoch: kept['epoch']!, beat: kept['beat']!, ttl: kept['ttl_ms']!, build: kept['build']!, at: kept['acquired_at']! }),
    )
    await refusals(
      'the epoch is an older one',
      () => write('tamper', "UPDATE lease SET epoch = epoch - 1, holder = ''"),
      () => write('mend', "UPDATE lease SET epoch = epoch + 1, holder = ''"),
    )
    await world.heal()
  },
}
