/**
 * Time drawn to scale, left to right: `█` is work, `░` is waiting, `×` is where a fault struck.
 * Whatever happened takes at least one cell, so that nothing is too short to be seen.
 */
import type { Line, Look, Span } from './lines.ts'
import { span, width } from './lines.ts'

export interface Scale {
  /** ms of the run at the left edge. */
  from: number
  /** ms of the run at the right edge. */
  to: number
  cells: number
}

/** Ends of a scale, so that it grows seldom and in steps. */
const NICE = [1, 1.5, 2, 3, 4, 5, 6, 8, 10]

function nice(ms: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, ms)))
  return (NICE.find((step) => step * power >= ms) ?? 10) * power
}

/** Shortest span of time that is drawn, ms. */
const SHORTEST_MS = 100

export function scaleOf(from: number, to: number, cells: number): Scale {
  const length = nice(Math.max(SHORTEST_MS, to - from))
  // The left edge stands on a round number, so that the labels do.
  const grain = length / 10
  const start = Math.floor(from / grain) * grain
  return { from: start, to: start + nice(Math.max(SHORTEST_MS, to - start)), cells }
}

export function cellAt(scale: Scale, t: number): number {
  const at = Math.floor(((t - scale.from) / (scale.to - scale.from)) * scale.cells)
  return Math.min(scale.cells - 1, Math.max(0, at))
}

/** Cells between two labels of the axis. */
const LABEL_CELLS = 10

/** `0 ms      200       400`: the unit stands with the first label and holds for all. */
export function axis(scale: Scale): string {
  const length = scale.to - scale.from
  const step = [0.1, 0.2, 0.25, 0.5, 1].map((part) => nice(length * part)).find((ms) => (ms / length) * scale.cells >= LABEL_CELLS) ?? length
  const [unit, size] = scale.to >= 600_000 ? (['min', 60_000] as const) : scale.to >= 5000 ? (['s', 1000] as const) : (['ms', 1] as const)
  const row = new Array<string>(scale.cells).fill(' ')
  let free = 0
  for (let t = scale.from; t < scale.to; t += step) {
    const value = Math.round((t / size) * 100) / 100
    const text = free === 0 ? `${value} ${unit}` : String(value)
    const at = cellAt(scale, t)
    if (at < free || at + text.length > scale.cells) continue
    for (let n = 0; n < text.length; n++) row[at + n] = text[n]!
    free = at + text.length + 1
  }
  return row.join('')
}

/** One row of a drawing: glyphs put at times, and notes where there is room for them. */
export class Lane {
  readonly #scale: Scale
  readonly #glyphs: string[]
  readonly #looks: Look[]

  constructor(scale: Scale) {
    this.#scale = scale
    this.#glyphs = new Array<string>(scale.cells).fill(' ')
    this.#looks = new Array<Look>(scale.cells).fill('plain')
  }

  bar(from: number, to: number, glyph: string, look: Look): this {
    for (let at = cellAt(this.#scale, from), last = Math.max(at, cellAt(this.#scale, to)); at <= last; at++) this.#put(at, glyph, look)
    return this
  }

  /** `├───┤`; open to the right while `to` is null. */
  bracket(from: number, to: number | null, now: number, fill: string, look: Look): this {
    this.bar(from, to ?? now, fill, look)
    this.#put(cellAt(this.#scale, from), '├', look)
    if (to !== null) this.#put(cellAt(this.#scale, to), cellAt(this.#scale, to) === cellAt(this.#scale, from) ? '│' : '┤', look)
    return this
  }

  mark(t: number, glyph: string, look: Look): this {
    this.#put(cellAt(this.#scale, t), glyph, look)
    return this
  }

  /** Writes `text` into free cells: after what was drawn, else before it. False when there is no room. */
  note(text: string, look: Look): boolean {
    const drawn = this.#glyphs.map((glyph) => glyph !== ' ')
    const first = drawn.indexOf(true)
    const last = drawn.lastIndexOf(true)
    if (width(text) !== text.length) return false
    if (last + 2 + text.length <= this.#scale.cells) return this.#write(last + 2, text, look)
    return first - 1 - text.length >= 0 && this.#write(first - 1 - text.length, text, look)
  }

  /** Writes `text` as near to `t` as it fits, over whatever is there: for a row of its own. False when it is longer than the row. */
  noteAt(t: number, text: string, look: Look): boolean {
    if (width(text) !== text.length || text.length > this.#scale.cells) return false
    return this.#write(Math.min(cellAt(this.#scale, t), this.#scale.cells - text.length), text, look)
  }

  #write(at: number, text: string, look: Look): true {
    for (let n = 0; n < text.length; n++) this.#put(at + n, text[n]!, look)
    return true
  }

  spans(): Line {
    const spans: Span[] = []
    this.#glyphs.forEach((glyph, at) => {
      const look = this.#looks[at]!
      const last = spans.at(-1)
      if (last && last.look === look) last.text += glyph
      else spans.push(span(glyph, look))
    })
    return spans
  }

  #put(at: number, glyph: string, look: Look): void {
    this.#glyphs[at] = glyph
    this.#looks[at] = look
  }
}
