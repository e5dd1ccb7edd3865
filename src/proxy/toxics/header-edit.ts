/** One header of a message is set, or taken away. Every other byte of the head stays as it is, and the body too: a changed Content-Length does what it says. */
import type { HeaderEdit, Toxic } from '../toxic.ts'

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** No control characters: a line break would begin another header. */
const VALUE = /^[\t -~\x80-\xff]*$/

export const toxic: Toxic<{ set: string; remove: string; of: string }> = {
  name: 'header_edit',
  summary: 'changes a header',
  stream: 'upstream',
  attributes: {
    set: { type: 'string', unit: '', default: '', summary: '"name: value": takes the place of all lines of that name' },
    remove: { type: 'string', unit: '', default: '', summary: 'the name of a header that goes' },
    of: { type: 'string', unit: '', default: 'request', choices: ['request', 'response'], summary: 'whose header' },
  },
  check({ set, remove }) {
    if ((set === '') === (remove === '')) return 'it takes set or remove, one of them'
    const { name, value } = edit(set, remove)
    return NAME.test(name) && VALUE.test(value ?? '') ? undefined : `"${set || remove}" is no header; write "name: value" for set, a name for remove`
  },
  place: ({ of }) => (of === 'response' ? 'response' : 'request'),
  onRequest: ({ set, remove }) => ({ do: 'edit', edit: edit(set, remove) }),
  onResponse: ({ set, remove }) => ({ do: 'edit', edit: edit(set, remove) }),
}

function edit(set: string, remove: string): HeaderEdit {
  if (remove !== '') return { name: remove, value: null }
  const colon = set.indexOf(':')
  return { name: set.slice(0, Math.max(0, colon)).trim(), value: set.slice(colon + 1).trim() }
}
