/**
 * Which addresses may be reached on behalf of a stranger who chose them. Everybody who dials or registers such an address asks here; nothing here opens a socket.
 *
 * | address                                                                                  | may be reached                    |
 * |------------------------------------------------------------------------------------------|-----------------------------------|
 * | where a cloud hands out its credentials, by address, name or a wrapping of the address   | never                             |
 * | in a range that the operator opened                                                      | yes, at every port                |
 * | public unicast: IPv4 without special meaning, IPv6 of 2000::/3 without special meaning   | yes, but for BLOCKED_PORTS        |
 * | all others: loopback, private, link-local, carrier's NAT, translated, tunnelled, ...     | no                                |
 *
 * 2000::/3 is asked for besides ipaddr.js's word "unicast", which it says of everything that it knows nothing about: of `::7f00:1` too, an old way to write 127.0.0.1.
 */
import ipaddr from 'ipaddr.js'
import { type AddressRange, addressRange } from './address.ts'
import { ResilError } from './errors.ts'

/** Protocols on which an HTTP request does harm or tells what listens: mail, shells, files, directories, databases, caches, queues, orchestrators. */
export const BLOCKED_PORTS: ReadonlySet<number> = new Set([
  1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 138, 139, 143, 161, 179,
  389, 427, 445, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 873, 989, 990, 993, 995,
  1433, 1521, 1719, 1720, 1723, 2049, 2181, 2375, 2376, 2379, 2380, 3306, 3389, 3659, 4045, 4190, 5060, 5061, 5432, 5672, 5900, 5984, 6000, 6379, 6566,
  6665, 6666, 6667, 6668, 6669, 6679, 6697, 9042, 9092, 9200, 9300, 10080, 10250, 11211, 27017, 27018, 27019,
])

/** AWS, Azure, Google, Alibaba, Oracle; the containers' of AWS too. */
const METADATA_ADDRESSES = new Set([
  '169.254.169.254', '169.254.170.2', '169.254.170.23', '168.63.129.16', '100.100.100.200', '192.0.0.192',
  'fd00:ec2::254', 'fd00:ec2::23', 'fd20:ce::254',
])

const METADATA_NAMES = new Set(['metadata', 'metadata.google.internal', 'metadata.goog', 'instance-data', 'instance-data.ec2.internal', 'metadata.azure.internal', 'metadata.tencentyun.com'])

const PUBLIC_IPV6 = ipaddr.IPv6.parseCIDR('2000::/3')

export class Reach {
  readonly #opened: AddressRange[]

  /** `allow`: addresses and ranges (`127.0.0.1`, `10.1.0.0/16`, `::1`) opened in addition. Throws INVALID_RANGE. */
  constructor(allow: readonly string[] = []) {
    this.#opened = allow.map((text) => {
      const range = addressRange(text)
      if (!range) throw new ResilError('INVALID_RANGE', `${text} is neither an address nor a range of addresses`, 'write 127.0.0.1, 10.0.0.0/8, ::1 or fd00::/8')
      return range
    })
  }

  /** Whether a connection to the address, without brackets, may be used. False for what is no address. */
  allows(address: string, port: number): boolean {
    if (!ipaddr.isValid(address)) return false
    const plain = ipaddr.process(address) // takes ::ffff:10.0.0.1 for 10.0.0.1
    if (isMetadata(plain)) return false
    if (this.#opens(plain.toString())) return true
    return isPublic(plain) && !BLOCKED_PORTS.has(port)
  }

  /**
   * What is known of a host before any name is resolved. `host` as a URL has it: lower case, IPv6 in brackets, IPv4 in four decimal parts.
   * The answer: addresses that may be dialled; 'resolve' for a name whose addresses must be looked up and asked about; nothing when it is forbidden.
   */
  before(host: string, port: number): readonly string[] | 'resolve' {
    const literal = literalOf(host)
    if (literal !== undefined) return this.allows(literal, port) ? [literal] : []
    const name = host.replace(/\.$/, '')
    if (METADATA_NAMES.has(name)) return []
    if (isLocalhost(name)) return LOOPBACK.filter((address) => this.allows(address, port))
    return 'resolve'
  }

  /** Whether the port alone forbids a name, whatever its addresses are. An address that was opened may be called at any port, so it is asked about by `before`. */
  blocks(host: string, port: number): boolean {
    return BLOCKED_PORTS.has(port) && this.before(host, port) === 'resolve'
  }

  #opens(address: string): boolean {
    return this.#opened.some((range) => range(address))
  }
}

/** Nobody is asked for these names: whoever answered otherwise would be wrong. */
const LOOPBACK = ['127.0.0.1', '::1']

/** True for names of this very machine: `localhost` and what is below it. */
export function isLocalhost(name: string): boolean {
  return /(^|\.)localhost\.?$/.test(name)
}

/** The address that a URL's host spells, without brackets; undefined when the host is a name. */
export function literalOf(host: string): string | undefined {
  if (host.startsWith('[')) return host.slice(1, -1)
  return ipaddr.IPv4.isValidFourPartDecimal(host) ? host : undefined
}

/** True for this machine's own addresses. */
export function isLoopback(address: string): boolean {
  return ipaddr.isValid(address) && ipaddr.process(address).range() === 'loopback'
}

function isPublic(address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  return address.range() === 'unicast' && (address.kind() === 'ipv4' || (address as ipaddr.IPv6).match(PUBLIC_IPV6))
}

/** Also when a translator or a tunnel would unwrap it: NAT64 and IPv4-compatible addresses end in the IPv4 one, 6to4 has it after its first two bytes. */
function isMetadata(address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  if (METADATA_ADDRESSES.has(address.toString())) return true
  if (address.kind() === 'ipv4') return false
  const bytes = address.toByteArray()
  return METADATA_ADDRESSES.has(bytes.slice(12).join('.')) || (address.range() === '6to4' && METADATA_ADDRESSES.has(bytes.slice(2, 6).join('.')))
}
