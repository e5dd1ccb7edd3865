/**
 * What went wrong, said once for all commands: a word for machines, a sentence for people, how to mend it, and the exit code.
 *
 *   0 held or done   1 violated   2 usage or configuration   3 undecided   70 a bug of ours   127 proxy run: no such command   130 interrupted
 */
import { stripVTControlCharacters } from 'node:util'
import { Errors } from '@oclif/core'
import type { Interfaces } from '@oclif/core'
import { ResilError } from '../errors.ts'
import { nearest } from '../nearest.ts'
import { visible } from '../visible.ts'

export type ExitCode = 0 | 1 | 2 | 3 | 70 | 127 | 130

export interface Failure {
  code: string
  message: string
  hint: string
  exit: ExitCode
}

/** Codes that mean "not known", where others mean "given wrongly" (2). */
const UNDECIDED: ReadonlySet<string> = new Set(['SUBJECT_UNREACHABLE', 'PROXY_UNREACHABLE', 'BANK_UNREACHABLE', 'RUN_CUT_SHORT'])

/** What oclif's parser throws; its classes are not exported, so they are known by what they carry. */
interface ParseError {
  flags?: string[]
  args?: string[] | { name: string }[]
  parse?: { input?: { flags?: Record<string, { type: string }> }; output?: unknown }
}

/** Turns whatever was thrown into a failure. `commands` are the ids that exist, spaces between the words. */
export function failureOf(error: unknown, commands: readonly string[]): Failure {
  if (error instanceof ResilError) {
    // oclif wraps the message of what a flag's parser throws.
    const wrapped = /^Parsing (--\S+) \n\t([\s\S]*)\nSee more help with --help$/.exec(error.message)
    const message = wrapped ? `${wrapped[1]}: ${wrapped[2]}` : error.message
    return { code: error.code, message: visible(message), hint: visible(error.hint), exit: UNDECIDED.has(error.code) ? 3 : error.code === 'COMMAND_NOT_FOUND' ? 127 : 2 }
  }
  if (error instanceof Errors.CLIError) return usage(error, commands)
  const message = error instanceof Error ? `${error.name}: ${error.message}` : `thrown: ${String(error)}`
  return { code: 'BUG', message: visible(message), hint: 'this is a bug of resil, not yours: please report this line with the command, `resil doctor --json`, and the stack that DEBUG=resil shows', exit: 70 }
}

/** One of oclif's own errors: a command line that cannot be understood. */
function usage(error: Interfaces.PrettyPrintableError & Error, commands: readonly string[]): Failure {
  const failure = (code: string, message: string, hint: string): Failure => ({ code, message: visible(message), hint: visible(hint), exit: 2 })
  const { flags, args, parse } = error as ParseError
  const message = error.message.replace(/\nSee more help with --help$/, '')

  const unknown = /^command ([\s\S]+) not found\.?$/i.exec(message)?.[1]?.replaceAll(':', ' ')
  if (unknown?.startsWith('-')) return failure('NO_COMMAND', `${unknown} stands before any command`, 'name the command first, as in: resil list --json')
  if (unknown !== undefined) {
    // What follows the command may have been meant as its arguments.
    const words = unknown.split(' ')
    const meant = words.map((_, i) => nearest(words.slice(0, words.length - i).join(' '), commands)).find((near) => near !== undefined)
    return failure('UNKNOWN_COMMAND', `there is no command ${unknown}`, meant ? `did you mean resil ${meant}?` : 'resil --help lists them')
  }
  if (flags) {
    const known = Object.entries(parse?.input?.flags ?? {}).map(([name]) => `--${name}`)
    const first = flags[0]!.split('=')[0]!
    const meant = nearest(first, known)
    return failure('UNKNOWN_FLAG', `unknown flag ${flags.join(', ')}`, meant ? `did you mean ${meant}?` : '--help lists the flags of this command')
  }
  if (message.startsWith('Unexpected argument')) return failure('UNEXPECTED_ARGUMENT', `unexpected argument ${(args as string[]).join(', ')}`, '--help shows what this command takes')
  if (message.startsWith('Missing') && args) {
    return failure('MISSING_ARGUMENT', `missing ${(args as { name: string }[]).map((arg) => arg.name.toUpperCase()).join(', ')}`, '--help shows what this command takes')
  }
  const twice = /^Flag (--\S+) can only be specified once$/.exec(message)
  if (twice) return failure('FLAG_TWICE', `${twice[1]} was given twice`, 'give it once')
  const valueless = /^Flag (--\S+) expects (?:a value|one of these values: (.*))$/.exec(message)
  if (valueless) return failure('BAD_FLAG', `${valueless[1]} needs a value`, valueless[2] ? `give one of ${valueless[2]}` : '--help shows what it takes')
  const option = /^Expected (?:(--[a-z-]+)=)?([\s\S]*) to be one of: (.*)$/.exec(message)
  if (option) {
    const [, flag, value, known] = option as unknown as [string, string | undefined, string, string]
    const meant = nearest(value, known.split(', '))
    return failure(flag ? 'BAD_FLAG' : 'BAD_ARGUMENT', `${flag ? `${flag}: ` : ''}${value} is none of ${known}`, meant ? `did you mean ${meant}?` : 'give one of them')
  }
  // The rest is about flags that need or exclude each other: a list of sentences, dimmed on a terminal.
  const reasons = stripVTControlCharacters(message).replace(/^The following errors? occurred:\s*/, '').replaceAll(/\s*\n\s*/g, '; ')
  return failure('USAGE', reasons, '--help shows what this command takes')
}

/** The failure on stderr, one line; and under --json on stdout too, as its last line. With DEBUG set, the stack of a bug follows. */
export function tell(failure: Failure, error: unknown, json: boolean): void {
  process.stderr.write(`resil: ${failure.message}${failure.hint ? `; ${failure.hint}` : ''}\n`)
  if (process.env.DEBUG && error instanceof Error && error.stack) process.stderr.write(`${error.stack.split('\n').map(visible).join('\n')}\n`)
  if (json) process.stdout.write(`${JSON.stringify({ ok: false, error: failure })}\n`)
}
