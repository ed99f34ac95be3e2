#!/usr/bin/env node
// npm's solc as the program that forge looks for: asked for its version, then given JSON.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const modules = join(process.env.DRIVEBAY_EVM_MODULES, 'package.json')
const solc = createRequire(modules)('solc')
if (process.argv.includes('--version')) {
  const version = solc.version().replace('Emscripten.clang', 'Linux.g++')
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${version}`)
} else {
  process.stdout.write(solc.compile(readFileSync(0, 'utf8')))
}
