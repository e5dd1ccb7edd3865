/** Runs a plan and shows it: to a person on a terminal, as plain lines, or as events; records it, and writes the reports that were asked for. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SystemClock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { Event, Sink } from '../events.ts'
import * as catalog from '../catalog.ts'
import { redacted } from '../secrets.ts'
import type { Plan } from './plan.ts'
import { Recorder, RUNS_FOLDER } from './recording.ts'
import type { Ending, Paper, Reporter, Reporting } from './reporter.ts'
import { Witnesses } from './reporter.ts'
import { finalBlock } from './reporters/plain.ts'
import type { Hold, Result } from './run.ts'
import { KEYS, run, runId } from './run.ts'
import type { AnyScenario } from './units.ts'
import { loadScenario } from './units.ts'

/** How long a finished screen stays when nobody touches a key, ms. */
const LINGER_MS = 10_000

/** A simulated run on a screen never waits longer than this between two events, ms of the reader's time. */
const LONGEST_PACE_MS = 700

/** A story of two hours takes half a minute: so much faster than life is one of hours shown. */
const HOURS_SPEED = 240
/** Shorter waits are gathered, ms of the reader's time. */
const SHORTEST_PACE_MS = 20
/** Longest time in which a run that is behind lets the screen draw nothing, ms. */
const DRAWN_EVERY_MS = 60

function titleOf(plan: Plan, engine: AnyScenario['engine']): string {
  if (plan.subject.kind === 'command') return `resil prove cron  ${plan.scenario}`
  if (engine === 'payment') return `resil pay  ${plan.scenario}`
  if (engine === 'webhook') return `resil webhook  ${plan.scenario}`
  return plan.scenario === 'elect' ? 'resil cron elect' : `resil cron elect  ${plan.scenario}`
}

export type Look = 'screen' | 'plain' | 'json' | 'quiet'

export interface Presentation {
  look: Look
  out: NodeJS.WriteStream
  input: NodeJS.ReadStream
  colour: boolean
  /** `junit=FILE`, `github`, `ndjson=FILE`, `plain=FILE`. */
  reports: readonly string[]
  signal: AbortSignal
  /** Ctrl-C on a screen, where it is a key. */
  interrupt(): void
}

export async function present(plan: Plan, presentation: Presentation): Promise<Result> {
  const { look, out, signal } = presentation
  const id = runId(plan)
  const reports: Reporting[] = await Promise.all(presentation.reports.map((report) => openReport(report, out)))
  const recorder = new Recorder(id, plan)
  const paper: Paper = { write: (text) => void out.write(text), columns: out.isTTY ? out.columns : undefined }
  const witnesses = new Witnesses()
  let ending: Event | undefined
  const sinks: Sink[] = [
    (event) => recorder.write(event),
    ...reports.map((report) => (event: Event) => report.event(event)),
    (event) => {
      witnesses.on(event)
      if (event.type === 'run.ended') ending = event
    },
  ]
  try {
    if (look === 'screen') {
      const result = await onScreen(plan, id, presentation, sinks)
      if (ending) paper.write(`${finalBlock(ending as Event & Ending, (seq) => witnesses.get(seq), paper.columns).join('\n')}\n`)
      return result
    }
    const reporter = look === 'quiet' ? undefined : look === 'json' ? await catalog.reporters.ndjson() : await catalog.reporters.plain()
    const reading = reporter?.open(paper)
    const result = await run(plan, { id, sinks: reading ? [...sinks, (event) => reading.event(event)] : sinks, signal })
    await reading?.end?.()
    if (look === 'quiet') paper.write(`${result.verdict}  ${result.story}\n`)
    return result
  } finally {
    recorder.close()
    for (const report of reports) await report.end?.()
  }
}

async function onScreen(plan: Plan, id: string, { out, input, colour, signal, interrupt }: Presentation, sinks: readonly Sink[]): Promise<Result> {
  const { engine, takesHours } = await loadScenario(plan.scenario)
  const { showScreen } = await import('./reporters/screens/screen.tsx')
  const clock = new SystemClock()
  const feed = new Feed()
  const gate = new Gate()
  let hold: Hold | undefined
  const pacer = new Pacer(clock, signal, engine === 'webhook' && takesHours ? HOURS_SPEED : 1)
  const running = run(plan, {
    id,
    sinks: [...sinks, (event) => feed.write(event)],
    signal,
    onOpen: (given) => {
      hold = given
    },
    pace: (at) => pacer.wait(at)?.then(() => gate.passed) ?? (gate.closed ? gate.passed : undefined),
  })
  const left = await showScreen({
    out,
    input,
    colour,
    clock,
    signal,
    title: titleOf(plan, engine),
    layout: engine === 'payment' ? 'story' : engine,
    lingerMs: LINGER_MS,
    subscribe: (sink) => feed.read(sink),
    ended: running.then(
      () => {},
      () => {}, // told by whoever awaits the run
    ),
    keys: {
      p: {
        label: 'hold and release scripted time',
        on: () => gate.closed,
        press: () => {
          gate.toggle()
          hold?.pause(gate.closed)
        },
      },
      ...Object.fromEntries(Object.entries(plan.subject.kind === 'command' ? {} : KEYS[engine]).map(([key, label]) => [key, { label, press: () => hold?.press(key) }])),
    },
    save: (kind, content) => {
      const file = join(RUNS_FOLDER, `${id}.${kind}`)
      writeFileSync(file, content)
      return file
    },
  })
  if (left === 'interrupted') interrupt()
  pacer.end()
  // Who leaves early wants the end, not to lose it: the run goes on to its verdict.
  if (gate.closed) {
    gate.toggle()
    hold?.pause(false)
  }
  return running
}

/** Keeps what was said before anybody listened. */
class Feed {
  readonly #early: Event[] = []
  #sink: Sink | undefined

  write(event: Event): void {
    if (this.#sink) this.#sink(event)
    else this.#early.push(event)
  }

  read(sink: Sink): () => void {
    for (const event of this.#early.splice(0)) sink(event)
    this.#sink = sink
    return () => {
      this.#sink = () => {}
    }
  }
}

/** How long a simulated world waits for its reader. */
class Pacer {
  readonly #clock: SystemClock
  readonly #signal: AbortSignal
  readonly #speed: number
  /** Of the world, ms. */
  #shownAt = 0
  /** What the reader is owed, ms. */
  #owedMs = 0
  #waitedAt: number
  #ended = false

  constructor(clock: SystemClock, signal: AbortSignal, speed: number) {
    this.#clock = clock
    this.#signal = signal
    this.#speed = speed
    this.#waitedAt = clock.monotonic()
  }

  /** Nobody looks any more. */
  end(): void {
    this.#ended = true
  }

  /** Before the world's time becomes `at`; undefined when there is nothing to wait for. */
  wait(at: number): Promise<void> | undefined {
    if (this.#ended) return undefined
    this.#owedMs += Math.min(LONGEST_PACE_MS, (at - this.#shownAt) / this.#speed)
    this.#shownAt = at
    const spentMs = this.#clock.monotonic() - this.#waitedAt
    // What the world itself took has passed for the reader too.
    const restMs = this.#speed === 1 ? this.#owedMs : Math.max(0, this.#owedMs - spentMs)
    if (this.#speed > 1 && restMs < SHORTEST_PACE_MS && spentMs < DRAWN_EVERY_MS) return undefined
    this.#owedMs = 0
    return this.#clock.sleep(restMs, this.#signal).then(() => {
      this.#waitedAt = this.#clock.monotonic()
    })
  }
}

/** Holds a simulated world between two of its timers. */
class Gate {
  passed: Promise<void> = Promise.resolve()
  closed = false
  #open: () => void = () => {}

  toggle(): void {
    this.closed = !this.closed
    if (this.closed) this.passed = new Promise((resolve) => (this.#open = resolve))
    else this.#open()
  }
}

async function openReport(report: string, out: NodeJS.WriteStream): Promise<Reporting> {
  const [name, file] = report.split('=', 2) as [string, string | undefined]
  const load = (catalog.reporters as Record<string, () => Promise<Reporter>>)[name]
  if (!load) throw new ResilError('UNKNOWN_REPORT', `there is no report "${name}"`, `there are ${Object.keys(catalog.reporters).join(', ')}; write --report junit=FILE`)
  if (file === undefined) return (await load()).open({ write: (text) => void out.write(text) })
  let text = ''
  const reading = (await load()).open({
    write: (more) => {
      text += more
    },
  })
  return {
    event: (event) => reading.event(event),
    end: async () => {
      await reading.end?.()
      try {
        writeFileSync(file, redacted(text))
      } catch (error) {
        throw new ResilError('CANNOT_REPORT', `${file} cannot be written: ${error instanceof Error ? error.message : String(error)}`, 'name a file in a folder that exists')
      }
    },
  }
}
