#!/usr/bin/env node
// Records cases: runs messages through the reference loader and writes what it answers. See README.md.
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'

const PROGRAM = '/usr/app/src/effects/worker/evaluator/index.js'
const FIELDS = ['Output', 'Messages', 'Spawns', 'Assignments', 'Patches', 'Error', 'GasUsed']
const NO_MEMORY = 'not enough memory for buffer allocation'
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')

// ---- command line
const args = process.argv.slice(2)
const take = (name, fallback) => {
  const at = args.indexOf(name)
  return at < 0 ? fallback : args.splice(at, 2)[1]
}
const flag = (name) => args.includes(name) && Boolean(args.splice(args.indexOf(name), 1))
const modulesDir = take('--modules', '.')
const outDir = take('--out', 'cases')
const chunks = flag('--chunks')
const freshEach = flag('--fresh')

// ---- the conditions of a recording
process.env.TZ = 'UTC'
const zeros = (view) => (new Uint8Array(view.buffer, view.byteOffset, view.byteLength).fill(0), view)
const crypto = { getRandomValues: zeros, randomBytes: (n) => Buffer.alloc(n) }
Object.defineProperty(globalThis, 'crypto', { value: crypto, configurable: true })
const require = createRequire(join(process.env.AO_LOADER ?? process.cwd(), 'x.js'))
require('node:crypto').randomFillSync = zeros
require('node:crypto').webcrypto.getRandomValues = zeros
// One format of the reference hands os.execute() to a shell. Nothing here ever does.
require('node:child_process').spawnSync = () => { throw new Error('no shell in a recording') }
process.argv.splice(1, Infinity, PROGRAM)
process.on('uncaughtException', () => {})
process.on('unhandledRejection', () => {})
const say = console.log.bind(console)
const printed = []
for (const how of ['log', 'warn', 'error']) console[how] = (...parts) => { printed.push(parts.join(' ')); return null }
const AoLoader = require('@permaweb/ao-loader')

function moduleIndex (dir, found = new Map()) {
  for (const name of readdirSync(dir)) {
    const path = join(dir, name)
    if (statSync(path).isDirectory()) moduleIndex(path, found)
    else if (name.endsWith('.wasm')) found.set(sha256(readFileSync(path)), path)
  }
  return found
}

function thrown (error) {
  if (error instanceof Error) return { kind: 'Error', name: error.name, message: error.message }
  // What exit() throws is an object of the loader's own, and no value of the module.
  if (error?.name === 'ExitStatus') return { kind: 'Error', name: error.name, message: error.message }
  return { kind: 'value', value: error }
}

/** Hashes of a memory: whole, and of each MiB if asked for. */
function hashes (memory) {
  const result = { memory_sha256: sha256(memory), memory_len: memory.length }
  if (!chunks) return result
  const parts = []
  for (let at = 0; at < memory.length; at += 1 << 20) parts.push(sha256(memory.subarray(at, at + (1 << 20))).slice(0, 8))
  return { ...result, memory_chunks_1mib: parts.join(' ') }
}

/** The rule of the reference CU for the next message's memory. */
function advances ({ Error: error, Output: output }) {
  const text = typeof output === 'string' ? output : output?.data?.output
  return !error && !(typeof text === 'string' && text.endsWith(NO_MEMORY))
}

async function record (spec, bytes) {
  const start = () => AoLoader(Buffer.from(bytes), { format: spec.format, ...spec.options })
  const results = []
  let handle = null
  let memory = null
  for (const message of spec.messages) {
    if (process.env.PROGRESS) process.stderr.write(`${spec.messages.indexOf(message)} ${String(message.Data).slice(0, 60)}\n`)
    printed.length = 0
    let result
    try {
      if (freshEach) handle = null
      handle ??= await start()
      const reply = await handle(memory, message, spec.env)
      const next = advances(reply)
      result = Object.fromEntries(FIELDS.map((key) => [key, reply[key]]))
      Object.assign(result, hashes(reply.Memory), { next_memory: next ? 'returned' : 'previous' })
      if (next) memory = reply.Memory
      if (reply.Error) handle = null
    } catch (error) {
      result = { thrown: thrown(error), next_memory: 'previous' }
      handle = null
    }
    if (printed.length) result.console = [...printed]
    results.push(result)
  }
  return results
}

let bad = 0
const modules = moduleIndex(modulesDir)
for (const file of args) {
  const spec = JSON.parse(readFileSync(file, 'utf8'))
  const path = modules.get(spec.module_sha256)
  if (!path) { say(`${file}: no module ${spec.module_sha256} in ${modulesDir}`); bad = 1; continue }
  const { env, messages, ...head } = spec
  const results = await record({ options: {}, ...spec }, readFileSync(path))
  const out = join(outDir, basename(dirname(file)), basename(file))
  mkdirSync(dirname(out), { recursive: true })
  const about = {
    ...head, options: spec.options ?? {}, loader: '@permaweb/ao-loader@0.0.49', node: process.version, arch: process.arch,
    this_program: PROGRAM, argv_rest: [], tz: 'UTC', urandom: 'zeros'
  }
  writeFileSync(out, JSON.stringify({ ...about, env, messages, results }) + '\n')
  const faults = results.filter((r) => r.thrown).length
  say(`${out}: ${results.length} messages, ${faults} thrown, ${results.filter((r) => r.Error).length} errors`)
}
process.exit(bad)
