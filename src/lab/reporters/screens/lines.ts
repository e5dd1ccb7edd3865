/** A screen before it is drawn: lines of spans. The same lines become Ink's texts, a text file and an SVG, so that all show the same. */

/** What a span means; colour and weight follow from it, and always repeat a word or a glyph. */
export type Look = 'plain' | 'title' | 'label' | 'quiet' | 'good' | 'bad' | 'loud' | 'doubt' | 'fault' | 'work' | 'wait' | 'chosen'

export interface Span {
  text: string
  look: Look
}

export type Line = Span[]

export const span = (text: string, look: Look = 'plain'): Span => ({ text, look })
export const line = (...parts: (Span | string)[]): Line => parts.map((part) => (typeof part === 'string' ? span(part) : part))

const WIDE = /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u
const NARROW_ONLY = /^[\u0020-\u007e\u00a1-\u02ff\u2010-\u2027\u2030-\u205e\u2190-\u21ff\u2200-\u22ff\u2500-\u25ff]*$/
const ZERO = /\p{M}|\u200b|\u200c|\u200d|\ufe0f/u

/** How many cells of a terminal the text takes. */
export function width(text: string): number {
  if (NARROW_ONLY.test(text)) return text.length
  let cells = 0
  for (const mark of text) cells += ZERO.test(mark) ? 0 : WIDE.test(mark) ? 2 : 1
  return cells
}

export const lineWidth = (of: Line) => of.reduce((sum, part) => sum + width(part.text), 0)
export const lineText = (of: Line) => of.map((part) => part.text).join('')

/** The text in at most `cells`; what is cut off is told by an ellipsis. */
export function fit(text: string, cells: number): string {
  if (width(text) <= cells) return text
  if (cells <= 0) return ''
  let kept = ''
  let used = 0
  for (const mark of text) {
    const next = width(mark)
    if (used + next > cells - 1) break
    kept += mark
    used += next
  }
  return `${kept}…`
}

/** The text in exactly `cells`. */
export function cell(text: string, cells: number, side: 'left' | 'right' = 'left'): string {
  const kept = fit(text, cells)
  const room = ' '.repeat(Math.max(0, cells - width(kept)))
  return side === 'left' ? kept + room : room + kept
}

export function fitLine(of: Line, cells: number): Line {
  let left = cells
  const kept: Line = []
  for (const part of of) {
    if (left <= 0) break
    const text = fit(part.text, left)
    kept.push({ text, look: part.look })
    left -= width(text)
    if (text !== part.text) break
  }
  return kept
}

/** `left`, and `right` at the right edge; the left part gives way. */
export function spread(left: Line, right: Line, cells: number): Line {
  const room = cells - lineWidth(right) - 1
  const kept = fitLine(left, room)
  return [...kept, span(' '.repeat(Math.max(1, cells - lineWidth(kept) - lineWidth(right)))), ...right]
}

/** Words of spans on lines of at most `cells`; later lines begin with `indent` blanks. */
export function wrap(of: Line, cells: number, indent = 0): Line[] {
  const lines: Line[] = []
  let current: Line = []
  let used = 0
  const put = (text: string, look: Look) => {
    const last = current.at(-1)
    if (last && last.look === look) last.text += text
    else current.push({ text, look })
    used += width(text)
  }
  const next = () => {
    lines.push(current)
    const room = Math.min(indent, cells >> 1)
    current = room > 0 ? [span(' '.repeat(room))] : []
    used = room
  }
  for (const part of of) {
    for (const word of part.text.split(/(?<= )/)) {
      if (used + width(word.trimEnd()) > cells && used > Math.min(indent, cells >> 1)) next()
      // A word longer than a line, or blanks at its end.
      let rest = word
      while (used + width(rest.trimEnd()) > cells) {
        let head = ''
        for (const mark of rest) {
          if (used + width(head + mark) > cells) break
          head += mark
        }
        if (head === '') break
        put(head, part.look)
        rest = rest.slice(head.length)
        next()
      }
      put(used + width(rest) > cells ? rest.trimEnd() : rest, part.look)
    }
  }
  lines.push(current)
  return lines
}

/** Items `gap` blanks apart on lines of at most `cells`; an item is broken only when it is longer than a line. */
export function flow(items: readonly Line[], cells: number, gap = 3): Line[] {
  const lines: Line[] = []
  for (const item of items) {
    const last = lines.at(-1)
    if (last && lineWidth(last) + gap + lineWidth(item) <= cells) last.push(span(' '.repeat(gap)), ...item)
    else lines.push(...wrap(item, cells, 2))
  }
  return lines
}

export const toText = (lines: readonly Line[]) => `${lines.map((one) => lineText(one).trimEnd()).join('\n')}\n`
