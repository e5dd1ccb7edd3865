// Makes docs/screens/: the dashboard in mid-fault and at its end, at three widths, as text and SVG. `npm run screens`, after a build.
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import { spawn } from 'node-pty'

const root = fileURLToPath(new URL('..', import.meta.url))
const target = join(root, 'docs', 'screens')
mkdirSync(target, { recursive: true })

const plain = stripVTControlCharacters

/** @param {number} columns */
async function capture(columns) {
  const cwd = mkdtempSync(join(tmpdir(), 'resil-screens-'))
  const { CI, NO_COLOR, ...env } = process.env
  const pty = spawn(process.execPath, [join(root, 'bin', 'run.js'), 'pay', '--double-click', '--seed', '7', '--toxic', 'bank:latency=900ms,method=GET'], { name: 'xterm-256color', cols: columns, rows: 44, cwd, env })
  let shown = ''
  let tell = () => {}
  pty.onData((data) => {
    shown += data
    tell()
  })
  const ended = new Promise((resolve) => pty.onExit(resolve))
  /** @param {RegExp} text @param {number} from */
  const shows = (text, from) =>
    new Promise((resolve) => {
      tell = () => text.test(plain(shown.slice(from))) && resolve(undefined)
      tell()
    })
  /** @param {string} moment */
  const save = async (moment) => {
    const saved = shows(/saved /, shown.length)
    pty.write('s')
    await saved
    for (const file of readdirSync(join(cwd, '.resil', 'runs'))) {
      const kind = /\.(txt|svg)$/.exec(file)?.[1]
      if (kind) copyFileSync(join(cwd, '.resil', 'runs', file), join(target, `double-click-${moment}-${columns}.${kind}`))
    }
  }
  await shows(/UNKNOWN \(RESET\)/, 0)
  await save('mid-fault')
  await shows(/the run has ended/, 0)
  await save('end')
  pty.write('q')
  await ended
  rmSync(cwd, { recursive: true, force: true })
}

for (const columns of [60, 100, 160]) {
  await capture(columns)
  console.log(`docs/screens/double-click-{mid-fault,end}-${columns}.{txt,svg}`)
}
