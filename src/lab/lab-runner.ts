/** Runs the laboratory's own jobs (engines/cron/lab-job.ts), in virtual time and in the process of a node alike. */
import type { Clock } from '../clock.ts'
import type { HttpResponse, Network, Outcome } from '../network.ts'
import { labJob } from '../engines/cron/lab-job.ts'
import type { Job } from '../engines/cron/spec.ts'
import type { Ended, Run, Runner } from '../engines/cron/worker.ts'

/** How long one effect may take, ms. */
const EFFECT_MS = 1000

export class LabRunner implements Runner {
  readonly #clock: Clock
  readonly #network: Network
  readonly #build: number
  readonly #block: (ms: number) => void

  /** `block` keeps the node's loop busy for so long. */
  constructor({ clock, network, build, block }: { clock: Clock; network: Network; build: number; block(ms: number): void }) {
    this.#block = block
    this.#clock = clock
    this.#network = network
    this.#build = build
  }

  knows(job: Job): boolean {
    const lab = labJob(job)
    return lab !== undefined && this.#build >= lab.needs
  }

  async run(job: Job, run: Run): Promise<Ended> {
    const { ms, steps, fail, quiet, hang, block } = labJob(job)!
    if (block > 0 && run.attempt === 1) this.#block(block)
    if (hang) await new Promise<void>((resolve) => (run.signal.aborted ? resolve() : run.signal.addEventListener('abort', () => resolve(), { once: true })))
    for (let step = run.step + 1; step <= Math.max(1, steps); step++) {
      if (ms > 0) await this.#clock.sleep(ms, run.signal)
      if (run.signal.aborted) return { ok: false, output: 'stopped' }
      if (fail) return { ok: false, output: 'it failed' }
      const outcome = quiet ? undefined : await this.#effect(steps > 0 ? `${run.key}/${step}` : run.key, run)
      if (outcome && (outcome.kind !== 'ok' || outcome.value.status >= 300)) return { ok: false, output: outcome.kind === 'ok' ? `${outcome.value.status}` : outcome.error.message }
      if (steps > 0) {
        await run.commit(String(step))
        run.progress((100 * step) / steps)
      }
    }
    return { ok: true, output: 'done' }
  }

  #effect(key: string, run: Run): Promise<Outcome<HttpResponse>> {
    return this.#network.call('resource', { method: 'POST', path: '/v1/effects', headers: { 'content-type': 'application/json', 'idempotency-key': key, 'resil-fencing-token': String(run.token) }, body: JSON.stringify({ what: run.schedule }) }, { timeoutMs: EFFECT_MS })
  }
}
