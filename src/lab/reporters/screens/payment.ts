/**
 * The screen of one payment story: clicks and hops drawn to scale, the path of the payment, how the deadline was spent,
 * and what was told, what the engine believes and what the bank's ledger says, one under the other.
 */
import type { Click, ExchangeLine, HopLine, OrderLine, PaymentLine, PaymentView, Strike } from '../../../engines/payment/view.ts'
import type { Hop } from '../../../engines/payment/view-services.ts'
import { BELIEVED, TOLD, budget, differences, money, standing, story, toldFalse } from '../../../engines/payment/view.ts'
import { chargeState } from '../../../engines/payment/machine.ts'
import { span as length, stamp } from '../../sentence.ts'
import type { Scale } from './lanes.ts'
import { axis, Lane, scaleOf } from './lanes.ts'
import type { Line, Look } from './lines.ts'
import { cell, fitLine, line, lineText, lineWidth, span, wrap } from './lines.ts'
import type { Frame, Section } from './parts.ts'
import { blank, compose, LABEL, labelled, labelledFlow, labelledWrap, MEDIUM, NARROW, short } from './parts.ts'

/** More than this are a crowd: then the table of the world's screen tells more. */
export const STORY_ORDERS = 3
/** Rows of clients, of one order. */
const CLIENTS_SHOWN = 6
const LEDGER_SHOWN = 6

export function paymentLines(view: PaymentView, frame: Frame): Line[] {
  const { columns } = frame
  if (columns < NARROW) return compose(view, story(view), frame, [{ rank: 3, lines: truth(view, columns) }])
  const sections: Section[] = []
  const orders = [...view.orders.values()].slice(-STORY_ORDERS)
  const drawing = drawingOf(view, frame)

  if (orders.length > 0) sections.push(blank(), { rank: 4, lines: [labelled('clicks', [span(axis(drawing.scale), 'quiet')])] })
  for (const order of orders) sections.push({ rank: 4, lines: clients(order, drawing) })
  const payments = [...view.payments.values()].filter((payment) => orders.some((order) => order.order === payment.order))
  for (const payment of payments) {
    sections.push(blank(), { rank: 3, lines: path(payment, columns) }, { rank: 4, lines: hops(payment, drawing) }, { rank: 6, lines: spent(view, payment, columns) })
  }
  if (payments.length === 0 && view.exchanges.size > 0) sections.push(blank(), { rank: 4, lines: exchanges(view, drawing) })
  const faulty = faults(view, frame)
  if (faulty.length > 0) sections.push(blank(), { rank: 6, lines: faulty })
  if (orders.length > 0) sections.push(blank(), { rank: 2, lines: truth(view, columns) })
  return compose(view, story(view), frame, sections)
}

// ── drawn to scale ──────────────────────────────────────────────────────────────────────────────────────────────

interface Drawing {
  scale: Scale
  now: number
  /** Cells right of the drawing; 0 when what is said there goes under it. */
  side: number
  columns: number
}

function drawingOf(view: PaymentView, { columns, now }: Frame): Drawing {
  const side = columns < MEDIUM ? 0 : Math.min(46, Math.max(34, Math.floor(columns * 0.36)))
  const cells = columns - LABEL - (side === 0 ? 1 : side + 2)
  const exchanged = [...view.exchanges.values()]
  const from = view.clicks[0]?.sentAt ?? [...view.payments.values()][0]?.claimedAt ?? exchanged[0]?.openedAt ?? 0
  const live = !view.ended && (view.clicks.some((click) => click.toldAt === null) || exchanged.some((exchange) => exchange.endedAt === null))
  const seen = [
    from,
    ...view.clicks.map((click) => click.toldAt ?? click.sentAt),
    ...[...view.payments.values()].flatMap((payment) => [...payment.hops.map((hop) => hop.endedAt ?? hop.startedAt), ...payment.waits.map((wait) => Math.min(wait.endsAt, now))]),
    ...exchanged.map((exchange) => exchange.endedAt ?? exchange.openedAt),
  ]
  return { scale: scaleOf(from, Math.max(...seen, live ? now : 0), cells), now, side, columns }
}

/** A label, a drawing, and what came of it: beside the drawing, or under it where there is no room. */
function row(label: string, drawn: Line, came: Line, { side, columns }: Drawing, look: Look = 'label'): Line[] {
  const first = labelled(label, drawn, look)
  if (side > 0) return [[...first, span('  '), ...fitLine(came, side)]]
  return lineWidth(came) === 0 ? [first] : [first, fitLine(labelled('', [span('  '), ...came]), columns - 1)]
}

function clients(order: OrderLine, drawing: Drawing): Line[] {
  const names = [...new Set(order.clicks.map((click) => click.client))]
  const lines = names.slice(0, CLIENTS_SHOWN).flatMap((name) => {
    const clicks = order.clicks.filter((click) => click.client === name)
    const lane = new Lane(drawing.scale)
    for (const click of clicks) {
      lane.bracket(click.sentAt, click.toldAt, drawing.now, click.ask === 'pay' ? '─' : '┄', click.told === 'nothing' ? 'doubt' : 'plain')
      for (const strike of click.strikes) lane.mark(strike.t, '×', 'fault')
    }
    const last = clicks.at(-1)!
    const took = last.toldAt === null ? '' : length(last.toldAt - clicks[0]!.sentAt)
    return row(name, lane.spans(), [span(`${cell(took, 7, 'right')}  `, 'quiet'), ...toldSpans(order, last)], drawing)
  })
  if (names.length > CLIENTS_SHOWN) lines.push(labelled('', [span(`and ${names.length - CLIENTS_SHOWN} more clients`, 'quiet')]))
  return lines
}

function toldSpans(order: OrderLine, click: Click, withStatus = true): Line {
  if (click.told === null) return [span('waiting for an answer', 'quiet')]
  if (click.told === 'nothing') return [span(`no answer${click.why ? ` (${click.why})` : click.status ? ` (${click.status})` : ''}`, 'doubt')]
  const words = click.told === 'charged' ? `charged ${money(click.amount, click.currency)}` : TOLD[click.told]
  const status = span(withStatus ? ` (${click.replayed ? 'replayed' : click.status})` : '', 'quiet')
  if (toldFalse(order, click)) return [span(` ${words}: FALSE `, 'loud'), status]
  const look: Look = click.told === 'charged' ? 'good' : click.told === 'pending' || click.told === 'review' ? 'doubt' : 'plain'
  return [span(words, look), status]
}

function path(payment: PaymentLine, columns: number): Line[] {
  const spans = payment.steps.flatMap(({ label, times }, n): Line => {
    const look: Look = label === 'UNKNOWN' || label === 'REVIEW' ? 'doubt' : label === 'charged' ? 'good' : label === 'taken over' ? 'fault' : 'plain'
    return [...(n > 0 ? [span(' > ', 'quiet')] : []), span(times > 1 ? `${label} ×${times}` : label, look)]
  })
  return labelledWrap('payment', spans, columns)
}

function hops(payment: PaymentLine, drawing: Drawing): Line[] {
  const of = (...kinds: string[]) => payment.hops.filter(({ hop }) => kinds.includes(hop))
  const lines: Line[] = []
  const draw = (label: string, list: HopLine[], waiting = false) => {
    if (list.length === 0 && !waiting) return
    const lane = new Lane(drawing.scale)
    if (waiting) {
      for (const wait of payment.waits) lane.bar(wait.startedAt, Math.max(wait.startedAt, Math.min(wait.endsAt, drawing.now)), '░', 'wait')
    }
    for (const hop of list) lane.bar(hop.startedAt, hop.endedAt ?? drawing.now, '█', hop.outcome === 'unknown' ? 'doubt' : 'work')
    const strikes = list.flatMap((hop) => hop.strikes)
    for (const strike of strikes) lane.mark(strike.t, '×', 'fault')
    const named = strikes.length > 0 ? noteStrikes(lane, strikes, drawing) : []
    if (strikes.length === 0 && waiting && payment.waits.length > 0) noteFirst(lane, [payment.waits.at(-1)!.why, 'waits'], 'quiet')
    lines.push(...row(`  ${label}`, lane.spans(), came(list, payment, drawing.now, waiting), drawing), ...named)
  }
  draw('fraud', of('fraud'))
  draw('bank', of('bank'))
  draw('recovery', of('lookup', 'void'), payment.waits.length > 0)
  draw('capture', of('capture'))
  draw('refund', of('refund'))
  draw('notify', of('notify'))
  return lines
}

/** Names what struck, as fully as there is room for: in the row, else on the row that it answers, which goes under it. */
function noteStrikes(lane: Lane, strikes: Strike[], drawing: Drawing): Line[] {
  const last = strikes.at(-1)!
  const name = last.toxicType.replaceAll('_', ' ')
  const more = strikes.length > 1 ? ` (${strikes.length} strikes)` : ''
  if (noteFirst(lane, [`${name}: ${last.action}${more}`, `${name}${more}`, name], 'fault')) return []
  const under = new Lane(drawing.scale)
  if (!under.noteAt(last.t, `× ${name}${more}`, 'fault')) under.noteAt(last.t, `× ${name}`, 'fault')
  return [labelled('', under.spans())]
}

/** The first of `texts` for which there is room, or none. */
function noteFirst(lane: Lane, texts: string[], look: Look): boolean {
  return texts.some((text) => lane.note(text, look))
}

const DONE: Partial<Record<Hop, string>> = { notify: 'receipt delivered', capture: 'captured', refund: 'given back' }

/** What came of the hops of one row. */
function came(list: HopLine[], payment: PaymentLine, now: number, waiting: boolean): Line {
  const last = list.at(-1)
  const wait = payment.waits.at(-1)
  if (waiting && wait && wait.endsAt > now && payment.restedAt === null) return [span(`${cell('', 7)}  `), span(`waits, ${length(wait.endsAt - now)} left`, 'quiet')]
  if (!last) return []
  // The engine's own measure: its words may arrive late.
  const took = span(`${cell(length(last.endedAt === null ? now - last.startedAt : last.ms), 7, 'right')}  `, 'quiet')
  const tries = list.length > 1 ? [span(` (${list.length} tries)`, 'quiet')] : []
  if (last.endedAt === null) return [took, span('under way', 'quiet'), ...tries]
  if (last.outcome !== 'ok') return [took, span(`${last.outcome === 'unknown' ? 'UNKNOWN' : 'failed'}${last.detail ? ` (${last.detail})` : ''}`, 'doubt'), ...tries]
  const well = last.status >= 200 && last.status < 300
  const words = last.learnt || (well ? DONE[last.hop] : undefined) || (last.hop === 'bank' ? (payment.state === 'succeeded' ? 'charged' : payment.state === 'declined' ? 'declined' : '') : '')
  return [took, span(words === '' ? String(last.status) : words), ...tries]
}

/** A stranger's service tells nothing of itself: what crossed the links is drawn instead. */
function exchanges(view: PaymentView, drawing: Drawing): Line[] {
  const all = [...view.exchanges.values()]
  const links = [...new Set(all.map((exchange) => exchange.link))].filter((link) => !link.startsWith('payments'))
  return links.flatMap((link) => {
    const list = all.filter((exchange) => exchange.link === link)
    const lane = new Lane(drawing.scale)
    for (const exchange of list) lane.bar(exchange.openedAt, exchange.endedAt ?? drawing.now, '█', exchange.cut ? 'doubt' : 'work')
    const strikes = list.flatMap((exchange) => exchange.strikes)
    for (const strike of strikes) lane.mark(strike.t, '×', 'fault')
    const named = strikes.length > 0 ? noteStrikes(lane, strikes, drawing) : []
    return [...row(`  ${link}`, lane.spans(), exchanged(list, drawing.now), drawing), ...named]
  })
}

function exchanged(list: ExchangeLine[], now: number): Line {
  const last = list.at(-1)!
  const took = span(`${cell(length((last.endedAt ?? now) - last.openedAt), 7, 'right')}  `, 'quiet')
  const times = span(list.length > 1 ? ` (${list.length} requests)` : '', 'quiet')
  return [took, last.endedAt === null ? span('under way', 'quiet') : last.cut ? span(`no answer: ${last.cut}`, 'doubt') : span(`${last.status}`), times]
}

// ── the deadline ────────────────────────────────────────────────────────────────────────────────────────────────

function spent(view: PaymentView, payment: PaymentLine, columns: number): Line[] {
  if (payment.deadlineMs <= 0) return []
  const { deadlineMs, spentMs, fraudMs, bankMs, recoveryMs } = budget(view, payment)
  const seconds = (ms: number) => (ms / 1000).toFixed(2)
  const over = spentMs > deadlineMs
  const words = `${over ? 'LATE: ' : ''}${seconds(spentMs)} of ${seconds(deadlineMs)} s  fraud ${seconds(fraudMs)}  bank ${seconds(bankMs)}  recovery ${seconds(recoveryMs)}`
  const cells = columns < MEDIUM ? columns - LABEL - 1 : Math.max(10, Math.min(48, columns - LABEL - words.length - 3))
  const used = Math.min(cells, Math.max(1, Math.round((spentMs / deadlineMs) * cells)))
  const bar = [span('▓'.repeat(used), over ? 'bad' : 'work'), span('░'.repeat(cells - used), 'wait')]
  const said = [span(words, over ? 'bad' : 'plain')]
  return columns < MEDIUM ? [labelled('deadline', bar), ...labelledWrap('', said, columns)] : [fitLine(labelled('deadline', [...bar, span('  '), ...said]), columns - 1)]
}

// ── faults ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** Links with toxics, switches, services that died: what is done to the world. */
export function faults(view: PaymentView, frame: Frame): Line[] {
  const told: Line[] = []
  const shown = new Set<string>()
  for (const { link, toxics, up } of view.links.values()) {
    if (!up) told.push(line(span(`${link}  DOWN: connections are refused`, 'fault')))
    for (const { toxic, toxicType, attributes, hits, live } of toxics) {
      const key = frame.switches.find((one) => one.link === link && one.toxic === toxic)
      if (key) shown.add(key.key)
      const settings = Object.entries(attributes).filter(([, value]) => value !== '' && value !== 0).map(([name, value]) => `${name} ${value}`).join(', ')
      const state = hits > 0 ? `struck ${hits === 1 ? 'once' : `${hits} times`}` : live ? 'armed, has not struck' : 'never struck'
      told.push(line(key ? span(`[${key.key}] `, 'title') : '', span(`${link}  × ${toxicType.replaceAll('_', ' ')}`, 'fault'), span(`  ${state}${live ? '' : ', taken away'}`, hits > 0 ? 'plain' : 'doubt'), span(settings ? `   ${settings}` : '', 'quiet')))
    }
  }
  for (const [name, times] of view.lies) {
    const [mock, lie] = name.split(': ') as [string, string]
    told.push(line(span(`${mock}  × lied: ${lie.replaceAll('_', ' ')}`, 'fault'), span(`  ${times === 1 ? 'once' : `${times} times`}`)))
  }
  for (const { node, state, incarnation } of view.nodes.values()) {
    if (state === 'up' && incarnation === 1) continue
    told.push(line(span(`${node}  ${state === 'up' ? `up again, life ${incarnation}` : state.toUpperCase()}`, 'fault')))
  }
  const lines = told.flatMap((one, n) => (frame.columns < MEDIUM ? labelledWrap(n === 0 ? 'faults' : '', one, frame.columns) : [fitLine(labelled(n === 0 ? 'faults' : '', one), frame.columns - 1)]))
  const untouched = frame.switches.filter(({ key }) => !shown.has(key)).map(({ key, label, on }) => line(span(`[${key}] `, 'title'), span(label, on ? 'fault' : 'plain'), span(on === undefined ? '' : on ? '  on' : '  off', 'quiet')))
  return [...lines, ...labelledFlow(lines.length === 0 ? 'faults' : '', untouched, frame.columns)]
}

// ── told, believed, true ────────────────────────────────────────────────────────────────────────────────────────

export function truth(view: PaymentView, columns: number): Line[] {
  const orders = [...view.orders.values()].slice(-STORY_ORDERS)
  const many = orders.length > 1
  const lines: Line[] = []
  for (const order of orders) {
    const groups = new Map<string, { clients: string[]; words: Line }>()
    for (const [client, click] of new Map(order.clicks.map((click) => [click.client, click]))) {
      const words = toldSpans(order, click, false)
      const group = groups.get(lineText(words))
      if (group) group.clients.push(client)
      else groups.set(lineText(words), { clients: [client], words })
    }
    const told = [...groups.values()].map(({ clients, words }): Line => [span(`${clients.length > CLIENTS_SHOWN ? `${clients.length} clients` : clients.join(', ')}: `, 'quiet'), ...words])
    if (told.length > 0) lines.push(...labelledFlow('told', [...(many ? [[span(order.order, 'quiet')]] : []), ...told], columns))
  }
  for (const order of orders) {
    const payment = view.payments.get(order.payment ?? '')
    if (!payment) continue
    const believed = chargeState(payment.state)
    const look: Look = believed === 'charged' ? 'good' : payment.state === 'unknown' || payment.state === 'review' ? 'doubt' : 'plain'
    const tries = payment.hops.filter((hop) => hop.hop === 'bank').length
    const facts = [`epoch ${payment.epoch}`, `${tries} bank ${tries === 1 ? 'request' : 'requests'}`, payment.bankKey ? `bank key ${short(payment.bankKey)}` : '', payment.alarms.length > 0 ? `${payment.alarms.length} alarm${payment.alarms.length === 1 ? '' : 's'}` : ''].filter((fact) => fact !== '')
    lines.push(...labelledFlow('engine', [...(many ? [[span(order.order, 'quiet')]] : []), [span(`${short(payment.payment)} `, 'quiet'), span(BELIEVED[payment.state], look)], ...facts.map((fact) => [span(fact, 'quiet')])], columns))
  }
  lines.push(...ledger(view, orders, columns), ...verdictOnTruth(view, orders, columns))
  return lines
}

function ledger(view: PaymentView, orders: OrderLine[], columns: number): Line[] {
  const stands = orders.reduce((sum, order) => sum + standing(order).length, 0)
  const total = span(`${stands} charge${stands === 1 ? ' stands' : 's stand'}`, stands > orders.length ? 'bad' : 'plain')
  const entries = view.ledger.slice(-LEDGER_SHOWN).map((entry): Line[] => {
    const undone = orders.flatMap((order) => order.charges).find((charge) => charge.charge === entry.id)?.undone
    const look: Look = entry.what === 'charged' ? (undone ? 'quiet' : 'good') : entry.what === 'declined' ? 'plain' : 'quiet'
    const amount = entry.amount === null ? '' : ` ${money(entry.amount, entry.currency)}`
    const facts = [entry.id && short(entry.id), entry.key && `key ${short(entry.key)}`, entry.reason, undone ? `then ${undone}` : ''].filter((fact): fact is string => !!fact)
    return [line(span(`${stamp(entry.t)} `, 'quiet'), span(`${entry.what}${amount}`, look)), ...facts.map((fact) => [span(fact, 'quiet')])]
  })
  if (entries.length === 0) return [labelled("bank's ledger", [span('no entry', 'quiet')])]
  entries.at(-1)!.push([total])
  return entries.flatMap((entry, n) => labelledFlow(n === 0 ? "bank's ledger" : '', entry, columns, 2))
}

/** The loudest line there is, when there is a difference; else that there is none, or not yet. */
function verdictOnTruth(view: PaymentView, orders: OrderLine[], columns: number): Line[] {
  const all = differences(view)
  if (all.length > 0) {
    return all.slice(0, 3).flatMap(({ words }) => wrap(line(span(' ≠ DIFFERENT ', 'loud'), '   ', span(words, 'bad')), columns - 1, LABEL))
  }
  const settled = orders.length > 0 && orders.every((order) => {
    const payment = view.payments.get(order.payment ?? '')
    return order.clicks.every((click) => click.toldAt !== null) && (payment ? payment.restedAt !== null : view.ended)
  })
  if (!settled) return [labelled('', [span(view.ended ? '~ it never settled' : '~ not settled yet', view.ended ? 'doubt' : 'quiet')])]
  const told = orders.some((order) => order.clicks.some((click) => click.told === 'charged' || click.told === 'declined' || click.told === 'not_charged'))
  const who = view.payments.size > 0 ? (told ? 'told, engine and ledger say the same' : 'engine and ledger say the same') : told ? 'told and ledger say the same' : 'nobody was told anything that the ledger denies'
  return labelledWrap('', [span(`= ${who}`, 'good')], columns)
}
