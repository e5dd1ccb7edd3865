/** What a service that stands until it is told to go has in common with others: how it is told of, and how it waits. */
import type { Clock } from '../clock.ts'
import type { Event } from '../events.ts'
import { EventLog } from '../events.ts'
import { Random } from '../random.ts'
import { learn, named, sentence } from './sentence.ts'

/** How a command speaks: `say` to people, `answer` to people who asked for the outcome alone too, `emit` to programs. */
export interface Voice {
  /** Whether programs listen: they are told every detail. */
  json: boolean
  say(line: string): void
  answer(line: string): void
  emit(record: object): void
}

/** Wide enough for `notification`. */
const WHO_WIDTH = 12

/** `2030-01-01T00:00:00.353Z  bank         CHARGED $99.00 ...`, or undefined for a detail. Wall time: a service's log is read beside others. */
export function wallLine(event: Event): string | undefined {
  const said = sentence(event)
  return said && said.tone !== 'quiet' ? `${stampOf(event.at)}  ${said.who.padEnd(WHO_WIDTH)} ${said.what}` : undefined
}

/** ms since 1970 as `2030-01-01T00:00:00.353Z`. */
export function stampOf(at: number): string {
  return new Date(at).toISOString()
}

/** What every exchange and every connection says is for programs only: a busy link says it thousands of times a second. */
export const isForPeople = (type: string) => !type.startsWith('exchange.') && !type.startsWith('connection.')

/** A log of its own for each life of a service; every event is told as it comes. */
export function openLog(clock: Clock, voice: Voice): EventLog {
  const names = new Map<string, string>()
  const log = new EventLog(Random.system().id('run').slice(4, 12), clock)
  log.subscribe((event) => {
    voice.emit(event)
    learn(names, event)
    const line = wallLine(named(event, names))
    if (line !== undefined) voice.say(line)
  }, voice.json ? undefined : isForPeople)
  return log
}

/** Resolves when the signal aborts; rejects when the service fails before. */
export async function untilTold(signal: AbortSignal, failed?: Promise<never>): Promise<void> {
  const told = signal.aborted ? Promise.resolve() : new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  await (failed ? Promise.race([told, failed]) : told)
}
