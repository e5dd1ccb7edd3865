/** The screen of a world that stays open: services and where they are, links and their faults, the latest payments, what it came to so far. */
import type { OrderLine, PaymentView } from '../../../engines/payment/view.ts'
import { BELIEVED, TOLD, differences, fateOf, money, standing, story, toldFalse, truthOf } from '../../../engines/payment/view.ts'
import { span as length } from '../../sentence.ts'
import type { Line, Look } from './lines.ts'
import { cell, fitLine, line, span, wrap } from './lines.ts'
import { faults } from './payment.ts'
import type { Frame, Section } from './parts.ts'
import { blank, compose, LABEL, labelled, labelledFlow, MEDIUM, NARROW, short } from './parts.ts'

const PAYMENTS_SHOWN = 12
/** Under this the table gives up its margin. */
const TABLE_WIDE = 96

export function worldLines(view: PaymentView, frame: Frame): Line[] {
  const { columns } = frame
  const sections: Section[] = []
  const services = Object.entries(view.urls)
  const widest = Math.max(0, ...services.map(([name]) => name.length))
  if (services.length > 0) sections.push(blank(), { rank: columns < NARROW ? 7 : 2, lines: services.map(([name, url], n) => fitLine(labelled(n === 0 ? 'services' : '', [span(cell(name, widest + 2)), span(url, 'title'), ...traffic(view, name)]), columns - 1)) })
  const done = faults(view, frame)
  if (done.length > 0) sections.push(blank(), { rank: 3, lines: done })
  sections.push(blank(), { rank: 4, lines: table(view, columns) })
  sections.push({ rank: 2, lines: counters(view, columns) }, { rank: 1, lines: different(view, columns) })
  return compose(view, story(view), frame, sections)
}

function traffic(view: PaymentView, name: string): Line {
  const link = view.links.get(name)
  if (!link || link.opened === 0) return []
  return [span(`   ${link.opened} requests${link.cut > 0 ? `, ${link.cut} without an answer` : ''}`, 'quiet')]
}

/** Columns keep their place whatever stands in them. */
function table(view: PaymentView, columns: number): Line[] {
  // Where something differs comes first, then the latest.
  const all = [...view.orders.values()].reverse()
  const wrong = new Set(differences(view).map(({ order }) => order))
  const orders = [...all.filter(({ order }) => wrong.has(order)).slice(0, PAYMENTS_SHOWN >> 1), ...all.filter(({ order }) => !wrong.has(order))].slice(0, PAYMENTS_SHOWN)
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
