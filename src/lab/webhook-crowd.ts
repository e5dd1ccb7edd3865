/** Many webhooks in plain lines: what changes for all of them, and now and then how they stand. */
import type { Event } from '../events.ts'
import type { WebhookView } from '../engines/webhook/view.ts'
import { CROWD, empty, fold, isOfEach, story } from '../engines/webhook/view.ts'
import type { SumLine } from './crowd.ts'

/** Between two sums, ms of the run at first; later a tenth of the run, so that a run of hours has as many lines as one of minutes. */
const SUM_MS = 5000
const SUM_SHARE = 0.1

export class WebhookCrowd {
  readonly #view: WebhookView = empty()
  #toldAt = 0

  /** Takes an event in, and answers what is due to be said before it. */
  on(event: Event): SumLine[] {
    const isDue = this.#isCrowd() && event.t >= this.#toldAt + Math.max(SUM_MS, this.#toldAt * SUM_SHARE)
    const lines = isDue ? [{ t: event.t, who: 'webhooks', what: story(this.#view) }] : []
    if (isDue) this.#toldAt = event.t
    fold(this.#view, event)
    return lines
  }

  /** Whether the event is of one message among many: the recording has it. */
  drowns({ type }: Event): boolean {
    return this.#isCrowd() && isOfEach(type)
  }

  #isCrowd(): boolean {
    return this.#view.accepted > CROWD
  }
}
