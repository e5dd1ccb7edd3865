/**
 * The one error that resil throws on purpose: a stable word for machines, a sentence for people, a hint that says how to mend it.
 * Anything else that is thrown is a bug of ours and ends a command with exit code 70.
 */
export class ResilError extends Error {
  /** Stable, UPPER_SNAKE; part of the contract. */
  readonly code: string
  /** What the reader can do about it; one sentence, no full stop needed. */
  readonly hint: string

  constructor(code: string, message: string, hint = '', options?: ErrorOptions) {
    super(message, options)
    this.name = 'ResilError'
    this.code = code
    this.hint = hint
  }
}

/** A broken belief of ours: never the user's fault. */
export function assert(belief: unknown, message: string): asserts belief {
  if (!belief) throw new Error(`assertion failed: ${message}`)
}
