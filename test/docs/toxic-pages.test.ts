/** The page of each toxic is made of its own attributes; `npm run docs` writes them anew. */
import { readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { targeting } from '../../src/proxy/rules.ts'
import type { AttributeSpec, Toxic } from '../../src/proxy/toxic.ts'
import { toxics } from '../proxy/wire.ts'

const THEIRS = new Set(['latency', 'bandwidth', 'slow_close', 'timeout', 'reset_peer', 'slicer', 'limit_data', 'noop', 'packet_loss'])

function rows(attributes: Record<string, AttributeSpec>): string {
  const facts = ({ type, unit, default: usual, min, max, choices }: AttributeSpec) => {
    const kind = choices ? choices.map((choice) => `\`${choice}\``).join(', ') : unit === '' ? type : `${type}, ${unit}`
    const range = min === undefined && max === undefined ? '' : max === undefined ? `from ${min}` : `${min ?? 0} to ${max}`
    return `${kind} | ${usual === '' ? '' : `\`${usual}\``} | ${choices ? '' : range}`
  }
  return Object.entries(attributes).map(([name, spec]) => `| \`${name}\` | ${facts(spec)} | ${spec.summary.replaceAll('|', '\\|')} |\n`).join('')
}

const HEAD = '| attribute | kind | default | range | what it does |\n|---|---|---|---|---|\n'

function place({ onListen, onConnect, onRequest, onResponse, onEnd, onChunk }: Toxic): string {
  if (onListen ?? onConnect) return 'on connections'
  if (onRequest && onResponse) return 'on HTTP requests or on HTTP responses'
  if (onRequest) return 'on HTTP requests'
  if (onResponse) return 'on HTTP responses'
  return onChunk ? 'on the bytes of one direction, of any protocol' : onEnd ? 'on the end of one direction, of any protocol' : ''
}

function page(toxic: Toxic): string {
  const [first] = Object.entries(toxic.attributes)
  const example = first ? `${toxic.name}=${first[1].unit === 'ms' ? '200ms' : first[1].choices?.[0] ?? (first[1].type === 'string' ? "'name: value'" : first[1].default || 1)}` : toxic.name
  return `# ${toxic.name}

It ${toxic.summary}: ${place(toxic)}. Its stream is ${toxic.stream} when none is asked for. ${THEIRS.has(toxic.name) ? "One of Toxiproxy's, with its names and units." : 'One of ours; every client of Toxiproxy can set it.'}

\`\`\`
resil proxy toxic add PROXY ${example}
toxiproxy-cli toxic add -t ${toxic.name}${first ? ` -a ${example.slice(toxic.name.length + 1) === '200ms' ? `${first[0]}=200` : `${first[0]}=${example.slice(toxic.name.length + 1)}`}` : ''} PROXY
\`\`\`

${first ? `${HEAD}${rows(toxic.attributes as Record<string, AttributeSpec>)}` : 'It has no attributes of its own.\n'}
Whom it hits: [targeting](targeting.md), and \`toxicity\`, the chance of each connection.
`
}

test.each(Object.values(toxics).map((toxic) => [toxic.name, toxic] as const))('%s has its page', async (name, toxic) => {
  await expect(page(toxic)).toMatchFileSnapshot(`../../docs/toxics/${name}.md`)
})

test('targeting has its page', async () => {
  const text = `# Targeting

Every toxic takes these beside its own attributes. With any of them but \`client\` and \`window\` a toxic on bytes decides for each HTTP exchange, and
leaves what is no HTTP alone; otherwise it decides once for each connection.

${HEAD}${rows(targeting)}
A decision is a function of the seed, the toxic's name and its own count of matches: the same seed and the same requests give the same faults,
whatever else goes on. \`toxicity\` is not an attribute: it stands beside them, and is decided once for each connection.
`
  await expect(text).toMatchFileSnapshot('../../docs/toxics/targeting.md')
})

test('the index names them all', async () => {
  const list = (theirs: boolean) => Object.values(toxics).filter(({ name }) => THEIRS.has(name) === theirs).toSorted((a, b) => (a.name < b.name ? -1 : 1)).map(({ name, summary }) => `- [${name}](${name}.md) ${summary}\n`).join('')
  await expect(`# Toxics\n\nToxiproxy's:\n\n${list(true)}\nOurs:\n\n${list(false)}\nWhom they hit: [targeting](targeting.md).\n`).toMatchFileSnapshot('../../docs/toxics/README.md')
})

test('no page is left of a toxic that is gone', () => {
  const pages = readdirSync(new URL('../../docs/toxics/', import.meta.url)).filter((file) => file !== 'README.md' && file !== 'targeting.md')
  expect(pages.toSorted()).toEqual(Object.keys(toxics).map((name) => `${name}.md`).toSorted())
})
