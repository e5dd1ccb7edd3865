/** Lines as Ink draws them. */
import { Box, Text } from 'ink'
import type { Line, Look } from './lines.ts'

/** Colours by name, so that a terminal's own theme keeps them legible. */
const STYLE: Record<Look, { color?: string; bold?: boolean; dimColor?: boolean; inverse?: boolean; backgroundColor?: string }> = {
  plain: {},
  title: { bold: true },
  label: { color: 'blueBright' },
  quiet: { dimColor: true },
  good: { color: 'green' },
  bad: { color: 'red', bold: true },
  loud: { color: 'whiteBright', backgroundColor: 'red', bold: true },
  doubt: { color: 'yellow' },
  fault: { color: 'magenta' },
  work: { color: 'cyan' },
  wait: { dimColor: true },
  chosen: { bold: true, color: 'cyan' },
}

/** Without colour no code at all is written: every word and glyph says what its colour would. */
export function Picture({ lines, colour }: { lines: readonly Line[]; colour: boolean }) {
  return (
    <Box flexDirection="column" width="100%">
      {lines.map((line, row) => (
        // oxlint-disable-next-line react/no-array-index-key -- a line is its row
        <Text key={row} wrap="truncate">
          {line.length === 0 ? ' ' : line.map((part, n) => (colour ? <Text key={n} {...STYLE[part.look]}>{part.text}</Text> : part.text))}
        </Text>
      ))}
    </Box>
  )
}
