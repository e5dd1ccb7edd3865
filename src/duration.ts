/** Lengths of time as people write them: on the command line, in files, in toxics, lies and moods alike. */

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
export const DURATION = /^(\d{1,12}(?:\.\d{1,3})?)(ms|s|m|h|d)$/
const PLAIN = /^-?\d{1,16}(\.\d{1,16})?$/

/** '250ms', '1.5s', '2m', '1h', '3d' in ms, to the thousandth; undefined for anything else, a bare number included: 5 of what? */
export function durationMs(text: string): number | undefined {
  const [, digits, unit] = DURATION.exec(text) ?? []
  return digits === undefined ? undefined : Math.round(Number(digits) * UNIT_MS[unit!]! * 1000) / 1000
}

/** The same where Toxiproxy's clients write bare numbers of ms, negative ones included; undefined when it is neither. */
export function durationOrMs(text: string): number | undefined {
  return PLAIN.test(text) ? Number(text) : durationMs(text)
}
