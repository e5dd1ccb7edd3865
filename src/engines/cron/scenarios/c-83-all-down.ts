import type { SubjectScenario } from '../stage.ts'

export const scenario: SubjectScenario = {
  name: 'C-83',
  summary: 'every copy of your scheduler is down over one slot: it is made up for, or missed',
  engine: 'cron',
  needsSubject: true,
  invariants: ['each-slot-once'],
  toxics: [],
  failures: [],
  needsProcess: true,
  async drive(world) {
    await world.nextSlot()
    await world.nextSlot(world.periodMs / 2)
    for (const node of world.nodes) await world.kill(node)
    await world.nextSlot(world.periodMs / 4)
    for (const node of world.nodes) await world.restart(node)
    await world.nextSlot()
    await world.nextSlot()
  },
}
