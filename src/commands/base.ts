/**
 * What every command has: --json, --quiet, --no-color, an end that is asked for rather than forced, and exit codes that tell the truth.
 *
 *   export default class Elect extends BaseCommand<typeof Elect> {
 *     static override summary = 'elect a leader among nodes'
 *     static override flags = { nodes: integer({ summary: 'nodes that stand', min: 1, max: 100, default: 3 }) }
 *     protected async work(): Promise<ExitCode> { ... this.flags.nodes ... this.interrupted ... }
 *   }
 *
 * An optional argument says `ignoreStdin: true`: oclif would else wait for it on stdin.
 * A signal or a reader that left aborts `interrupted`; the command then puts away what it holds and returns. A second SIGINT waits for nothing.
 */
import { Command, Errors, Flags, handle } from '@oclif/core'
import type { Interfaces } from '@oclif/core'
import { ResilError } from '../errors.ts'
import type { Voice } from '../lab/standing.ts'
import { reveal } from '../secrets.ts'
import type { ExitCode } from './failure.ts'

type Ending = 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'EPIPE'

export abstract class BaseCommand<C extends typeof Command> extends Command {
  static override baseFlags = {
    json: Flags.boolean({ summary: 'one JSON object a line on stdout, the outcome last', helpGroup: 'GLOBAL' }),
    quiet: Flags.boolean({ char: 'q', summary: 'nothing but the outcome', helpGroup: 'GLOBAL' }),
    'no-color': Flags.boolean({ summary: 'no colour (also NO_COLOR)', helpGroup: 'GLOBAL' }),
  }

  protected flags!: Interfaces.InferredFlags<(typeof BaseCommand)['baseFlags'] & C['flags']>
  protected args!: Interfaces.InferredArgs<C['args']>
  /** What stands after `--`, word for word; a command that takes it sets `strict = false`. oclif's own list would sort words that occur twice. */
  protected rest: string[] = []
  readonly #interruption = new AbortController()
  #ending: Ending | undefined

  /** Aborts when the command should end: SIGINT, SIGTERM, SIGHUP, stdout closed by its reader, or `interrupt()`. */
  protected get interrupted(): AbortSignal {
    return this.#interruption.signal
  }

  /** Whether to draw in colour: stdout is a terminal that can, and nobody said no. */
  protected get colour(): boolean {
    return Boolean(process.stdout.isTTY) && !this.flags['no-color'] && !process.env.NO_COLOR && process.env.TERM !== 'dumb'
  }

  /** Whether to draw a screen: only where somebody sits before it, and did not ask for lines. */
  protected get screen(): boolean {
    if (this.flags.json || this.flags.quiet) return false
    return Boolean(process.stdout.isTTY && process.stdin.isTTY && process.env.TERM !== 'dumb' && !process.env.CI)
  }

  /**
   * Does the work and answers 0 held or done, 1 violated, 2 something must be mended, 3 undecided.
   * Throws ResilError for a wrong use; whatever else it throws is a bug of ours.
   */
  protected abstract work(): Promise<ExitCode>

  /** A line for people; silent under --json and --quiet. Text that came from outside goes through `visible` first. */
  protected say(line = ''): void {
    if (!this.flags.json && !this.flags.quiet) process.stdout.write(`${line}\n`)
  }

  /** A line of the outcome itself: printed under --quiet too, silent under --json. */
  protected answer(line: string): void {
    if (!this.flags.json) process.stdout.write(`${line}\n`)
  }

  /** A line of JSON; silent without --json. */
  protected emit(record: object): void {
    if (this.flags.json) process.stdout.write(`${JSON.stringify(record)}\n`)
  }

  /** The outcome in which a secret is shown, this once; every other line leaves without. `record` is for --json. */
  protected reveal(line: string, record: object): void {
    reveal(process.stdout, `${this.flags.json ? JSON.stringify(record) : line}\n`)
  }

  /** say, answer and emit, for what stands in the laboratory and knows no command. */
  protected get voice(): Voice {
    return { json: this.flags.json, say: (line) => this.say(line), answer: (line) => this.answer(line), emit: (record) => this.emit(record) }
  }

  /** As if SIGINT had come; for screens, where Ctrl-C is a key. The second time the process ends at once. */
  protected interrupt(): void {
    this.#end('SIGINT')
  }

  override async run(): Promise<ExitCode> {
    // Named, because oclif would else spread the class, without what it inherits.
    const { args, flags, baseFlags, strict } = this.ctor
    const parsed = await this.parse({ args, flags, baseFlags, strict })
    this.flags = parsed.flags as typeof this.flags
    this.args = parsed.args as typeof this.args
    const dashes = this.argv.indexOf('--')
    if (dashes !== -1) this.rest = this.argv.slice(dashes + 1)
    if (!this.colour) process.env.FORCE_COLOR = '0' // Ink's chalk knows neither NO_COLOR nor our flag

    const signals = (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).map((signal) => ({ signal, listener: () => this.#end(signal) }))
    for (const { signal, listener } of signals) process.on(signal, listener)
    const onReaderLeft = (error: NodeJS.ErrnoException) => error.code === 'EPIPE' && this.#end('EPIPE')
    process.stdout.on('error', onReaderLeft)
    try {
      return this.#exitCode(await this.work())
    } catch (error) {
      // What was cut short because we asked for it is no failure; a bug still is.
      const cutShort = error instanceof Error && (error.name === 'AbortError' || (error instanceof ResilError && this.#ending === 'SIGINT'))
      if (this.#ending === undefined || !cutShort) throw error
      return this.#exitCode(3)
    } finally {
      for (const { signal, listener } of signals) process.off(signal, listener)
      process.stdout.off('error', onReaderLeft)
    }
  }

  #end(why: Ending): void {
    if (why === 'SIGINT' && this.#ending === 'SIGINT') {
      // Through oclif's door, so that what hangs on 'exit' (a terminal to be restored) still happens.
      void handle(new Errors.ExitError(130))
      return
    }
    this.#ending = why
    if (why === 'SIGINT' && process.stdin.isTTY) process.stderr.write('\nresil: stopping; once more to stop at once\n')
    this.#interruption.abort()
  }

  /** Ctrl-C is always 130. Undecided because nobody reads any more is not worth a word: 0. */
  #exitCode(worked: ExitCode): ExitCode {
    if (this.#ending === 'SIGINT') return 130
    return this.#ending === 'EPIPE' && worked === 3 ? 0 : worked
  }
}
