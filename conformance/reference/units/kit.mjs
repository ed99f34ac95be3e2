// What the scripts share: our units and the reference's as programs, a log of an aos process, and their bill.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../../..', import.meta.url))
const require = createRequire(join(root, 'tests/clients/package.json'))
const { ArweaveSigner, EthereumSigner, createData } = require('@dha-team/arbundles')

export const dir = mkdtempSync(join(tmpdir(), 'drivebay-reference-'))
const children = []
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(dir, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(130))

export const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms))

function start(program, args, options) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
  child.said = ''
  const keep = (data) => { child.said = (child.said + data).slice(-20_000) }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  children.push(child)
  return child
}

async function until(what, child, ready) {
  for (let n = 0; n < 600; n += 1) {
    if (child.exitCode !== null) throw new Error(`${what} ended:\n${child.said}`)
    const value = await ready().catch(() => undefined)
    if (value !== undefined) return value
    await sleep(100)
  }
  throw new Error(`${what} does not start:\n${child.said}`)
}

const freePort = () => new Promise((found) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address()
    server.close(() => found(port))
  })
})

// Our units: `drivebay ARGS --json --port 0`.
export async function drivebay(name, ...args) {
  const child = start(process.env.DRIVEBAY, ['--data', join(dir, name), ...args, '--json', '--port', '0'], { cwd: dir })
  const about = await until(`drivebay ${args[0]}`, child, async () => JSON.parse(child.said.split('\n').find((line) => line.startsWith('{"'))))
  return { child, ...about }
}

// The reference compute unit on our scheduler and gateway.
export async function reference(units) {
  const { generateKeyPairSync } = await import('node:crypto')
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 65537 })
  const wallet = join(dir, 'reference-wallet.json')
  writeFileSync(wallet, JSON.stringify(privateKey.export({ format: 'jwk' })))
  const port = await freePort()
  const env = {
    PATH: process.env.PATH,
    HOME: dir,
    NODE_CONFIG_ENV: 'development',
    PORT: String(port),
    WALLET_FILE: wallet,
    GATEWAY_URL: units.gateway,
    ARWEAVE_URL: units.gateway,
    GRAPHQL_URL: `${units.gateway}/graphql`,
    CHECKPOINT_GRAPHQL_URL: `${units.gateway}/graphql`,
    UPLOADER_URL: units.gateway,
    DB_URL: join(dir, 'reference.sqlite'),
    PROCESS_MEMORY_CACHE_FILE_DIR: dir,
    PROCESS_CHECKPOINT_FILE_DIRECTORY: dir,
    PROCESS_MEMORY_FILE_CHECKPOINTS_DIR: dir,
    DEFAULT_LOG_LEVEL: 'error',
    RATE_LIMIT_MAX_REQUESTS: '1000000',
    WASM_EVALUATION_MAX_WORKERS: '2',
    BUSY_THRESHOLD: '0',
    HYDRATION_MODE_NONCE_LIMIT: '1000000',
    DRIVEBAY_UNITS: JSON.stringify(units),
  }
  // Its look-up of schedulers asks a host of the network first, as aoconnect's does.
  const hook = join(root, 'tests/clients/hook.mjs')
  const args = ['--import', hook, '--experimental-wasm-memory64', 'src/app.js']
  const child = start(process.env.NODE22, args, { cwd: process.env.REFERENCE_CU, env })
  const cu = `http://127.0.0.1:${port}`
  await until('the reference', child, async () => ((await fetch(cu)).ok ? true : undefined))
  return { child, cu }
}

// Milliseconds of processor time of a program so far, its threads included.
export function cpuMs(child) {
  const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

const signer = new EthereumSigner(randomBytes(32).toString('hex'))
const common = [{ name: 'Data-Protocol', value: 'ao' }, { name: 'Variant', value: 'ao.TN.1' }]
let sent = 0

async function signed(type, tags, data, target) {
  sent += 1
  const all = [...common, { name: 'Type', value: type }, ...tags, { name: 'Sent', value: String(sent) }]
  const item = createData(data, signer, { tags: all, ...(target ? { target } : {}) })
  await item.sign(signer)
  return item
}

async function post(url, item) {
  const response = await fetch(url, { method: 'POST', body: item.getRaw(), headers: { 'content-type': 'application/octet-stream' } })
  const text = await response.text()
  if (!response.ok) throw new Error(`${url}: ${response.status} ${text}`)
  return item.id
}

// A process of aos 2.0.6, at the scheduler or at the messenger.
export async function aos(units, url) {
  const tags = [
    { name: 'Module', value: units.modules.aos2_0_6 },
    { name: 'Scheduler', value: units.scheduler },
    { name: 'Authority', value: units.authority },
  ]
  return post(url, await signed('Process', tags, ' '))
}

export const message = async (url, target, tags, data) => post(url, await signed('Message', tags, data, target))
export const evaluate = (url, target, code) => message(url, target, [{ name: 'Action', value: 'Eval' }], code)

export async function result(cu, process, id) {
  for (;;) {
    const response = await fetch(`${cu}/result/${id}?process-id=${process}`)
    const json = await response.json()
    // Ours says how far it is; both are asked again.
    if (response.status === 202 || response.status === 503) { await sleep(200); continue }
    return { status: response.status, json }
  }
}

// The process's place must be known to who looks it up in the gateway.
export async function published(units, id) {
  for (let n = 0; n < 300; n += 1) {
    if ((await fetch(`${units.gateway}/${id}`, { method: 'HEAD' })).ok) return
    await sleep(100)
  }
  throw new Error(`${id} does not reach the gateway`)
}
