import { describe, expect, it } from 'vitest'
import { VirtualClock } from '../../../src/clock.ts'
import { Gathering } from '../../../src/engines/webhook/gathering.ts'

const MS = 20
const COMMIT_MS = 1

/** Windows with how many came into each, and how long anybody waited. */
function watched() {
  const clock = new VirtualClock()
  const sizes: number[] = []
  let longest = 0
  const gathering = new Gathering(clock, MS, () => sizes.push(0))
  const join = async () => {
    const from = clock.monotonic()
    await gathering.join()
    sizes[sizes.length - 1]!++
    longest = Math.max(longest, clock.monotonic() - from)
  }
  return { clock, sizes, join, longest: () => longest, live: <T>(work: Promise<T>) => clock.run(work, { timers: 1_000_000 }) }
}

describe('company for a commit', () => {
  it('after a silence nobody waits', async () => {
    const { clock, join, sizes, longest, live } = watched()
    for (let n = 0; n < 10; n++) {
      await live(join())
      await live(clock.sleep(MS))
    }
    expect(sizes).toEqual(Array.from({ length: 10 }, () => 1))
    expect(longest()).toBe(0)
  })

  it('who comes by his own clock is gathered, and waits for no longer than the window', async () => {
    const { clock, join, sizes, longest, live } = watched()
    const under: Promise<void>[] = []
    for (let n = 0; n < 2780; n++) {
      under.push(join())
      await live(clock.sleep(1000 / 278))
    }
    await live(Promise.all(under))
    expect(longest()).toBeLessThanOrEqual(MS)
    // Ten seconds: 500 windows of 5.6, when they are full.
    expect(sizes.length).toBeLessThan(700)
  })

  it('comes quicker: more are hoped for', async () => {
    const { clock, join, sizes, live } = watched()
    const under: Promise<void>[] = []
    for (const perMs of [0.25, 5]) {
      for (let n = 0; n < 2000 * perMs; n++) {
        under.push(join())
        await live(clock.sleep(1 / perMs))
      }
    }
    await live(Promise.all(under))
    expect(sizes.at(-2)).toBeGreaterThan(40)
  })

  it.each([1, 2, 10, 100])('%i who wait for their answers are hardly slowed down', async (producers) => {
    const { clock, join, sizes, live } = watched()
    let made = 0
    const one = async () => {
      while (clock.monotonic() < 2000) {
        await join()
        await clock.sleep(COMMIT_MS)
        made++
      }
    }
    await live(Promise.all(Array.from({ length: producers }, one)))
    expect(made / 2).toBeGreaterThan((producers * 1000) / COMMIT_MS / 2)
    expect(sizes.filter((size) => size < producers).length).toBeLessThan(sizes.length / 4)
  })
})
