/** What a stranger may register as an endpoint: its URL and the headers that it wants with each delivery. Pure; a name is resolved only when it is called, and asked about again then. */
import { ResilError } from '../../errors.ts'
import { isLocalhost, isLoopback, literalOf, Reach } from '../../reach.ts'

const URL_LIMIT = 2048
/** No spaces, no control characters, no backslash: some readers take it for a slash, others for a part of a name. */
const READABLE = /^[!-[\]-~\u00a1-\u{10ffff}]+$/u
const HEADERS_LIMIT = 20
/** Names and values together, bytes. */
const HEADER_BYTES_LIMIT = 4 * 1024

export interface Target {
  /** `https://host` or `https://host:port`. */
  origin: string
  /** With its query string. */
  path: string
}

export interface TargetRules {
  /** Addresses and ranges that may be called besides the public ones. */
  allow?: readonly string[]
  /** Whether an endpoint may be spoken to without TLS. This machine itself always may, once `allow` opens it. */
  plainHttp?: boolean
}

/** Reads an endpoint's URL. Throws INVALID_TARGET, with a sentence for whoever registers it; INVALID_RANGE for what `allow` cannot say. */
export function readTarget(url: string, { allow, plainHttp = false }: TargetRules = {}): Target {
  const reach = new Reach(allow)
  if (typeof url !== 'string' || url === '') throw invalid('the URL is missing', 'give https://host/path')
  if (url.length > URL_LIMIT) throw invalid(`the URL is longer than ${URL_LIMIT} characters`, 'shorten it')
  if (!READABLE.test(url)) throw invalid('the URL has a space, a backslash or a control character in it', 'readers of URLs disagree about those: encode them')
  if (!URL.canParse(url)) throw invalid('this is no URL', 'give https://host/path')
  const { protocol, username, password, hostname, port, origin, pathname, search } = new URL(url)
  if (protocol !== 'https:' && protocol !== 'http:') throw invalid(`the scheme is ${protocol}//`, 'only https:// can be delivered to')
  if (username !== '' || password !== '') throw invalid('the URL holds a user name or a password', 'authenticate deliveries by their signature, or with a header of your own')
  if (url.includes('#')) throw invalid('the URL has a fragment', 'a fragment is never sent: leave it out')
  if (reach.before(hostname, portOf(port, protocol)).length === 0 || reach.blocks(hostname, portOf(port, protocol))) throw invalid('this address may not be called', 'give a public host and a port for HTTP; the operator can open others')
  if (protocol === 'http:' && !plainHttp && !isThisMachine(hostname)) throw invalid('the URL is not encrypted', 'give https://')
  return { origin, path: pathname + search }
}

/** Written by the sender, by HTTP or by whatever stands between: never by the receiver. A dash at the end means every name that begins so. */
const RESERVED = ['connection', 'content-', 'expect', 'host', 'keep-alive', 'proxy-', 'svix-', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'user-agent', 'webhook-']
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/
const VALUE = /^[\t -~\x80-\xff]*$/

/** Reads an endpoint's own headers; the answer has their names in lower case. Throws INVALID_HEADER. A value is never repeated in an error: it may be a secret. */
export function readHeaders(record: Record<string, string>): Record<string, string> {
  const headers = new Map<string, string>()
  let bytes = 0
  for (const [written, value] of Object.entries(record)) {
    const name = written.toLowerCase()
    const shown = JSON.stringify(written.slice(0, 64))
    if (!TOKEN.test(name)) throw invalidHeader(`${shown} is no name of a header`, 'use letters, digits and dashes')
    if (isReserved(name)) throw invalidHeader(`the header ${shown} is not yours to set`, 'take a name of your own, such as x-tenant')
    if (headers.has(name)) throw invalidHeader(`the header ${shown} is there twice`, 'the case of a name makes no difference')
    if (typeof value !== 'string' || !VALUE.test(value)) throw invalidHeader(`the value of ${shown} cannot be sent`, 'use one line of text in Latin-1, without control characters')
    bytes += name.length + value.length
    headers.set(name, value)
  }
  if (headers.size > HEADERS_LIMIT) throw invalidHeader(`there are ${headers.size} headers`, `at most ${HEADERS_LIMIT} can be sent`)
  if (bytes > HEADER_BYTES_LIMIT) throw invalidHeader(`the headers are ${bytes} bytes long`, `at most ${HEADER_BYTES_LIMIT} can be sent`)
  return Object.fromEntries(headers)
}

const portOf = (port: string, protocol: string) => Number(port) || (protocol === 'https:' ? 443 : 80)

const isThisMachine = (host: string) => isLocalhost(host) || isLoopback(literalOf(host) ?? '')

const isReserved = (name: string) => RESERVED.some((reserved) => (reserved.endsWith('-') ? name.startsWith(reserved) : name === reserved))

const invalid = (message: string, hint: string) => new ResilError('INVALID_TARGET', message, hint)

const invalidHeader = (message: string, hint: string) => new ResilError('INVALID_HEADER', message, hint)
