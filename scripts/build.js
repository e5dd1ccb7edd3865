// Makes dist/ and oclif.manifest.json. `npm run build`, and through `prepare` also `npm ci`.
//
//   folders ──> src/catalog.ts ──tsc──┐
//   src/**/*.sql ─────────────────────┼──> a folder aside ──> dist/ (file by file, whole files only) ──> oclif.manifest.json
//   screen.tsx, ink, react ──esbuild──┘
//
// A process that runs from dist/ meanwhile sees each file old or new, never half of one.
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { catalogText } from './catalog.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = join(root, 'dist')
const screens = join('lab', 'reporters', 'screens')

/** Whole or not at all; untouched when nothing changed. @param {string} path @param {string | Buffer} content */
function put(path, content) {
  if (existsSync(path) && readFileSync(path).equals(Buffer.from(content))) return
  mkdirSync(dirname(path), { recursive: true })
  const aside = `${path}.${process.pid}.tmp`
  writeFileSync(aside, content)
  renameSync(aside, path)
}

/** Paths of all files below, relative. @param {string} folder @returns {string[]} */
function filesBelow(folder) {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
}

/** @param {string} out @returns {boolean} whether the types are right; JavaScript is written either way */
function compile(out) {
  const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc')
  // No source maps: what they would point to is not in the package, and tsc keeps the lines.
  return spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.json'), '--outDir', out, '--sourceMap', 'false'], { cwd: root, stdio: 'inherit' }).status === 0
}

/** One file with Ink and React in it: drawn twice as fast as from 400 modules, and neither is installed with resil. @param {string} out */
async function bundleScreens(out) {
  rmSync(join(out, screens), { recursive: true, force: true })
  const entry = join(root, 'src', screens, 'screen.tsx')
  if (!existsSync(entry)) return
  const { build } = await import('esbuild')
  await build({
    entryPoints: [entry],
    outfile: join(out, screens, 'screen.js'),
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"production"', 'process.env.DEV': '"false"' },
    alias: { 'react-devtools-core': join(root, 'scripts', 'empty.js') },
    banner: { js: `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);` },
    legalComments: 'none',
    logLevel: 'warning',
  })
}

/** A flag that is a story says what its scenario says: here it may be loaded, at a start of resil that would cost too much. */
async function tellStories({ flags }, loaders) {
  for (const [name, load] of Object.entries(loaders)) if (Object.hasOwn(flags, name)) flags[name].summary = (await load()).summary
}

async function writeManifest() {
  const { Plugin, settings } = await import('@oclif/core')
  // oclif would run the sources, through a compiler interface that TypeScript 7 does not have.
  settings.enableAutoTranspile = false
  const plugin = new Plugin({ root, type: 'core', ignoreManifest: true, errorOnManifestCreate: true, respectNoCacheDefault: true })
  await plugin.load()
  const { scenarios } = await import(join(dist, 'catalog.js'))
  await tellStories(plugin.manifest.commands.pay, scenarios.payment)
  await tellStories(plugin.manifest.commands.webhook, scenarios.webhook)
  put(join(root, 'oclif.manifest.json'), `${JSON.stringify(plugin.manifest, null, 2)}\n`)
}

put(join(root, 'src', 'catalog.ts'), catalogText(root))
mkdirSync(join(root, 'node_modules', '.cache'), { recursive: true })
const aside = mkdtempSync(join(root, 'node_modules', '.cache', 'resil-build-'))
let typesRight = false
try {
  typesRight = compile(aside)
  await bundleScreens(aside)
  for (const file of filesBelow(join(root, 'src')).filter((file) => file.endsWith('.sql'))) cpSync(join(root, 'src', file), join(aside, file))
  const fresh = new Set(filesBelow(aside))
  for (const file of fresh) put(join(dist, file), readFileSync(join(aside, file)))
  for (const file of filesBelow(dist)) {
    if (!fresh.has(file) && !file.endsWith('.tmp')) rmSync(join(dist, file), { force: true })
  }
} finally {
  rmSync(aside, { recursive: true, force: true })
}
chmodSync(join(root, 'bin', 'run.js'), 0o755)
await writeManifest()
if (!typesRight) {
  console.error('build: dist/ is written, but the types above are wrong')
  process.exitCode = 1
}
