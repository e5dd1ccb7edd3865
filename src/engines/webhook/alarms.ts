/** Lanes by the time at which they have something to do. One timer is enough for all of them. */

interface Alarm {
  at: number
  lane: number
}

/** A binary heap. One lane may stand in it several times: whoever rings early looks, and finds nothing to do. */
export class Alarms {
  readonly #heap: Alarm[] = []
  /** The earliest of each lane that stands in the heap, so that the same is not put there twice. */
  readonly #earliest = new Map<number, number>()

  set(lane: number, at: number): void {
    const before = this.#earliest.get(lane)
    if (before !== undefined && before <= at) return
    this.#earliest.set(lane, at)
    const heap = this.#heap
    let i = heap.push({ at, lane }) - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (heap[parent]!.at <= heap[i]!.at) break
      ;[heap[parent], heap[i]] = [heap[i]!, heap[parent]!]
      i = parent
    }
  }

  /** When the next one rings; Infinity when none is set. */
  get next(): number {
    return this.#heap[0]?.at ?? Number.POSITIVE_INFINITY
  }

  /** Takes out a lane whose time has come, or undefined. */
  ring(now: number): number | undefined {
    const heap = this.#heap
    const first = heap[0]
    if (!first || first.at > now) return undefined
    const last = heap.pop()!
    if (heap.length > 0) {
      heap[0] = last
      let i = 0
      for (;;) {
        const left = 2 * i + 1
        if (left >= heap.length) break
        const least = left + 1 < heap.length && heap[left + 1]!.at < heap[left]!.at ? left + 1 : left
        if (heap[i]!.at <= heap[least]!.at) break
        ;[heap[i], heap[least]] = [heap[least]!, heap[i]!]
        i = least
      }
    }
    if (this.#earliest.get(first.lane) === first.at) this.#earliest.delete(first.lane)
    return first.lane
  }
}
