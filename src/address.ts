/** Internet addresses and ranges of them, as text. */
import { BlockList, isIP } from 'node:net'

/** True for an address in the range; an IPv4 address may be written as one of IPv6 (`::ffff:10.0.0.1`). False for what is no address. */
export type AddressRange = (address: string) => boolean

/** Reads `10.0.0.1`, `10.0.0.0/8`, `::1` or `fd00::/8`; undefined when it is neither an address nor a range. */
export function addressRange(text: string): AddressRange | undefined {
  const [address = '', bits, ...rest] = text.split('/')
  const family = isIP(address)
  const most = family === 6 ? 128 : 32
  if (family === 0 || rest.length > 0 || (bits !== undefined && (!/^\d{1,3}$/.test(bits) || Number(bits) > most))) return undefined
  const range = new BlockList()
  range.addSubnet(address, bits === undefined ? most : Number(bits), family === 6 ? 'ipv6' : 'ipv4')
  return (candidate) => {
    const plain = candidate.replace(/^::ffff:(?=\d+\.)/i, '')
    const kind = isIP(plain)
    return kind !== 0 && range.check(plain, kind === 6 ? 'ipv6' : 'ipv4')
  }
}
