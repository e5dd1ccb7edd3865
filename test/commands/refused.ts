/** Runs a command of the built command line in this process: for what is refused before anything stands. A start of Node for each would take a hundred times as long; that `bin/run.js` says the same is shown where processes are the subject. */
import { Config, run, settings } from '@oclif/core'
import { failureOf, tell } from '../../dist/commands/failure.js'
import { redacted } from '../../dist/secrets.js'
import { root } from './cli.ts'

export interface Refused {
  exit: number
  stdout: string
  stderr: string
}

settings.enableAutoTranspile = false // oclif would look for sources, as in main.ts
const config = await Config.load(root)

/** `resil ...args`, whose words are kept from whoever runs the tests. `env` is added while it lasts. One at a time. */
export async function refused(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Refused> {
  const before = { ...process.env }
  const kept: Refused = { exit: 0, stdout: '', stderr: '' }
  const restore = (['stdout', 'stderr'] as const).map((name) => {
    const stream = process[name]
    const { write } = stream
    stream.write = (text: string | Uint8Array) => {
      kept[name] += redacted(String(text))
      return true
    }
    return () => (stream.write = write)
  })
  Object.assign(process.env, env)
  try {
    kept.exit = ((await run([...args], config)) as number | undefined) ?? 0
  } catch (error) {
    const failure = failureOf(error, [])
    tell(failure, error, args.includes('--json'))
    kept.exit = failure.exit
  } finally {
    for (const undo of restore) undo()
    for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name]
    Object.assign(process.env, before)
  }
  return kept
}
