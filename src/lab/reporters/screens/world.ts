/** The screen of a world that stays open: services and where they are, links and their faults, the latest payments, the customers' lanes, what it came to so far. */
import type { OrderLine, PaymentView } from '../../../engines/payment/view.ts'
import { BELIEVED, TOLD, differences, fateOf, money, standing, story, toldFalse, truthOf } from '../../../engines/payment/view.ts'
import { span as length } from '../../sentence.ts'
import type { Line, Look } from './lines.ts'
import { cell, fitLine, line, span, wrap } from './lines.ts'
import type { UpView } from '../../up-view.ts'
import * as up from '../../up-view.ts'
import { faults } from './payment.ts'
import type { Frame, Section } from './parts.ts'
import { blank, compose, LABEL, labelled, labelledFlow, MEDIUM, NARROW, short } from './parts.ts'
import { laneSections, sumsOfAll, untrue } from './webhook.ts'

const PAYMENTS_SHOWN = 12
/** Where there is no room for them. */
const PAYMENTS_SHOWN_LOW = 4
/** Under this the table gives up its margin. */
const TABLE_WIDE = 96

/** Of payments alone. */
export function worldLines(view: PaymentView, frame: Frame): Line[] {
  return compose(view, story(view), frame, worldSections(view, frame))
}

export function upLines(view: UpView, frame: Frame): Line[] {
  const { money, hooks } = view
  const webhooks: Section[] = hooks.lanes.size === 0 ? [] : [{ rank: 2, lines: labelledFlow('webhooks', sumsOfAll(hooks), frame.columns) }, { rank: 1, lines: untrue(hooks, frame.columns) }]
  return compose(money, up.story(view), frame, [...worldSections(money, frame), ...laneSections(hooks, frame), ...webhooks])
}

function worldSections(view: PaymentView, frame: Frame): Section[] {
  const { columns } = frame
  const sections: Section[] = []
  const addresses = linked(view)
  if (addresses.length > 0) sections.push(blank(), { rank: columns < NARROW ? 7 : 5, lines: services(view, addresses, columns), brief: { rank: columns < NARROW ? 6 : 3, lines: ports(addresses, columns) } })
  const done = faults(view, frame)
  if (done.length > 0) sections.push(blank(), { rank: 4, lines: done })
  sections.push(blank(), { rank: 5, lines: table(view, columns, PAYMENTS_SHOWN), brief: { rank: 1, lines: table(view, columns, PAYMENTS_SHOWN_LOW) } })
  sections.push({ rank: 2, lines: counters(view, columns) }, { rank: 1, lines: different(view, columns) })
  return sections
}

/** Links by name, with their addresses; what a mock listens on itself is for programs. */
function linked(view: PaymentView): [name: string, url: string][] {
  return Object.entries(view.urls).filter(([name]) => !name.endsWith(' itself'))
}

function services(view: PaymentView, addresses: readonly [string, string][], columns: number): Line[] {
  const widest = Math.max(...addresses.map(([name]) => name.length))
  return addresses.map(([name, url], n) => fitLine(labelled(n === 0 ? 'services' : '', [span(cell(name, widest + 2)), span(url, 'title'), ...traffic(view, name)]), columns - 1))
}

/** The same on a low terminal. */
function ports(addresses: readonly [string, string][], columns: number): Line[] {
  return labelledFlow('services', addresses.map(([name, url]) => [span(`${name} `), span(new URL(url).port, 'title')]), columns)
}

function traffic(view: PaymentView, name: string): Line {
  const link = view.links.get(name)
  if (!link || link.opened === 0) return []
  return [span(`   ${link.opened} request${link.opened === 1 ? '' : 's'}${link.cut > 0 ? `, ${link.cut} without an answer` : ''}`, 'quiet')]
}

/** Columns keep their place whatever stands in them. */
function table(view: PaymentView, columns: number, most: number): Line[] {
  // Where something differs comes first, then the latest.
  const all = [...view.orders.values()].reverse()
  const wrong = new Set(differences(view).map(({ order }) => order))
  const orders = [...all.filter(({ order }) => wrong.has(order)).slice(0, most >> 1), ...all.filter(({ order }) => !wrong.has(order))].slice(0, most)
  if (orders.length === 0) return [labelled('payments', [span('none yet', 'quiet')])]
  const wide = columns >= TABLE_WIDE
  const widths: Widths = wide ? { order: 14, amount: 12, told: Math.max(14, Math.floor((columns - LABEL - 62) / 2)), engine: 22 } : { order: 9, amount: 9, told: 11, engine: columns < MEDIUM ? 10 : 22 }
  const place = (label: string, content: Line) => fitLine(wide ? labelled(label, content) : [span('  '), ...content], columns - 1)
  const title = place('payments', [span(`${cell('order', widths.order)} ${cell('amount', widths.amount, 'right')}  ${cell('told', widths.told)} ${cell('engine', widths.engine)} bank's ledger`, 'quiet')])
  return [title, ...orders.map((order) => place('', entry(view, order, widths, columns >= MEDIUM)))]
}

interface Widths {
  order: number
  amount: number
  told: number
  engine: number
}

function entry(view: PaymentView, order: OrderLine, widths: Widths, withTime: boolean): Line {
  const click = order.clicks.at(-1)
  const payment = view.payments.get(order.payment ?? '')
  const lie = click && toldFalse(order, click)
  const told = !click ? '-' : click.told === null ? 'waiting' : lie ? `${TOLD[click.told]}: FALSE` : TOLD[click.told]
  const fate = fateOf(order)
  const engine = payment ? `${BELIEVED[payment.state]}${payment.restedAt === null || !withTime ? '' : ` ${length(payment.restedAt - payment.claimedAt)}`}` : '-'
  const engineLook: Look = payment?.state === 'unknown' || payment?.state === 'review' ? 'doubt' : payment?.state === 'succeeded' ? 'good' : 'plain'
  return line(
    cell(order.order || short(order.payment ?? ''), widths.order),
    ' ',
    cell(money(order.amount, order.currency), widths.amount, 'right'),
    '  ',
    span(cell(told, widths.told), lie ? 'loud' : click?.told === 'charged' ? 'good' : click?.told === 'pending' || click?.told === 'nothing' ? 'doubt' : 'plain'),
    ' ',
    span(cell(engine, widths.engine), engineLook),
    ' ',
    span(fate === 'twice' ? ` ${standing(order).length} CHARGES ` : fate === 'charged' ? '1 charge' : truthOf(order), fate === 'twice' ? 'loud' : fate === 'charged' ? 'good' : 'plain'),
  )
}

function counters(view: PaymentView, columns: number): Line[] {
  const { clicks, answers, payments, charges, declines, refunds, voids, replays, hits } = view.counts
  const facts = [
    [clicks, 'clicks'], [answers, 'answers'], [payments, 'payments'], [charges, 'charges'], [declines, 'declines'], [replays, 'replays'], [refunds, 'refunds'], [voids, 'voids'],
    [view.notifications.received, 'receipts'], [hits, hits === 1 ? 'fault struck' : 'faults struck'], [view.alarms.length, 'alarms'],
  ] as const
  const said = facts.filter(([n], at) => n > 0 || (at >= 2 && at <= 3)).map(([n, noun]) => `${n.toLocaleString('en')} ${noun}`)
  return labelledFlow('so far', said.map((fact) => [span(fact)]), columns)
}

function different(view: PaymentView, columns: number): Line[] {
  const all = differences(view)
  if (all.length === 0) return view.counts.answers + view.counts.charges === 0 ? [] : [labelled('', [span('= told, engine and ledger: 0 different', 'good')])]
  const first = all.slice(0, 3).flatMap(({ order, words }) => wrap(line(span(' ≠ DIFFERENT ', 'loud'), '   ', span(`${order}: ${words}`, 'bad')), columns - 1, LABEL))
  return all.length > 3 ? [...first, labelled('', [span(`and ${all.length - 3} more`, 'bad')])] : first
}
