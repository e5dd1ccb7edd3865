// What the life that is cut does: payments one after another, then some at once; a bank that lies now and then; and where it begins.

/** Bytes of the log at which `left` stops filling it: the thousandth page, where SQLite moves the log into the file, falls into the life after it. */
const NEARLY_FULL_BYTES = 950 * 4120

/**
 * | phase     | |
 * |-----------|-|
 * | lies      | told to the bank before it, see mocks/bank.ts |
 * | inTurn    | orders that are paid one after another |
 * | atOnce    | orders that are paid together: their transactions share commits |
 * | fillTo    | pays fill-101, fill-102 ... until the log has so many bytes |
 * | diesAfter | the process kills itself once the bank has heard so many charge requests of this phase |
 */
export const SCRIPTS = {
  /** From nothing: the file is created and migrated, paid with, and closed in order. */
  fresh: {
    life: 1,
    phases: [
      { lies: [{ kind: 'charge_then_reset', after: 1 }], inTurn: ['order-1', 'order-2', 'order-3'] },
      { lies: [{ kind: 'error_500', after: 1 }, { kind: 'charge_then_500', after: 2 }], atOnce: ['order-4', 'order-5', 'order-6'] },
    ],
  },
  /** Not cut itself: a life that ends by a kill, with a log that is nearly full and payments under way. */
  left: {
    life: 1,
    phases: [{ fillTo: NEARLY_FULL_BYTES }, { lies: [{ kind: 'charge_then_reset' }], atOnce: ['left-51', 'left-52', 'left-54'], diesAfter: 2 }],
  },
  /** The life after that one: recovers, pays, meets the full log, and closes. */
  after: {
    life: 2,
    from: 'left',
    phases: [{ inTurn: ['order-11', 'order-12'] }, { lies: [{ kind: 'charge_then_500' }], atOnce: ['order-13', 'order-14', 'order-15'] }],
  },
}

/** The life after one of these that was killed: its clients ask again, all at once, while it recovers. */
for (const script of ['fresh', 'after']) SCRIPTS[`${script} again`] = { life: SCRIPTS[script].life + 1, phases: [{ atOnce: ordersOf(script) }] }

/** The order is paid with a card that the bank declines. */
export const isDeclined = (order) => order.endsWith('3')

/** Orders whose clients ask again after a cut; those that only fill the log rest, and are looked at. */
export function ordersOf(script) {
  if (!script) return []
  const { from, phases } = SCRIPTS[script]
  return [...ordersOf(from), ...phases.flatMap(({ inTurn = [], atOnce = [] }) => [...inTurn, ...atOnce])]
}
