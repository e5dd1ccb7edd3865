/**
 * Chance, as an argument. This is the only file of the program that draws a random number.
 * A seeded Random gives the same sequence for the same seed and stream name, whatever other streams have drawn:
 * `random.fork('bank')` does not depend on how much of `random` was used before.
 */
import { randomBytes } from 'node:crypto'

/** FNV-1a over UTF-16 code units, finished with murmur3's avalanche; 32 bits. Good enough to seed a stream, not a digest. */
function hash32(text: string, basis: number): number {
  let h = basis >>> 0
  for (let i = 0; i < text.length; i++) {
    h ^= text.charCodeAt(i)
    h = Math.imul(h, 0x01000193)
  }
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** sfc32 (Chris Doty-Humphrey): four words of state, period at least 2^32, passes PractRand. */
function sfc32(name: string): () => number {
  let a = hash32(name, 0x811c9dc5)
  let b = hash32(name, 0x9e3779b9)
  let c = hash32(name, 0x243f6a88)
  let d = 1
  const next = () => {
    const t = (((a + b) | 0) + d) | 0
    d = (d + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + t) | 0
    return t >>> 0
  }
  for (let i = 0; i < 12; i++) next()
  return next
}

/** Bytes asked of the system at a time: one request for each word would be a tenth of a payment's work. */
const SYSTEM_BYTES = 1024

function systemWords(): () => number {
  let bytes = Buffer.alloc(0)
  let at = 0
  return () => {
    if (at === bytes.length) {
      bytes = randomBytes(SYSTEM_BYTES)
      at = 0
    }
    at += 4
    return bytes.readUInt32LE(at - 4)
  }
}

const ID_ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'

/** z of the 99th percentile of a standard normal. */
const Z99 = 2.3263478740408408

export class Random {
  readonly #name: string
  readonly #word: () => number
  readonly #make: (name: string) => () => number

  private constructor(name: string, make: (name: string) => () => number) {
    this.#name = name
    this.#make = make
    this.#word = make(name)
  }

  /** The same seed gives the same streams, on every machine. */
  static seeded(seed: number | string): Random {
    return new Random(String(seed), sfc32)
  }

  /** The system's randomness, for engines that serve real users: ids cannot be guessed. */
  static system(): Random {
    return new Random('system', systemWords)
  }

  /** An independent stream; the same name always gives the same stream. */
  fork(name: string): Random {
    return new Random(`${this.#name}/${name}`, this.#make)
  }

  /** Uniform in [0, 1), 32 bits. */
  next(): number {
    return this.#word() / 2 ** 32
  }

  /** Uniform integer in [min, max], both included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1))
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(0, items.length - 1)]!
  }

  /** Log-normal: half the draws are below `p50`, one in a hundred above `p99`. The usual shape of a service's latency. */
  logNormal(p50: number, p99: number): number {
    const u = 1 - this.next()
    const z = Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * this.next())
    return p50 * Math.exp((z * Math.log(p99 / p50)) / Z99)
  }

  /** `n` bytes: for keys, secrets and nonces. As good as the stream: only the system's are secret. */
  bytes(n: number): Uint8Array {
    const bytes = Buffer.alloc(Math.ceil(n / 4) * 4)
    for (let at = 0; at < n; at += 4) bytes.writeUInt32LE(this.#word(), at)
    return bytes.subarray(0, n)
  }

  /** `prefix_` and 16 characters of Crockford's base 32 in lower case: 80 bits. */
  id(prefix: string): string {
    let id = `${prefix}_`
    for (let word = 0; word < 4; word++) {
      let bits = this.#word()
      for (let i = 0; i < 4; i++) {
        id += ID_ALPHABET[bits & 31]
        bits >>>= 5
      }
    }
    return id
  }
}

/**
 * A number in [0, 1) that depends on nothing but its arguments: how a toxic decides about its `ordinal`-th match.
 * A shared stream would let concurrency change the decisions.
 */
export function chance(seed: number | string, rule: string, ordinal: number): number {
  return hash32(`${seed}|${rule}|${ordinal}`, 0x811c9dc5) / 2 ** 32
}
