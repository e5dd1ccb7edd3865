import type { SubjectScenario } from '../stage.ts'

/** Behind the start of a slot: who has the lock has it by then, and its effect is still to come, ms. */
const IN_THE_GAP_MS = 150
/** How many slots a copy misses while it stands still. */
const SLOTS_STOPPED = 2

export const scenario: SubjectScenario = {
  name: 'C-82',
  summary: 'each copy of your scheduler in turn stands still between its lock and its effect, for longer than the lock lasts',
  engine: 'cron',
  needsSubject: true,
  invariants: ['each-slot-once'],
  toxics: [],
  failures: [],
  needsProcess: true,
  async drive(world) {
    for (const node of world.nodes) {
      await world.nextSlot(IN_THE_GAP_MS)
      world.pause(node)
      for (let slot = 0; slot < SLOTS_STOPPED; slot++) await world.nextSlot(world.periodMs / 2)
      world.resume(node)
      await world.nextSlot()
    }
    await world.nextSlot()
  },
}
