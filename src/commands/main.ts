/** From words to an exit code: finds the command, runs it, and says what went wrong, the same way for all. */
import { Config, Errors, handle, run, settings } from '@oclif/core'
import { makeDiscreet } from '../secrets.ts'
import { failureOf, tell } from './failure.ts'
import type { ExitCode } from './failure.ts'

/**
 * `from` is the URL of a file in the package whose commands these are. Answers the exit code; whoever calls ends the process with it.
 * Never rejects: a throw of a command is told on stderr, and on stdout too under --json.
 */
export async function main(argv: readonly string[], from: string): Promise<ExitCode> {
  // A closed pipe is no error of anybody: `resil list | head -1`. What becomes of the run is the command's affair (base.ts).
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
    })
    makeDiscreet(stream)
  }
  // oclif would look for sources, through a compiler interface that TypeScript 7 does not have.
  settings.enableAutoTranspile = false
  let commands: string[] = []
  const fail = (error: unknown): ExitCode => {
    const failure = failureOf(error, commands)
    tell(failure, error, asksForJson(argv))
    return failure.exit
  }
  // What slips out beside the awaited work would end in Node's exit code 1, which here means violated; so would a wait for nothing end in 13.
  process.on('uncaughtException', (error) => void handle(new Errors.ExitError(fail(error))))
  process.once('beforeExit', () => {
    process.exitCode = fail(new Error('the command waits for something that cannot happen'))
  })
  try {
    const config = await Config.load(from)
    commands = config.commandIDs.map((id) => id.replaceAll(':', ' '))
    const words = argv[0] === 'help' ? [...argv.slice(1), '--help'] : [...argv]
    return await afterAllIsSaid(((await run(words, config)) as ExitCode | undefined) ?? 0)
  } catch (error) {
    return afterAllIsSaid(fail(error))
  }
}

/** A pipe holds 64 KiB; what a slow reader has not taken yet would be lost when the process is ended. One that left takes nothing more, and is not waited for. */
async function afterAllIsSaid(code: ExitCode): Promise<ExitCode> {
  for (const stream of [process.stdout, process.stderr]) {
    if (stream.writableLength > 0 && !stream.destroyed) await new Promise<void>((resolve) => stream.write('', () => resolve()))
  }
  return code
}

/** Whether --json stands among the flags: they may have been too wrong to be parsed. */
function asksForJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return argv.slice(0, end === -1 ? argv.length : end).includes('--json')
}
