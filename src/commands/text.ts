/** Text for terminals: plain tables, and words that were nearly right. */

/**
 * Rows as lines, columns two spaces apart, nothing after the last word. A cell of several lines (an array) makes its row as high as itself.
 * Widths are counted in UTF-16 units: right for all that resil names itself.
 */
export function table(rows: readonly (readonly (string | readonly string[])[])[]): string[] {
  const cells = rows.map((row) => row.map((cell) => (typeof cell === 'string' ? [cell] : cell)))
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => Math.max(0, ...(row[column] ?? []).map((line) => line.length)))))
  return cells.flatMap((row) => {
    const height = Math.max(1, ...row.map((cell) => cell.length))
    return Array.from({ length: height }, (_, line) => row.map((cell, column) => (cell[line] ?? '').padEnd(widths[column] ?? 0)).join('  ').trimEnd())
  })
}

/** The one of `known` that `word` was most likely meant to be, or undefined when none is near: a third of the letters may differ, two in any case. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  let best: string | undefined
  let least = Infinity
  for (const candidate of known) {
    const edits = distance(word, candidate)
    if (edits < least && edits <= Math.max(2, Math.floor(candidate.length / 3)) && edits < candidate.length) {
      best = candidate
      least = edits
    }
  }
  return best
}

/** Longest word that is compared: names are shorter, and what comes from the command line can be anything. */
const LONGEST_COMPARED = 64

/** Levenshtein's distance: letters to be put in, left out or replaced. */
function distance(a: string, b: string): number {
  if (Math.max(a.length, b.length) > LONGEST_COMPARED) return Infinity
  let above = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) row.push(Math.min(above[j]! + 1, row[j - 1]! + 1, above[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    above = row
  }
  return above[b.length]!
}
