import type { SubjectScenario } from '../stage.ts'

export const scenario: SubjectScenario = {
  name: 'C-80',
  summary: 'copies of your scheduler side by side, one killed and started again: each slot once',
  engine: 'cron',
  needsSubject: true,
  invariants: ['each-slot-once'],
  toxics: [],
  failures: [],
  needsProcess: true,
  async drive(world) {
    await world.nextSlot()
    await world.nextSlot(world.periodMs / 2)
    await world.kill(world.nodes[0])
    await world.nextSlot(world.periodMs / 2)
    await world.restart(world.nodes[0])
    await world.nextSlot()
    await world.nextSlot()
  },
}
