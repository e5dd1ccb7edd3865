/**
 * Secrets do not leave: what goes to a terminal, a pipe, a recording or a report passes through here as its last step. A net below those who should
 * have held their tongue, not a leave to say secrets: it knows them by their looks, a line at a time, and one that was broken over lines passes.
 */

/** Whether there may be one: asked of every line that leaves, so it looks for few letters (0.15 us for an event, a tenth of making its JSON). */
const SUSPECT = /(?<![A-Za-z0-9])[sr]k_|\\[nrt][sr]k_|[sr]k_live_|[sr]k_test_|whsec_|whsk_|uthorization|UTHORIZATION/

/** In any text: webhook secrets, whatever was called so; and the secret keys of Stripe and of those who name theirs alike. */
const KEYS = /(whsec_|whsk_)[\w+/=-]+|((?<![A-Za-z0-9])[sr]k_|(?<=\\[nrt])[sr]k_|[sr]k_(?:live|test)_)(?=[\w-]{8})[\w-]+/g

/** The value of a header, in JSON: up to the end of the string. */
const IN_JSON = /(authorization"\s*[:,]\s*\[?\s*")(?:[^"\\]|\\.)+/gi
/** In JSON within JSON. */
const IN_QUOTED_JSON = /(authorization\\"\s*[:,]\s*\[?\s*\\")[^"\\]+/gi
/** In lines and command lines: a scheme and a word, or one word. */
const IN_TEXT = /(authorization'?\s*[:=]\s*'?)(?:(?:Bearer|Basic|Token|Digest)\s+)?[^\s"'\\,;[\]]+/gi

/** `text` with every secret in it replaced: `whsec_[redacted]`, `sk_live_[redacted]`, `Authorization: [redacted]`. JSON stays JSON. */
export function redacted(text: string): string {
  if (!SUSPECT.test(text)) return text
  return text
    .replace(KEYS, '$1$2[redacted]')
    .replace(IN_JSON, '$1[redacted]')
    .replace(IN_QUOTED_JSON, '$1[redacted]')
    .replace(IN_TEXT, '$1[redacted]')
}

type Write = (text: string) => boolean

/** How a stream wrote before it was made discreet. */
const openly = new WeakMap<object, Write>()

/** From now on the stream writes text redacted, whoever writes: commands, screens, libraries. Bytes pass as they are. */
export function makeDiscreet(stream: NodeJS.WritableStream): void {
  if (openly.has(stream)) return
  const write = stream.write.bind(stream) as (chunk: unknown, ...rest: unknown[]) => boolean
  openly.set(stream, write)
  stream.write = (chunk: unknown, ...rest: unknown[]) => write(typeof chunk === 'string' ? redacted(chunk) : chunk, ...rest)
}

/** The only way by which a secret leaves: shown once, to whoever has just asked for it to be made. */
export function reveal(stream: NodeJS.WritableStream, text: string): void {
  const write = openly.get(stream)
  if (write) write(text)
  else stream.write(text)
}
