/** The crossings of webhook nodes, cut: see crossings.ts. */
import type { Hash } from 'node:crypto'
import { ResilError } from '../errors.ts'
import type { Event } from '../events.ts'
import type { WebhookScenario, WebhookStage } from '../engines/webhook/stage.ts'
import type { Crossing, CutRun, Prepared } from './crossings.ts'
import { crossingsOf, cutOnce, SEED } from './crossings.ts'
import type { Plan, Subject } from './plan.ts'
import type { Loaded } from './run.ts'
import { load } from './run.ts'

/** Beyond the schedule's first delays, an outage's longest probe and the longest that a receiver may ask to be left alone: by then all has come to rest that can. */
const AFTERMATH_MS = 3_900_000
/** What a trace tells of an event: no ids and no times, for those differ where nothing else does. */
const TRACED = ['customer', 'sequence', 'status', 'signed', 'duplicate', 'processed', 'told', 'site', 'state', 'reason'] as const
const SOURCES: ReadonlySet<string> = new Set(['mock', 'client', 'audit'])

/** See `crossingsOf`: those while the script runs. */
export async function webhookCrossings(scenario: string, subject: Subject = { kind: 'reference' }, most = Number.POSITIVE_INFINITY): Promise<{ crossings: Crossing[]; of: number }> {
  let open = true
  return crossingsOf(await prepare(scenario, subject, () => (open = false)), () => open, most)
}

export async function cut(crossing: Crossing, subject: Subject = { kind: 'reference' }): Promise<CutRun> {
  return cutOnce(await prepare(crossing.scenario, subject), crossing, (trace: Hash, event: Event) => {
    if (SOURCES.has(event.src)) trace.update(`${event.type} ${TRACED.map((field) => String(event[field] ?? '')).join(' ')}\n`)
  })
}

async function prepare(scenario: string, subject: Subject, over: () => void = () => {}): Promise<Prepared> {
  const plan: Plan = { scenario, mode: 'sim', seed: SEED, subject, toxics: [], invariants: [], again: '' }
  return { plan, loaded: withAftermath(await load(plan), over) }
}

/** When the script is over, or cannot go on because of the crash, peace: and time for all that waits. */
function withAftermath(loaded: Loaded, over: () => void): Loaded {
  const scenario = loaded.scenario as WebhookScenario
  return {
    ...loaded,
    scenario: {
      ...scenario,
      async drive(world: WebhookStage) {
        try {
          await scenario.drive(world)
        } catch (error) {
          if (!(error instanceof ResilError) || error.code !== 'SCENARIO_STUCK') throw error
        }
        over()
        await world.heal()
        await world.settled(AFTERMATH_MS)
      },
    },
  }
}
