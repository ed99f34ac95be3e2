#!/usr/bin/env node
// The same log through the reference loader and through ours, warm and restored, and every divergence: theirs
// from themselves, and ours from theirs. See README.md.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const args = process.argv.slice(2)
const take = (name, fallback) => {
  const at = args.indexOf(name)
  return at < 0 ? fallback : args.splice(at, 2)[1]
}
const modules = take('--modules', 'modules/aos')
const drivebay = take('--drivebay', 'target/release/drivebay')
const json = args.includes('--json') && Boolean(args.splice(args.indexOf('--json'), 1))
if (args.length === 0) {
  console.error('usage: AO_LOADER=DIR compare.mjs [--modules DIR] [--drivebay PROGRAM] [--json] SPEC.json…')
  process.exit(2)
}

/** Records the specs; fresh: a new instance for each message, from the memory that the last one left. */
function record (out, fresh) {
  const flags = ['--experimental-wasm-memory64', '--no-warnings', join(here, 'record.mjs'), '--modules', modules, '--out', out]
  // Later versions of node know the feature, and not the flag.
  if (Number(process.versions.node.split('.')[0]) >= 24) flags.shift()
  execFileSync(process.execPath, [...flags, ...(fresh ? ['--fresh'] : []), ...args], { stdio: ['ignore', 'ignore', 'inherit'] })
}

/** Our answers to the recorded cases, compared with the reference's warm ones. */
function ours (cases, restored) {
  const flags = ['certify', 'golden', cases, '--modules', modules, '--no-memory', '--json', ...(restored ? ['--restored'] : [])]
  const { stdout, stderr, status } = spawnSync(drivebay, flags, { encoding: 'utf8', maxBuffer: 1 << 28 })
  if (status > 1 || status === null) throw new Error(`${drivebay} ${flags.join(' ')}: ${stderr}`)
  return stdout.trim().split('\n').map((line) => JSON.parse(line)).filter((line) => line.Case)
}

const FIELDS = ['Output', 'Messages', 'Spawns', 'Assignments', 'Error', 'GasUsed', 'thrown']
const short = (value) => { const text = JSON.stringify(value) ?? 'undefined'; return text.length > 300 ? text.slice(0, 300) + '…' : text }

/** Where two recordings of one spec differ. */
function between (warm, fresh) {
  const found = []
  warm.results.forEach((one, at) => FIELDS.forEach((field) => {
    const [a, b] = [short(one[field]), short(fresh.results[at][field])]
    if (a !== b) found.push({ message: at, data: warm.messages[at].Data, field, warm: a, restored: b })
  }))
  return found
}

const scratch = mkdtempSync(join(tmpdir(), 'drivebay-compare-'))
try {
  const [warmDir, freshDir] = [join(scratch, 'warm'), join(scratch, 'fresh')]
  record(warmDir, false)
  record(freshDir, true)
  const [ourWarm, ourRestored] = [ours(warmDir, false), ours(warmDir, true)]
  const cases = args.map((file) => {
    const name = `${basename(dirname(file))}/${basename(file, '.json')}`
    const load = (dir) => JSON.parse(readFileSync(join(dir, `${name}.json`), 'utf8'))
    const mine = (all) => all.find((line) => line.Case === name)
    return { name, theirs: between(load(warmDir), load(freshDir)), warm: mine(ourWarm), restored: mine(ourRestored) }
  })
  if (json) console.log(JSON.stringify(cases, null, 2))
  else cases.forEach(print)
  process.exitCode = cases.some(({ warm, restored }) => !warm.Passed || !restored.Passed) ? 1 : 0
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

function print ({ name, theirs, warm, restored }) {
  console.log(name)
  console.log(`  the reference against itself, warm and restored: ${theirs.length} divergences`)
  for (const { message, data, field, warm, restored } of theirs) {
    console.log(`    message ${message} (${data}), ${field}\n      warm     ${warm}\n      restored ${restored}`)
  }
  for (const [how, line] of [['warm', warm], ['restored', restored]]) {
    const skipped = line.Skipped ? `, skipped: ${line.Skipped}` : ''
    console.log(`  ours, ${how}, against the reference, warm: ${line['Replies-Equal']}/${line.Replies} replies equal${skipped}`)
    line.Differences.forEach((text) => console.log(`    ${text}`))
  }
}
