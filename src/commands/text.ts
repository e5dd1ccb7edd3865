/** Text for terminals: plain tables. */

/**
 * Rows as lines, columns two spaces apart, nothing after the last word. A cell of several lines (an array) makes its row as high as itself.
 * Widths are counted in UTF-16 units: right for all that resil names itself.
 */
export function table(rows: readonly (readonly (string | readonly string[])[])[]): string[] {
  const cells = rows.map((row) => row.map((cell) => (typeof cell === 'string' ? [cell] : cell)))
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => Math.max(0, ...(row[column] ?? []).map((line) => line.length)))))
  return cells.flatMap((row) => {
    const height = Math.max(1, ...row.map((cell) => cell.length))
    return Array.from({ length: height }, (_, line) => row.map((cell, column) => (cell[line] ?? '').padEnd(widths[column] ?? 0)).join('  ').trimEnd())
  })
}
