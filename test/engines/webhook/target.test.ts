import { describe, expect, test } from 'vitest'
import { readHeaders, readTarget } from '../../../src/engines/webhook/target.ts'
import { BLOCKED_PORTS, Reach } from '../../../src/reach.ts'

const LOCAL = { allow: ['127.0.0.1/32', '::1/128'] }

/** What is thrown, as `CODE: message`; 'accepted' when nothing is. */
function verdict(act: () => unknown): string {
  try {
    act()
    return 'accepted'
  } catch (error) {
    const { code, message, hint } = error as { code?: string; message: string; hint?: string }
    expect(hint).not.toBe('')
    return `${code}: ${message}`
  }
}

const FORBIDDEN = 'INVALID_TARGET: this address may not be called'

/** Spellings of places that no stranger may choose; `opened` when they are this machine. */
const LITERALS: [host: string, opened?: true][] = [
  ['2130706433', true], ['0x7f.1', true], ['0177.0.0.1', true], ['127.1', true], ['①②⑦.⓪.⓪.①', true], ['１２７.0.0.1', true], ['127.0.0.1', true], ['127.0.0.1.', true], ['017700000001', true], ['0x7f000001', true],
  ['127.0.0.2'], ['0'], ['0.0.0.0'], ['[::]'], ['[::1]', true], ['[::ffff:127.0.0.1]', true], ['[::ffff:7f00:1]', true], ['[::127.0.0.1]'], ['[::ffff:0:127.0.0.1]'], ['[64:ff9b::7f00:1]'], ['[64:ff9b:1::7f00:1]'],
  ['localhost', true], ['localhost.', true], ['LOCALHOST', true], ['api.localhost', true],
  ['10.0.0.1'], ['172.16.0.1'], ['192.168.1.1'], ['100.64.0.1'], ['169.254.1.1'], ['198.18.0.1'], ['192.0.2.1'], ['203.0.113.9'], ['224.0.0.1'], ['240.0.0.1'], ['255.255.255.255'],
  ['[fe80::1]'], ['[fec0::1]'], ['[fc00::1]'], ['[fd12::1]'], ['[2002:7f00:1::]'], ['[2001::7f00:1]'], ['[2001:db8::1]'], ['[100::1]'], ['[ff02::1]'], ['[4000::1]'],
]

describe('W-SSRF-literal, 108 and 109: an address that is not public is refused however it is spelt', () => {
  test.each(LITERALS)('https://%s/', (host, opened) => {
    expect(verdict(() => readTarget(`https://${host}/hook`))).toBe(FORBIDDEN)
    expect(verdict(() => readTarget(`https://${host}/hook`, LOCAL))).toBe(opened ? 'accepted' : FORBIDDEN)
  })
})

test('an IPv4 address in the clothes of IPv6 is what it is', () => {
  expect([new Reach().allows('::ffff:8.8.8.8', 443), new Reach().allows('::ffff:10.0.0.1', 443), new Reach(['10.0.0.0/8']).allows('::ffff:a00:1', 443)]).toEqual([true, false, true])
})

describe('W-SSRF-metadata, 110: where clouds hand out credentials is refused, whatever is opened', () => {
  const everything = { allow: ['0.0.0.0/0', '::/0'], plainHttp: true }
  test.each([
    '169.254.169.254', '2852039166', '0xa9fea9fe', '[::ffff:169.254.169.254]', '[::169.254.169.254]', '[64:ff9b::169.254.169.254]', '[2002:a9fe:a9fe::]', '169.254.170.2', '[fd00:ec2::254]', '[fd00:0ec2:0::0254]', '100.100.100.200', '168.63.129.16',
    'metadata.google.internal', 'METADATA.google.internal.', 'metadata', 'metadata.goog', 'instance-data',
  ])('http://%s/', (host) => {
    expect(verdict(() => readTarget(`http://${host}/latest/`, everything))).toBe(FORBIDDEN)
  })

  test('a neighbour of them is accepted when opened', () => {
    expect(verdict(() => readTarget('http://169.254.169.253/', everything))).toBe('accepted')
    expect(verdict(() => readTarget('http://metadata.example.com/', everything))).toBe('accepted')
  })
})

test('a public host is accepted, by name and by address; the answer is what is called', () => {
  expect(readTarget('https://Hooks.Example.com:443/a%20b?x=1&y=ö')).toEqual({ origin: 'https://hooks.example.com', path: '/a%20b?x=1&y=%C3%B6' })
  expect(readTarget('https://8.8.8.8:8443')).toEqual({ origin: 'https://8.8.8.8:8443', path: '/' })
  expect(readTarget('https://[2606:4700::1]/')).toEqual({ origin: 'https://[2606:4700::1]', path: '/' })
  expect(readTarget('https://bücher.example/')).toEqual({ origin: 'https://xn--bcher-kva.example', path: '/' })
})

test('113: credentials are refused, and nobody is misled about the host', () => {
  expect(verdict(() => readTarget('https://u:p@hooks.example.com/'))).toBe('INVALID_TARGET: the URL holds a user name or a password')
  expect(verdict(() => readTarget('https://hooks.example.com@127.0.0.1/'))).toBe('INVALID_TARGET: the URL holds a user name or a password')
  expect(verdict(() => readTarget('https://evil.com\\@127.0.0.1/'))).toContain('a backslash')
  expect(verdict(() => readTarget('https://evil.com/@127.0.0.1/'))).toBe('accepted')
  expect(readTarget('https://evil.com/@127.0.0.1/').origin).toBe('https://evil.com')
})

describe('114: ports of other protocols', () => {
  test.each([22, 25, 110, 143, 465, 587, 993, 995, 2375, 3306, 5432, 6379, 9200, 11211, 27017])('%d is refused', (port) => {
    for (const host of ['hooks.example.com', '8.8.8.8', '[2606:4700::1]']) expect(verdict(() => readTarget(`https://${host}:${port}/`))).toBe(FORBIDDEN)
    expect(new Reach().allows('8.8.8.8', port)).toBe(false)
    expect(BLOCKED_PORTS.has(port)).toBe(true)
  })

  test('those of HTTP are not, nor any port of an address that was opened', () => {
    for (const port of [80, 443, 3000, 8000, 8080, 8443, 9000]) expect(verdict(() => readTarget(`https://hooks.example.com:${port}/`))).toBe('accepted')
    expect(verdict(() => readTarget('http://127.0.0.1:6379/', LOCAL))).toBe('accepted')
    expect(verdict(() => readTarget('http://localhost:6379/', LOCAL))).toBe('accepted')
    expect(verdict(() => readTarget('https://hooks.example.com:6379/', LOCAL))).toBe(FORBIDDEN)
  })
})

describe('115: schemes', () => {
  test.each(['file:///etc/passwd', 'gopher://hooks.example.com/', 'javascript:alert(1)', 'ftp://hooks.example.com/', 'ws://hooks.example.com/', 'data:text/plain,x'])('%s is refused', (url) => {
    expect(verdict(() => readTarget(url))).toContain('INVALID_TARGET: the scheme is ')
  })

  test('http is refused unless it is allowed, or the target is this machine and opened', () => {
    expect(verdict(() => readTarget('http://hooks.example.com/'))).toBe('INVALID_TARGET: the URL is not encrypted')
    expect(verdict(() => readTarget('http://hooks.example.com/', LOCAL))).toBe('INVALID_TARGET: the URL is not encrypted')
    expect(verdict(() => readTarget('http://hooks.example.com/', { plainHttp: true }))).toBe('accepted')
    expect(verdict(() => readTarget('http://127.0.0.1:3000/', LOCAL))).toBe('accepted')
    expect(verdict(() => readTarget('http://localhost:3000/', { allow: ['::1'] }))).toBe('accepted')
    expect(verdict(() => readTarget('http://127.0.0.1:3000/', { plainHttp: true }))).toBe(FORBIDDEN)
    expect(verdict(() => readTarget('http://10.0.0.1/', { allow: ['10.0.0.0/8'] }))).toBe('INVALID_TARGET: the URL is not encrypted')
  })
})

test.each([
  ['', 'the URL is missing'], ['/hook', 'this is no URL'], ['https://', 'this is no URL'], ['https://a b.example/', 'the URL has a space'], [' https://hooks.example.com/', 'the URL has a space'],
  ['https://hooks.exam\nple.com/', 'control character'], ['https://hooks.example.com/\0', 'control character'], ['https://hooks.example.com/#x', 'fragment'], ['https://hooks.example.com/#', 'fragment'],
  ['https://hooks.example.com:99999/', 'this is no URL'], ['https://256.256.256.256/', 'this is no URL'], ['https://1.2.3.4.5/', 'this is no URL'],
])('%j is refused: %s', (url, why) => {
  expect(verdict(() => readTarget(url))).toContain('INVALID_TARGET: ')
  expect(verdict(() => readTarget(url))).toContain(why)
})

test('a URL may have 2048 characters', () => {
  const url = 'https://hooks.example.com/'
  expect(verdict(() => readTarget(url + 'x'.repeat(2048 - url.length)))).toBe('accepted')
  expect(verdict(() => readTarget(url + 'x'.repeat(2049 - url.length)))).toContain('longer than 2048')
})

test('what is opened must be addresses', () => {
  expect(verdict(() => readTarget('https://hooks.example.com/', { allow: ['localhost'] }))).toBe('INVALID_RANGE: localhost is neither an address nor a range of addresses')
})

describe('headers', () => {
  test('come back in lower case, as they are', () => {
    expect(readHeaders({ 'X-Tenant': 'a b\té', Authorization: 'Bearer x', x: '' })).toEqual({ 'x-tenant': 'a b\té', authorization: 'Bearer x', x: '' })
    expect(Object.keys(readHeaders(JSON.parse('{"__proto__":"x"}') as Record<string, string>))).toEqual(['__proto__'])
    expect(readHeaders({ team: 'a', 'tea-time': 'b', hostname: 'c' })).toEqual({ team: 'a', 'tea-time': 'b', hostname: 'c' })
  })

  test.each([
    ['x\r\ny', 'a'], ['x y', 'a'], ['', 'a'], ['x:', 'a'], ['é', 'a'], ['x', 'a\r\nwebhook-id: b'], ['x', 'a\nb'], ['x', 'a\rb'], ['x', 'a\0b'], ['x', '✓'], ['x', '\x1b[31m'], ['x', '\x7f'], ['x', 5 as unknown as string],
  ])('W-HDR, 116: %j: %j cannot be smuggled in', (name, value) => {
    expect(verdict(() => readHeaders({ [name]: value }))).toContain('INVALID_HEADER: ')
  })

  test.each([
    'Host', 'Connection', 'Content-Length', 'Content-Type', 'content-encoding', 'Transfer-Encoding', 'TE', 'Trailer', 'Upgrade', 'Expect', 'Keep-Alive', 'Webhook-Id', 'webhook-signature', 'webhook-timestamp', 'Svix-Id', 'User-Agent', 'Proxy-Authorization',
  ])('W-HDR, 117: %s is not the receiver\'s to set', (name) => {
    expect(verdict(() => readHeaders({ [name]: 'x' }))).toBe(`INVALID_HEADER: the header "${name}" is not yours to set`)
  })

  test('are few and short', () => {
    const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`x-${i}`, 'a']))
    expect(verdict(() => readHeaders(many(20)))).toBe('accepted')
    expect(verdict(() => readHeaders(many(21)))).toBe('INVALID_HEADER: there are 21 headers')
    expect(verdict(() => readHeaders({ x: 'a'.repeat(4095) }))).toBe('accepted')
    expect(verdict(() => readHeaders({ x: 'a'.repeat(4096) }))).toBe('INVALID_HEADER: the headers are 4097 bytes long')
    expect(verdict(() => readHeaders({ x: 'a', X: 'b' }))).toBe('INVALID_HEADER: the header "X" is there twice')
  })

  test('a secret in a value is not told', () => {
    expect(verdict(() => readHeaders({ authorization: 'secret\n' }))).not.toContain('secret')
  })
})
