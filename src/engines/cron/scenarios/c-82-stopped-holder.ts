import type { SubjectScenario } from '../stage.ts'

/** Behind the start of a slot: who has the lock has it by then, and its effect is still to come, ms. */
const IN_THE_GAP_MS = 150
/** How many slots they miss who stand still with the lock. */
const SLOTS_STOPPED = 2
/** How often whoever has the lock is to stand still, and how often that is tried for each copy: who has it is not known beforehand. */
const HOLDERS_STOPPED = 2
const TRIES_PER_COPY = 4

export const scenario: SubjectScenario = {
  name: 'C-82',
  summary: 'all copies of your scheduler but one stand still between a lock and its effect, for longer than the lock lasts',
  engine: 'cron',
  needsSubject: true,
  invariants: ['each-slot-once'],
  toxics: [],
  failures: [],
  needsProcess: true,
  async drive(world) {
    const { nodes } = world
    let stopped = 0
    for (let turn = 0; turn < TRIES_PER_COPY * nodes.length && stopped < HOLDERS_STOPPED; turn++) {
      const still = nodes.length === 1 ? nodes : nodes.filter((_, n) => n !== turn % nodes.length)
      await world.nextSlot(IN_THE_GAP_MS)
      const effects = world.tally(({ type }) => type === 'resource.applied')
      for (const node of still) world.pause(node)
      await world.nextSlot()
      // When the slot has taken effect by now, the one that moves has the lock, and nothing is shown.
      const isHeld = effects() === 0
      if (isHeld) {
        stopped++
        for (let slot = 1; slot < SLOTS_STOPPED; slot++) await world.nextSlot()
        await world.nextSlot(world.periodMs / 2)
      }
      for (const node of still) world.resume(node)
      if (isHeld) await world.nextSlot()
    }
    await world.nextSlot()
  },
}
