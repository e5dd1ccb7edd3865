/** Files that people write: YAML (and so JSON), read strictly, and checked before anything is made of them. */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { parseDocument } from 'yaml'
import type { z } from 'zod'
import { ResilError } from '../errors.ts'
import { nearest } from '../nearest.ts'

const LARGEST_BYTES = 1024 * 1024
/** Deepest nesting of lists and maps. */
const MAX_DEPTH = 32
/** As the parser counts aliases: more than that is a bomb. */
const MAX_ALIASES = 100

/** Throws BAD_CONFIG with one line that says what is wrong and where; `hint` says how to mend it. */
export function readConfigFile<T>(file: string, schemaOf: z.ZodType<T> | ((value: unknown) => z.ZodType<T>), hint: string): T {
  const bad = (why: string) => new ResilError('BAD_CONFIG', `${file}: ${why}`, hint)
  if (!existsSync(file)) throw bad('there is no such file')
  const facts = statSync(file)
  if (!facts.isFile()) throw bad('it is not a file')
  if (facts.size > LARGEST_BYTES) throw bad('it is larger than 1 MiB')
  const text = readFileSync(file, 'utf8')
  if (nestsTooDeep(text)) throw bad(`it nests deeper than ${MAX_DEPTH} levels`)
  const document = parseDocument(text, { schema: 'core', uniqueKeys: true, merge: false })
  const problem = document.errors[0] ?? document.warnings[0]
  if (problem) throw bad(problem.message.split('\n')[0]!)
  let value: unknown
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES })
  } catch (error) {
    throw bad(error instanceof Error ? error.message : String(error))
  }
  if (value === null || value === undefined) throw bad('it is empty')
  const schema = typeof schemaOf === 'function' ? schemaOf(value) : schemaOf
  const result = schema.safeParse(value)
  if (!result.success) throw bad(result.error.issues.slice(0, 5).map((issue) => said(issue, [])).join('; '))
  return result.data
}

function said(issue: z.core.$ZodIssue, above: readonly PropertyKey[]): string {
  const path = [...above, ...issue.path]
  const where = path.map((part, n) => (typeof part === 'number' ? `[${part}]` : `${n > 0 ? '.' : ''}${String(part)}`)).join('') || 'the file'
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => `${where}: there is no ${JSON.stringify(key)} here`).join('; ')
  // Of several forms the one is meant that fits at the top.
  const meant = issue.code === 'invalid_union' ? issue.errors.find(([first]) => first && (first.path.length > 0 || first.code === 'unrecognized_keys')) : undefined
  return meant ? said(meant[0]!, path) : `${where}: ${issue.message}`
}

/** What was meant by a word that is none of the known ones, for a hint. */
export function meant(word: string, known: readonly string[]): string {
  const near = nearest(word, known)
  return near === undefined ? '' : `, did you mean ${near}?`
}

/** Looked at before the parser is, which goes as deep as the text does. Brackets in quotes count too: nobody writes so many. */
function nestsTooDeep(text: string): boolean {
  let depth = 0
  for (const sign of text) {
    if (sign === '[' || sign === '{') depth++
    else if (sign === ']' || sign === '}') depth = Math.max(0, depth - 1)
    if (depth > MAX_DEPTH) return true
  }
  // Block style: every level is at least one sign further to the right, and `- - -` opens one each.
  let indents: number[] = []
  for (const line of text.split('\n')) {
    const opening = /^ *(?:[-?] +)*/.exec(line)![0]
    if (line.trim() === '' || opening.length === line.length) continue
    const levels = (opening.match(/[-?]/g) ?? []).length
    indents = [...indents.filter((indent) => indent < opening.length), opening.length]
    if (indents.length + levels > MAX_DEPTH) return true
  }
  return false
}
