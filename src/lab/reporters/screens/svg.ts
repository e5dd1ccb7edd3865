/** The screen as a picture: the same lines, each span at its column, in the colours of a dark terminal. */
import type { Line, Look } from './lines.ts'
import { lineWidth, width } from './lines.ts'

const CELL_W = 8.4
const CELL_H = 18
const MARGIN = 16

const INK: Record<Look, string> = {
  plain: '#d4d4d8', title: '#ffffff', label: '#93c5fd', quiet: '#9ca3af', good: '#4ade80', bad: '#f87171', loud: '#ffffff',
  doubt: '#facc15', fault: '#e879f9', work: '#38bdf8', wait: '#6b7280', chosen: '#ffffff',
}

/** Well-formed SVG 1.1, with nothing in it that is loaded from elsewhere. */
export function toSvg(lines: readonly Line[], title: string): string {
  const columns = Math.max(1, ...lines.map(lineWidth))
  const w = Math.ceil(columns * CELL_W + 2 * MARGIN)
  const h = lines.length * CELL_H + 2 * MARGIN
  const body = lines.flatMap((line, row) => {
    let column = 0
    return line.flatMap(({ text, look }) => {
      const x = MARGIN + column * CELL_W
      const size = width(text) * CELL_W
      column += width(text)
      const words = text.trim()
      if (words === '') return []
      const y = MARGIN + row * CELL_H
      const from = x + (text.length - text.trimStart().length) * CELL_W
      const behind = look === 'loud' ? `<rect x="${n(x)}" y="${n(y)}" width="${n(size)}" height="${CELL_H}" fill="#b91c1c"/>` : ''
      const weight = look === 'title' || look === 'loud' || look === 'chosen' ? ' font-weight="bold"' : ''
      return `${behind}<text x="${n(from)}" y="${n(y + 13.5)}" fill="${INK[look]}"${weight} textLength="${n(width(words) * CELL_W)}" lengthAdjust="spacingAndGlyphs">${escaped(words)}</text>`
    })
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h}" viewBox="0 0 ${w} ${h}" font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14" xml:space="preserve">
<title>${escaped(title)}</title>
<rect width="${w}" height="${h}" fill="#18181b"/>
${body.join('\n')}
</svg>
`
}

const n = (value: number) => String(Math.round(value * 100) / 100)

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
