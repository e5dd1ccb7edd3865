/** Patterns of paths, hosts and headers. A regular expression would go back and forth: this one reads the text once, whatever the pattern. */

export type Glob = (text: string) => boolean

type Token = string | 'segment' | 'anything'

/** `**` stands for anything; `*` for anything but `/`, or for anything too. Every other sign stands for itself. Takes at most the product of both lengths in steps. */
export function globOf(pattern: string, star: 'segment' | 'anything'): Glob {
  const first = pattern.indexOf('*')
  if (first === -1) return (text) => text === pattern
  const prefix = pattern.slice(0, first)
  const tokens: Token[] = pattern.slice(first).split(/(\*+)/).flatMap((part) => (part === '*' ? [star] : part.startsWith('*') ? ['anything' as const] : part.split('')))
  return (text) => text.startsWith(prefix) && matches(tokens, text, prefix.length)
}

/** Whether the tokens stand for the text from `from` on. */
function matches(tokens: readonly Token[], text: string, from: number): boolean {
  const open = tokens.at(-1) === 'anything' ? tokens.length - 1 : Number.POSITIVE_INFINITY
  // How many tokens may have been used up so far, in every way that there is.
  let places: number[] = []
  const reach = (into: number[], place: number) => {
    for (let at = place; into.at(-1) !== at; at++) {
      if (into.length > 0 && into.at(-1)! > at) return
      into.push(at)
      if (!isStar(tokens[at])) return
    }
  }
  reach(places, 0)
  for (let i = from; i < text.length; i++) {
    if (places.length === 0) return false
    if (places.at(-1)! >= open) return true
    const sign = text[i]!
    const next: number[] = []
    for (const place of places) {
      const token = tokens[place]
      if (token === 'anything' || (token === 'segment' && sign !== '/')) reach(next, place)
      else if (token === sign) reach(next, place + 1)
    }
    places = next
  }
  return places.at(-1) === tokens.length
}

const isStar = (token: Token | undefined): boolean => token === 'segment' || token === 'anything'
