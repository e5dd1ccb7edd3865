import { IN_TIME } from '../stage.ts'
import type { CronScenario } from '../stage.ts'
import { CALM, median, usual } from '../staging.ts'

const ROUNDS = 3

export const scenario: CronScenario = {
  name: 'C-01',
  summary: 'the leader is killed, and stopped: the next one fires what is due within 1.15 of the lease, at once where it sees that the process is gone',
  engine: 'cron',
  invariants: [...IN_TIME],
  toxics: [],
  failures: [{ component: 'engine', mode: 'crash' }],
  host: true,
  async drive(world) {
    await usual(world)
    const killed: number[] = []
    const stopped: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const leader = await world.elected()
      await world.clock.sleep(world.ttlMs / 2)
      const since = world.clock.monotonic()
      await world.kill(leader)
      await world.must('leader.elected')
      killed.push((world.clock.monotonic() - since) / world.ttlMs)
      await world.restart(leader)
    }
    for (let round = 0; round < ROUNDS; round++) {
      const leader = await world.elected()
      await world.clock.sleep(world.ttlMs / 2)
      const since = world.clock.monotonic()
      world.pause(leader)
      await world.must(({ type, node }) => type === 'leader.elected' && node !== leader)
      stopped.push((world.clock.monotonic() - since) / world.ttlMs)
      world.resume(leader)
    }
    await world.clock.sleep(CALM)
    await world.heal()
    world.expect('a killed leader is followed in a tenth of the lease (median)', median(killed) <= 0.1, `${median(killed).toFixed(2)}`)
    world.expect('one that only fell silent within 1.15 of the lease', Math.max(...stopped) <= 1.15, `at most ${Math.max(...stopped).toFixed(2)}`)
  },
}
