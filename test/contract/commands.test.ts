/** What users' scripts rely on: the commands, their arguments and flags. A change shows here and is explained in its commit. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

interface Input {
  name: string
  type?: string
  char?: string
  required?: boolean
  multiple?: boolean
  options?: string[]
  default?: unknown
  summary?: string
  helpGroup?: string
}

interface Manifest {
  commands: Record<string, { summary?: string; examples?: string[]; args: Record<string, Input>; flags: Record<string, Input>; relativePath: string[] }>
}

const read = (file: string) => JSON.parse(readFileSync(fileURLToPath(new URL(`../../${file}`, import.meta.url)), 'utf8'))
const { commands }: Manifest = read('oclif.manifest.json')
const { oclif }: { oclif: { topics: Record<string, unknown> } } = read('package.json')

/** `--port=<option>`, with what is special about it. */
function shape(input: Input, name: string): string {
  const facts = [
    input.type === 'option' && 'takes a value',
    input.char && `-${input.char}`,
    input.required && 'required',
    input.multiple && 'many',
    input.options && `one of ${input.options.join('|')}`,
    input.default !== undefined && `default ${JSON.stringify(input.default)}`,
  ]
  return [name, ...facts.filter(Boolean)].join(', ')
}

describe.each(Object.entries(commands))('%s', (id, command) => {
  it('takes what it took before', () => {
    const args = Object.values(command.args).map((arg) => shape(arg, arg.name.toUpperCase()))
    const flags = Object.values(command.flags).map((flag) => shape(flag, `--${flag.name}`))
    expect([...args, ...flags.toSorted()]).toMatchSnapshot()
  })

  it('has the flags of every command, a summary in lower case and two examples', () => {
    expect(Object.keys(command.flags)).toEqual(expect.arrayContaining(['json', 'quiet', 'no-color']))
    expect(command.summary, id).toMatch(/^[^A-Z].*[^.]$/)
    expect(command.examples?.length, id).toBeGreaterThanOrEqual(2)
  })
})

it('a topic says what it is about, not what its first command does', () => {
  const topics = new Set(Object.keys(commands).flatMap((id) => id.split(':').slice(0, -1).map((_, depth, parts) => parts.slice(0, depth + 1).join(':'))))
  expect(Object.keys(oclif.topics).toSorted()).toEqual([...topics].toSorted())
})

it('a flag that is a story tells it', () => {
  const stories = Object.values(commands).flatMap(({ flags }) => Object.values(flags)).filter(({ helpGroup, type }) => helpGroup === 'STORY' && type === 'boolean')
  expect(stories.length).toBeGreaterThanOrEqual(30)
  for (const { name, summary } of stories) expect(summary, name).toMatch(/ .* .* /)
})

it('what stands in src/commands but is no command is not taken for one', () => {
  const ids = Object.keys(commands)
  for (const id of ['base', 'failure', 'flags', 'main', 'text']) expect(ids).not.toContain(id)
  expect(ids).toEqual(expect.arrayContaining(['doctor', 'list']))
})
