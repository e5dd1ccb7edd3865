/** Words that were nearly right: for hints. */

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

/** A hint for a word that is none of `known`: what was meant, else all that there is. */
export function suggestion(word: string, known: readonly string[]): string {
  const meant = nearest(word, known)
  return meant === undefined ? `there are ${[...known].sort().join(', ')}` : `did you mean ${meant}?`
}
