import type { SubjectScenario } from '../stage.ts'

export const scenario: SubjectScenario = {
  name: 'C-81',
  summary: 'copies of your scheduler side by side and nobody is hurt: a scheduler without a lock takes effect once for each copy',
  engine: 'cron',
  needsSubject: true,
  invariants: ['each-slot-once'],
  toxics: [],
  failures: [],
  async drive(world) {
    for (let slot = 0; slot < 4; slot++) await world.nextSlot()
  },
}
