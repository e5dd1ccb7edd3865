/**
 * The live screen: an alternate screen of the terminal on which the view is drawn while the run goes on. The only door to Ink;
 * loaded only on a terminal. It never writes to the run: keys are given by the host, and what they do is the host's.
 */
import { Box, type Key, render, useApp, useInput } from 'ink'
import { useEffect, useReducer, useRef, useState } from 'react'
import type { Cancel, Clock } from '../../../clock.ts'
import type { Sink } from '../../../events.ts'
import { redacted } from '../../../secrets.ts'
import type { Layout, Reel } from './drawing.ts'
import { reels } from './drawing.ts'
import type { Line } from './lines.ts'
import { fitLine, span, toText, wrap } from './lines.ts'
import { rule } from './parts.ts'
import type { Frame } from './parts.ts'
import { Picture } from './picture.tsx'
import { toSvg } from './svg.ts'

export interface ScreenKey {
  /** What it does, for the help and the record. */
  label: string
  /** For the switch of a fault: the rule by its link and its own name. */
  fault?: { link: string; toxic: string }
  press(): void
  /** For a switch: whether it is on. */
  on?(): boolean
}

export interface ScreenHost {
  out: NodeJS.WriteStream
  input: NodeJS.ReadStream
  colour: boolean
  title: string
  /** `story` when absent. */
  layout?: Layout
  subscribe(sink: Sink): () => void
  /** Extra keys: one character each, `←` and `→` among them, asked for at each picture. `q`, `?` and `s` are the screen's own. */
  keys: Record<string, ScreenKey>
  /** Writes a file; answers its path. May throw: the reader is told. */
  save(kind: 'txt' | 'svg', content: string): string
  /** Resolves when the run has ended; never rejects. */
  ended: Promise<void>
  /** How long the finished screen stays when no key is touched, ms; at 0 it leaves at once, whatever was touched. */
  lingerMs: number
  clock: Clock
  /** Aborts when the screen must go: the terminal is gone, or the process was told to end. */
  signal: AbortSignal
}

export type Left = 'left' | 'interrupted'

/** Most pictures a second. */
const FRAMES_PER_SECOND = 15
/** Between two pictures while nothing happens but time, ms. */
const IDLE_MS = 250
/** How long a notice stays, ms. */
const NOTICE_MS = 4000
/** More characters than that in one piece were pasted, and are not keys. */
const MOST_KEYS_AT_ONCE = 16

const ENTER = '\u001b[?1049h\u001b[2J\u001b[H\u001b[?25l'
const LEAVE = '\u001b[?25h\u001b[?1049l'
const CLEAR = '\u001b[2J\u001b[H'

/** What the screen draws from: what was heard, the time of the run, and when to draw again. */
export class Feed {
  readonly host: Pick<ScreenHost, 'clock' | 'subscribe'>
  readonly reel: Reel
  /** Whether `ended` has resolved. */
  over = false
  #redraw: (() => void) | undefined
  #planned: Cancel | undefined
  #heardAt: number
  readonly #unsubscribe: () => void

  constructor(host: Pick<ScreenHost, 'clock' | 'subscribe' | 'ended' | 'layout'>) {
    this.host = host
    this.reel = reels[host.layout ?? 'story']()
    this.#heardAt = host.clock.monotonic()
    this.#unsubscribe = host.subscribe((event) => {
      const before = this.reel.ms
      this.reel.tell(event)
      if (this.reel.ms !== before) this.#heardAt = host.clock.monotonic()
      this.#soon()
    })
    void host.ended.then(() => {
      this.over = true
      this.#soon()
    })
  }

  /** ms of the run, now: of the latest event, and in real time what has passed since. */
  get now(): number {
    const { ms, runs } = this.reel
    return this.over || !runs ? ms : ms + Math.max(0, this.host.clock.monotonic() - this.#heardAt)
  }

  /** Calls `redraw` after changes and as time passes, at most FRAMES_PER_SECOND times a second. The answer ends it. */
  watch(redraw: () => void): () => void {
    this.#redraw = redraw
    const stopIdle = this.#every(IDLE_MS, redraw)
    return () => {
      this.#redraw = undefined
      this.#planned?.()
      this.#planned = undefined
      stopIdle()
    }
  }

  close(): void {
    this.#unsubscribe()
    this.#planned?.()
  }

  #soon(): void {
    if (!this.#redraw || this.#planned) return
    this.#planned = this.host.clock.after(1000 / FRAMES_PER_SECOND, () => {
      this.#planned = undefined
      this.#redraw?.()
    })
  }

  #every(ms: number, run: () => void): () => void {
    let cancel: Cancel = () => {}
    const again = () => {
      cancel = this.host.clock.after(ms, () => {
        run()
        again()
      })
    }
    again()
    return () => cancel()
  }
}

interface Size {
  columns: number
  rows: number
}

export interface AppProps {
  host: Omit<ScreenHost, 'out' | 'input' | 'subscribe' | 'ended' | 'signal' | 'signal'>
  feed: Feed
  /** Measured at each picture. */
  size(): Size
  leave(how: Left): void
}

export function App({ host, feed, size, leave }: AppProps) {
  const { exit } = useApp()
  const [, redraw] = useReducer((n: number) => n + 1, 0)
  const [walk, setWalk] = useState<number | null>(null)
  const [help, setHelp] = useState(false)
  const [notice, setNotice] = useState<{ text: string; until: number } | null>(null)
  const [touched, setTouched] = useState(false)
  const [overAt, setOverAt] = useState<number | null>(null)

  useEffect(() => feed.watch(redraw), [feed])

  const { clock } = host
  const now = clock.monotonic()
  const go = (how: Left) => {
    leave(how)
    exit()
  }
  const leaveInMs = overAt === null || (touched && host.lingerMs > 0) ? null : overAt + host.lingerMs - now
  useEffect(() => {
    if (feed.over && overAt === null) setOverAt(clock.monotonic())
    else if (leaveInMs !== null && leaveInMs <= 0) go('left')
  })

  const { columns, rows } = size()
  const hint = hintOf(host, { walk, notice: notice && notice.until > now ? notice.text : '', leaveInMs, over: feed.over })
  const switches = Object.entries(host.keys).flatMap(([key, { label, fault, on }]) => (fault ? [{ key, label, ...fault, on: on?.() }] : []))
  const frame: Frame = { columns, rows, title: host.title, now: feed.now, walk, hint, switches }
  const { reel } = feed
  const lines = help ? helpLines(reel, frame, host.keys) : reel.lines(frame)

  // A key may come between a picture and the moment when React hands the keys over to it.
  const shown = useRef(lines)
  shown.current = lines
  const helping = useRef(false)
  const showHelp = (on: boolean) => {
    helping.current = on
    setHelp(on)
  }

  const step = (by: number) => {
    const { events } = reel
    const at = walk === null ? events.length : events.findIndex((event) => event.seq === walk)
    setWalk(events[Math.min(events.length - 1, Math.max(0, at + by))]?.seq ?? null)
  }
  const say = (text: string) => setNotice({ text, until: clock.monotonic() + NOTICE_MS })
  const save = () => {
    try {
      say(`saved ${host.save('txt', redacted(toText(shown.current)))} and ${host.save('svg', redacted(toSvg(shown.current, host.title)))}`)
    } catch (error) {
      say(`not saved: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  const pressed = (input: string, key: Key) => {
    if (key.ctrl && input === 'c') return go('interrupted')
    setTouched(true)
    if (helping.current && input !== 'q') return showHelp(false)
    if (input === 'q') return go('left')
    if (input === '?') return showHelp(true)
    if (input === 's') return save()
    if (key.escape) return setWalk(null)
    const sign = key.leftArrow ? '←' : key.rightArrow ? '→' : input
    const given = Object.hasOwn(host.keys, sign) ? host.keys[sign] : undefined
    if (given) {
      given.press()
      return say(`${sign}: ${given.label}`)
    }
    if (key.upArrow || key.leftArrow) return step(-1)
    if (key.downArrow || key.rightArrow) return step(1)
    if (key.pageUp) return step(-10)
    if (key.pageDown) return step(10)
  }
  useInput((input, key) => {
    // Keys that were pressed one after another while a picture was drawn arrive as one text.
    const together = input === '' ? [''] : [...input]
    if (together.length <= MOST_KEYS_AT_ONCE) for (const one of together) pressed(one, key)
  })

  return (
    <Box flexDirection="column" width="100%">
      <Picture lines={lines} colour={host.colour} />
    </Box>
  )
}

function hintOf(host: AppProps['host'], { walk, notice, leaveInMs, over }: { walk: number | null; notice: string; leaveInMs: number | null; over: boolean }): Line {
  if (notice) return [span(notice, 'title')]
  if (leaveInMs !== null) return [span(`closing in ${Math.max(0, Math.ceil(leaveInMs / 1000))} s, any key keeps it open`, 'title')]
  const letters = Object.entries(host.keys).filter(([, { fault }]) => !fault).map(([key, { label }]) => `${key} ${label}`)
  const own = walk === null ? ['↑↓ events'] : ['↑↓ events', 'esc back']
  return [span([over ? 'the run has ended' : '', '? keys', 'q leave', ...own, ...(over ? [] : letters)].filter((part) => part !== '').join('   '), 'quiet')]
}

/** Where the signs of the legend begin. */
const LEGEND_INDENT = 3

function helpLines(reel: Reel, frame: Frame, keys: ScreenHost['keys']): Line[] {
  const all: [string, string][] = [
    ['q', reel.words.leave],
    ['?', 'this help; any key closes it'],
    ['↑ ↓', 'walk the events one by one; page up and down by ten; esc goes back'],
    ['s', 'save what is shown, as text and as SVG'],
    ...Object.entries(keys).map(([key, { label, fault }]): [string, string] => [key, fault ? `switch the fault ${label} on and off` : label]),
    ['Ctrl-C', reel.words.interrupt],
  ]
  return [...reel.head(frame), rule(frame.columns), ...all.map(([key, does]): Line => [span(`   ${key.padEnd(8)}`, 'title'), span(does)]), [span(' ')], ...reel.legend.flatMap((one) => wrap(one, frame.columns, LEGEND_INDENT))].slice(0, Math.max(1, frame.rows - 1)).map((one) => fitLine(one, frame.columns))
}

/**
 * Shows the run until the reader leaves, or until it has ended and nobody touched a key for `lingerMs`.
 * The terminal is given back as it was on every way out, also when this throws or the process ends.
 */
export async function showScreen(host: ScreenHost): Promise<Left> {
  const { out, input } = host
  // Before anything else: no event may be missed.
  const feed = new Feed(host)
  let left: Left = 'left'
  let entered = false
  const restore = () => {
    if (!entered) return
    entered = false
    out.write(LEAVE)
  }
  process.once('exit', restore)
  const size = () => ({ columns: out.columns || 80, rows: out.rows || 24 })
  let clear = () => {}
  const onResize = () => {
    out.write(CLEAR)
    clear()
  }
  try {
    entered = true
    out.write(ENTER)
    const app = render(<App host={host} feed={feed} size={size} leave={(how) => (left = how)} />, { stdout: out, stdin: input, exitOnCtrlC: false, patchConsole: false, maxFps: FRAMES_PER_SECOND })
    clear = app.clear
    // Before Ink's own listener: it would draw the old picture at the new width.
    out.prependListener('resize', onResize)
    const go = () => app.unmount()
    host.signal.addEventListener('abort', go, { once: true })
    if (host.signal.aborted) go()
    try {
      await app.waitUntilExit()
    } finally {
      host.signal.removeEventListener('abort', go)
      app.unmount()
    }
    return left
  } finally {
    out.off('resize', onResize)
    feed.close()
    restore()
    process.off('exit', restore)
  }
}
