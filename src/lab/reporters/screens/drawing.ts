/** What a screen can show, by layout: how events become a view, and a view a picture. */
import type { Event } from '../../../events.ts'
import { CROWD } from '../../../engines/payment/view-customers.ts'
import type { PaymentView } from '../../../engines/payment/view.ts'
import * as payment from '../../../engines/payment/view.ts'
import type { ProxyView } from '../../proxy-view.ts'
import * as proxy from '../../proxy-view.ts'
import type { Line } from './lines.ts'
import { span } from './lines.ts'
import type { Frame } from './parts.ts'
import { head } from './parts.ts'
import { paymentLines, STORY_ORDERS } from './payment.ts'
import * as cron from '../../../engines/cron/view.ts'
import type { CronView } from '../../../engines/cron/view.ts'
import { cronLines } from './cron.ts'
import * as webhook from '../../../engines/webhook/view.ts'
import type { WebhookView } from '../../../engines/webhook/view.ts'
import { webhookLines } from './webhook.ts'
import { BARS, proxyHead, proxyLines } from './proxy.ts'
import { stormLines } from './storm.ts'
import type { UpView } from '../../up-view.ts'
import * as up from '../../up-view.ts'
import { upLines, worldLines } from './world.ts'

/** `story` of a run, which turns into the table of payments when several pay and into the storm when a crowd does; `world` that stays open; `proxy` that is watched from outside; `cron` for schedulers; `webhook` for what customers are told. */
export type Layout = 'story' | 'world' | 'proxy' | 'cron' | 'webhook'

interface Drawing<View> {
  empty(): View
  fold(view: View, event: Event): View
  /** Where time stands at the latest event, ms. */
  ms(view: View): number
  /** Whether time goes on while nothing is heard. */
  runs(view: View): boolean
  events(view: View): readonly Event[]
  head(view: View, frame: Frame): Line[]
  lines(view: View, frame: Frame): Line[]
  /** For the help: what `q` and Ctrl-C do, and what the signs mean. */
  words: { leave: string; interrupt: string }
  legend: Line[]
}

/** A drawing with the view that it has come to. */
export interface Reel {
  tell(event: Event): void
  readonly ms: number
  readonly runs: boolean
  readonly events: readonly Event[]
  readonly words: { leave: string; interrupt: string }
  readonly legend: Line[]
  head(frame: Frame): Line[]
  lines(frame: Frame): Line[]
}

function reelOf<View>(drawing: Drawing<View>): Reel {
  let view = drawing.empty()
  return {
    tell: (event) => {
      view = drawing.fold(view, event)
    },
    get ms() {
      return drawing.ms(view)
    },
    get runs() {
      return drawing.runs(view)
    },
    get events() {
      return drawing.events(view)
    },
    words: drawing.words,
    legend: drawing.legend,
    head: (frame) => drawing.head(view, frame),
    lines: (frame) => drawing.lines(view, frame),
  }
}

const payments: Drawing<PaymentView> = {
  empty: payment.empty,
  fold: payment.fold,
  ms: ({ t }) => t,
  runs: ({ ended, started, mode }) => started && !ended && mode !== 'sim',
  events: ({ events }) => events,
  head,
  lines: paymentLines,
  words: { leave: 'leave the screen; the run goes on to its verdict', interrupt: 'interrupt the run' },
  legend: [
    [span('   '), span('█', 'work'), span(' work   '), span('░', 'wait'), span(' waiting   '), span('█', 'doubt'), span(' ended UNKNOWN   '), span('×', 'fault'), span(' a fault struck   '), span('├──┤'), span(' a client waits for its answer')],
    [span('   told: what clients were told   engine: what the service believes   bank\'s ledger: what is true')],
    [span('   '), span(' ≠ DIFFERENT ', 'loud'), span(' they do not say the same')],
  ],
}

/** Where many pay. */
const crowd: Line[] = [
  [span('   '), span(BARS, 'work'), span(' customers a second, at that moment of the run; all rows of customers have one scale')],
  [span('   try later: told that nothing was charged   pending: told that it is not known yet, and not to pay again')],
  [span('   takes: half of the calls, of the last 10 s   turned away: by breaker and bulkhead, before the service was asked')],
]

const watched: Drawing<ProxyView> = {
  empty: proxy.empty,
  fold: proxy.fold,
  ms: ({ uptimeMs }) => uptimeMs,
  runs: () => true,
  events: ({ events }) => events,
  head: proxyHead,
  lines: proxyLines,
  words: { leave: 'leave the screen; the proxy goes on, its toxics stay as they are', interrupt: 'the same, with exit code 130' },
  legend: [
    [span('   '), span(BARS, 'work'), span(' requests (or bytes, where no HTTP is spoken) of each second, the latest at the right')],
    [span('   '), span('×', 'fault'), span(' a toxic; its own name stands behind it when somebody gave it one')],
    [span('   '), span(' STALE ', 'loud'), span(' the proxy does not answer: all that is shown is what it said last')],
  ],
}

const schedulers: Drawing<CronView> = {
  empty: cron.empty,
  fold: cron.fold,
  ms: ({ t }) => t,
  runs: ({ ended, started, mode }) => started && !ended && mode !== 'sim',
  events: ({ events }) => events,
  head,
  lines: cronLines,
  words: payments.words,
  legend: [
    [span('   '), span('████░░', 'work'), span(' what is left of the lease   '), span('LEADER', 'good'), span(' trusts itself and acts   '), span('ZOMBIE', 'loud'), span(' believes that it leads, and stands still')],
    [span('   epoch: grows with every election; a write of an older one is refused   token: the same for each attempt of a tick')],
  ],
}

const customers: Drawing<WebhookView> = {
  empty: webhook.empty,
  fold: webhook.fold,
  ms: ({ t }) => t,
  runs: ({ ended, started, mode }) => started && !ended && mode !== 'sim',
  events: ({ events }) => events,
  head,
  lines: webhookLines,
  words: payments.words,
  legend: [
    [span('   '), span(BARS, 'work'), span(' deliveries, from the beginning of the run to now, on a scale of each lane; '), span('·', 'work'), span(' none')],
    [span('   '), span('PARKED', 'bad'), span(' the endpoint is down: nothing but a probe goes there, and what waits is held   '), span('slow', 'doubt'), span(' an attempt takes long   '), span('quiet', 'doubt'), span(' it asked to be left alone')],
    [span('   in flight: how many at once, of how many the lane has found to be good   dlq: gave up, with a reason; it can be sent again')],
    [span('   '), span('› ', 'chosen'), span('the customer that keys act on')],
  ],
}

const everything: Drawing<UpView> = {
  empty: up.empty,
  fold: up.fold,
  ms: ({ money }) => payments.ms(money),
  runs: ({ money }) => payments.runs(money),
  events: ({ money }) => money.events,
  head: ({ money }, frame) => head(money, frame),
  lines: upLines,
  words: { leave: 'end it all; nothing is left behind', interrupt: 'the same, with exit code 130' },
  legend: [...payments.legend.slice(1), ...customers.legend],
}

export const reels: Record<Layout, () => Reel> = {
  story: () => reelOf({ ...payments, legend: [...payments.legend, ...crowd], lines: (view, frame) => (view.orders.size > CROWD ? stormLines : view.orders.size > STORY_ORDERS ? worldLines : paymentLines)(view, frame) }),
  world: () => reelOf(everything),
  proxy: () => reelOf(watched),
  cron: () => reelOf(schedulers),
  webhook: () => reelOf(customers),
}
