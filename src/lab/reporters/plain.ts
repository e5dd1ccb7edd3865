import type { Event } from '../../events.ts'
import { visible, visibleCopy } from '../../visible.ts'
import type { Ending, Reporter } from '../reporter.ts'
import { Witnesses } from '../reporter.ts'
import { sentence, stamp } from '../sentence.ts'
import { Crowd } from '../crowd.ts'
import { WebhookCrowd } from '../webhook-crowd.ts'

/** What a reader of plain lines is spared: said by another line, or only interesting when something went wrong. */
const SPARED = new Set(['exchange.opened', 'exchange.answered', 'exchange.cut', 'hop.started', 'run.ended'])

/** Wide enough for `notification`. */
const WHO_WIDTH = 12
/** Under this a line is folded no more: it would be all margin. */
const NARROWEST = 40
const MARGIN = '  '

/** One line for each thing that happened (of many customers, for what happened to all), then what it came to. For logs, pipes and screens that cannot draw. */
export const reporter: Reporter = {
  summary: 'one human line for each thing that happened, then the verdict; for logs and pipes',
  open({ write, columns }) {
    const witnesses = new Witnesses()
    const crowd = new Crowd()
    const webhooks = new WebhookCrowd()
    let ended = false
    let cut = 0
    return {
      event(event) {
        witnesses.on(event)
        if (event.type === 'run.ended') {
          ended = true
          write(`\n${finalBlock(event as Event & Ending, (seq) => witnesses.get(seq), columns).join('\n')}\n`)
          return
        }
        cut = event.t
        const tell = (said: string | undefined) => said !== undefined && write(`${folded(said, ' '.repeat(stamp(event.t).length + 3 + WHO_WIDTH), columns).join('\n')}\n`)
        for (const { t, who, what } of [...crowd.on(event), ...webhooks.on(event)]) tell(`${stamp(t)}  ${who.padEnd(WHO_WIDTH)} ${what}`)
        if (!SPARED.has(event.type) && !crowd.drowns(event) && !webhooks.drowns(event)) tell(plainLine(witnesses.named(event)))
      },
      end() {
        if (!ended) write(`\n${MARGIN}CUT SHORT at ${stamp(cut)}: there is no verdict.\n`)
      },
    }
  },
}

/** `00:00.353 bank         CHARGED $99.00, ch_1, key bk_8q2`, or undefined for what has no sentence. */
export function plainLine(event: Event): string | undefined {
  const said = sentence(event)
  return said && `${stamp(event.t)}  ${said.who.padEnd(WHO_WIDTH)} ${said.what}`
}

/**
 * What a run came to, as lines without colour: the story, the invariants with what each looked at, violations with the events that show them,
 * faults that never happened, the seed and the line that makes the run again. Lines are folded at `columns`.
 */
export function finalBlock(event: Ending, quote: (seq: number) => Event | undefined, columns?: number): string[] {
  const { verdict, story, findings, unfired, seed } = visibleCopy(event)
  const lines: string[] = []
  const say = (text: string, indent = '') => lines.push(...folded(`${MARGIN}${text}`, MARGIN + indent, columns))

  say(`${String(verdict).toUpperCase()}  ${story}`, ' '.repeat(String(verdict).length + 2))
  lines.push('')
  const widest = Math.max(0, ...findings.map(({ invariant }) => invariant.length))
  for (const kind of ['violated', 'undecided', 'held'] as const) {
    for (const finding of findings) {
      if (finding.verdict !== kind) continue
      say(`${kind.padEnd(9)}  ${finding.invariant.padEnd(widest)}  ${finding.looked}`.trimEnd(), ' '.repeat(13 + widest))
      for (const { why, witness } of finding.violations) {
        say(`${' '.repeat(11)}${why}`, ' '.repeat(11))
        for (const seq of witness) {
          const seen = quote(seq)
          say(`${' '.repeat(13)}#${seq}  ${(seen && plainLine(seen)) ?? '(no longer remembered: see the recording)'}`, ' '.repeat(19))
        }
      }
    }
  }
  if (unfired.length > 0) {
    lines.push('')
    say(`never happened: ${unfired.join(', ')}: a fault that does not strike proves nothing`)
  }
  lines.push('')
  say(`seed ${seed}`)
  // Not folded: it is there to be copied.
  lines.push(`${MARGIN}again: ${visible(event.again)}`)
  return lines
}

/** The text on lines of at most `columns`, broken between words; later lines begin with `indent`. A word longer than a line is broken. */
function folded(text: string, indent: string, columns?: number): string[] {
  if (columns === undefined || columns < NARROWEST || text.length <= columns) return [text]
  const room = indent.length < columns / 2 ? indent : MARGIN
  const lines: string[] = []
  let rest = text
  let from = 0
  while (rest.length > columns) {
    const space = rest.lastIndexOf(' ', columns)
    const at = space > from ? space : columns
    lines.push(rest.slice(0, at).trimEnd())
    rest = room + rest.slice(at).trimStart()
    from = room.length
  }
  return [...lines, rest]
}
