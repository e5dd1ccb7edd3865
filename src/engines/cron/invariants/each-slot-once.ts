import type { Invariant, Violation } from '../../../invariant.ts'
import { plural } from '../../../invariant.ts'


/** Judges a scheduler that is not ours: it knows the slots, and the effects as the resource saw them. */
export const invariant: Invariant = {
  name: 'each-slot-once',
  summary: 'between each slot and the end of its tolerance there is one effect, and none at any other time',
  start() {
    const slots: { seq: number; slot: number; untilAt: number }[] = []
    const effects: { seq: number; at: number; key: string | null }[] = []
    let repeated = 0
    return {
      on(event) {
        if (event.type === 'slot.expected') slots.push({ seq: event.seq, slot: event['slot'] as number, untilAt: event['untilAt'] as number })
        else if (event.type === 'resource.applied') effects.push({ seq: event.seq, at: event.at, key: event['key'] as string | null })
        else if (event.type === 'resource.repeated') repeated++
        return undefined
      },
      end() {
        const violations: Violation[] = []
        const name = (slot: number) => new Date(slot).toISOString().replace('.000Z', 'Z')
        const counted = new Set<number>()
        for (const { seq, slot, untilAt } of slots) {
          const mine = effects.filter(({ at }) => at >= slot && at < untilAt)
          for (const { seq: effect } of mine) counted.add(effect)
          if (mine.length === 0) violations.push({ why: `${name(slot)} was missed: no effect`, witness: [seq] })
          if (mine.length > 1) violations.push({ why: `${name(slot)} took effect ${mine.length} times`, witness: [seq, ...mine.map(({ seq: effect }) => effect)] })
        }
        const [from, to] = [slots[0]?.slot ?? 0, slots.at(-1)?.untilAt ?? 0]
        for (const { seq, at } of effects) if (!counted.has(seq) && at >= from && at < to) violations.push({ why: `an effect at ${name(at)} belongs to no slot`, witness: [seq] })
        if (slots.length === 0) return { violations, looked: '', undecided: 'no slot came while the run lasted' }
        return { violations, looked: `${plural(slots.length, 'slot')}, ${plural(counted.size, 'effect')}, ${plural(repeated, 'repeat')} told apart by key` }
      },
    }
  },
}
