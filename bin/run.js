#!/usr/bin/env node
import module from 'node:module'

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19) || major === 21 || (major === 22 && minor < 14)) {
  console.error(`resil needs Node 20.19 or later, or 22.14 or later; this is ${process.version}`)
  process.exit(2)
}
module.enableCompileCache?.() // from Node 22.1 on: a fifth of the start
process.env.NODE_ENV ??= 'production' // oclif warns and looks for sources otherwise

const { main } = await import('../dist/commands/main.js')
process.exit(await main(process.argv.slice(2), import.meta.url))
