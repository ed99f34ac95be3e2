// The exchanges that ethereum/execution-apis records of a chain, asked of a process that was given that
// chain's transactions: each is held to the class that conformance/execution-apis/list.tsv has for it.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dataSlice, decodeRlp, encodeRlp, keccak256 } from 'ethers'
import { ao, assert, done, ethereumSigner, step, units, until } from './kit.mjs'

const tests = join(process.env.EXECUTION_APIS, 'tests')
const list = process.env.EXECUTION_APIS_LIST
const genesis = JSON.parse(readFileSync(join(tests, 'genesis.json'), 'utf8'))
const hex = (number) => `0x${number.toString(16)}`
// A contract that the genesis has; transactions call it. Here its code is the module's, at another address.
const EMIT = '0x7dcd17433742f4c0ca53122ab541d0ba67fc27df'

// The blocks of the chain: number, hash, and the bytes of each transaction that a process takes.
function blocks() {
  const all = []
  const bytes = readFileSync(join(tests, 'chain.rlp'))
  for (let at = 0; at < bytes.length;) {
    const head = bytes[at]
    const more = head > 0xf7 ? head - 0xf7 : 0
    const size = more ? Number(`0x${bytes.subarray(at + 1, at + 1 + more).toString('hex')}`) : head - 0xc0
    const end = at + 1 + more + size
    const [header, transactions] = decodeRlp(`0x${bytes.subarray(at, end).toString('hex')}`)
    const raws = transactions.map((one) => (typeof one === 'string' ? one : encodeRlp(one)))
    all.push({ number: Number(header[8]), hash: keccak256(encodeRlp(header)), raws })
    at = end
  }
  return all
}

async function spawn() {
  const folder = mkdtempSync(join(tmpdir(), 'clients-apis-'))
  try {
    const env = { ...process.env, GATEWAY_URL: units.gateway, MU_URL: units.mu, CU_URL: units.cu }
    const run = (...words) => {
      return execFileSync(process.env.DRIVEBAY, words, { env, encoding: 'utf8', cwd: folder }).trim()
    }
    writeFileSync(join(folder, 'emit.hex'), genesis.alloc[EMIT.slice(2)].code)
    const kind = ['--format', 'evm-bytecode-osaka-1', '--tag', 'Code-Kind=runtime']
    const module = run('publish', 'emit.hex', ...kind)
    const rich = Object.entries(genesis.alloc).filter(([, { balance, code }]) => !code && balance.length > 9)
    const balances = rich.map(([address, { balance }]) => [`0x${address}`, BigInt(balance).toString()])
    const tags = {
      'Chain-Id': String(genesis.config.chainId),
      Balances: JSON.stringify(Object.fromEntries(balances)),
    }
    const words = Object.entries(tags).flatMap(([name, value]) => ['--tag', `${name}=${value}`])
    return run('spawn', ...words, '--', module)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const pid = await step('a process with the chain’s id and balances', spawn)
const url = `${units.cu}/eth/${pid}`
const post = async (request) => {
  const body = JSON.stringify(request)
  return (await fetch(url, { method: 'POST', body })).json()
}
const ask = async (method, ...params) => {
  const { result, error } = await post({ jsonrpc: '2.0', id: 1, method, params })
  assert.equal(error, undefined, JSON.stringify(error))
  return result
}

// Where a block of the chain is here: the slots of its transactions.
const places = new Map()
await step('its transactions, one a slot, until the first with a blob', async () => {
  const signer = ethereumSigner()
  let slot = 0
  for (const { number, hash, raws } of blocks()) {
    if (raws.some((raw) => raw.startsWith('0x03'))) break
    const first = slot + 1
    for (const data of raws) {
      const tags = [{ name: 'Action', value: 'eth_sendRawTransaction' }]
      await ao.message({ process: pid, signer, tags, data })
      slot += 1
    }
    const place = { first: Math.min(first, slot), last: slot, hash: undefined, firstHash: undefined }
    places.set(hash, place)
    places.set(hex(number), place)
  }
  await until(() => ask('eth_blockNumber'), (number) => Number(number) === slot)
  for (const place of places.values()) {
    const hashOf = async (slot) => (await ask('eth_getBlockByNumber', hex(slot), false)).hash
    place.hash = await hashOf(place.last)
    place.firstHash = await hashOf(place.first)
  }
  const last = await ask('eth_getBlockByNumber', hex(slot), false)
  assert.notEqual(await ask('eth_getTransactionReceipt', last.transactions[0]), null)
})
const home = dataSlice(keccak256(Buffer.from(pid, 'base64url')), 12)

// Which parameter of a method is a block.
const BLOCK_AT = {
  eth_getBalance: 1, eth_getCode: 1, eth_getTransactionCount: 1, eth_call: 1, eth_estimateGas: 1,
  eth_createAccessList: 1, eth_getStorageAt: 2, eth_getProof: 2, eth_feeHistory: 1,
  eth_getBlockByNumber: 0, eth_getBlockReceipts: 0, eth_getBlockTransactionCountByNumber: 0,
  eth_getTransactionByBlockNumberAndIndex: 0, debug_traceBlockByNumber: 0,
}

// Simulated blocks are numbered from the newest one on: that of the chain, and what stands here in its place.
const newest = { number: 54n, time: 540n }
async function shifts() {
  const { number, timestamp } = await ask('eth_getBlockByNumber', 'latest', false)
  return { number: BigInt(number) - newest.number, time: BigInt(timestamp) - newest.time }
}

// A request with the chain's blocks and its contract as they are here.
async function translated({ method, params, ...rest }) {
  const by = method === 'eth_simulateV1' ? await shifts() : {}
  // A block's first transaction has a slot of its own.
  const isFirst = method.endsWith('AndIndex')
  const text = JSON.stringify(params ?? []).replaceAll(EMIT, home)
  const here = JSON.parse(text, (key, value) => {
    if (key === 'fromBlock') return places.has(value) ? hex(places.get(value).first) : value
    if (key in by) return hex(BigInt(value) + by[key])
    if (key === 'toBlock') return places.has(value) ? hex(places.get(value).last) : value
    if (String(value).length !== 66 || !places.has(value)) return value
    return isFirst ? places.get(value).firstHash : places.get(value).hash
  })
  const at = BLOCK_AT[method]
  if (places.has(here[at])) here[at] = hex(places.get(here[at])[isFirst ? 'first' : 'last'])
  return { ...rest, method, ...(params ? { params: here } : {}) }
}

// What says where something stands, or what it cost there: a slot is no block of that chain, there is no base
// fee, and the rules of the newest fork hold from the first slot on.
const PLACE = new Set([
  'blockHash', 'blockNumber', 'blockTimestamp', 'transactionIndex', 'logIndex', 'cumulativeGasUsed',
  'gasUsed', 'effectiveGasPrice', 'gasPrice', 'logsBloom',
])
// Of a simulated block, whose calls are what is asked for.
const SIMULATED = new Set([
  'blockHash', 'blockNumber', 'blockTimestamp', 'transactionHash', 'hash', 'parentHash', 'number', 'timestamp',
  'stateRoot', 'transactionsRoot', 'receiptsRoot', 'transactions', 'gasLimit', 'mixHash', 'miner', 'size',
  'parentBeaconBlockRoot', 'message',
])
const without = (value, places) => JSON.parse(JSON.stringify(value), (key, inner) => {
  return places.has(key) ? undefined : inner
})
const same = (a, b) => {
  try {
    assert.deepEqual(a, b)
    return true
  } catch {
    return false
  }
}
const kind = (value) => (Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value)
// The same fields with the same kinds of values, all the way down; of lists, all that both have.
function alike(a, b) {
  if (kind(a) !== kind(b)) return false
  if (kind(a) === 'string') return a.startsWith('0x') === b.startsWith('0x')
  if (kind(a) === 'array') {
    if ((a.length === 0) !== (b.length === 0)) return false
    return a.every((one, at) => at >= b.length || alike(one, b[at]))
  }
  if (kind(a) !== 'object') return true
  const keys = Object.keys(a).sort()
  return same(keys, Object.keys(b).sort()) && keys.every((key) => alike(a[key], b[key]))
}

function classOf(method, wanted, got) {
  const places = method === 'eth_simulateV1' ? SIMULATED : PLACE
  if (got.error?.code === -32601) return 'not served'
  if (wanted.error || got.error) {
    if (!wanted.error || !got.error) return 'differs'
    const equal = wanted.error.code === got.error.code && wanted.error.data === got.error.data
    return equal ? 'same error' : 'another error'
  }
  const here = JSON.parse(JSON.stringify(got.result ?? null).replaceAll(home, EMIT))
  if (same(wanted.result, here)) return 'equal'
  if (same(without(wanted.result, places), without(here, places))) return 'equal but for its place'
  return alike(wanted.result, here) ? 'alike' : 'differs'
}

const ORDER = ['equal', 'equal but for its place', 'same error', 'alike', 'another error', 'differs', 'not served']
async function replayed(file) {
  const lines = readFileSync(file, 'utf8').split('\n').filter((line) => /^(>>|<<) /.test(line))
  let worst = 0
  for (let at = 0; at + 1 < lines.length; at += 2) {
    const [request, wanted] = [lines[at], lines[at + 1]].map((line) => JSON.parse(line.slice(3)))
    const got = await post(await translated(request))
    const found = classOf(request.method, wanted, got)
    if (process.env.EXECUTION_APIS_SHOW && file.includes(process.env.EXECUTION_APIS_SHOW)) {
      console.log(JSON.stringify({ file, found, wanted, got }))
    }
    worst = Math.max(worst, ORDER.indexOf(found))
  }
  assert.ok(lines.length >= 2, `${file} has no exchange`)
  return ORDER[worst]
}

await step('each exchange is in the class that the list has for it', async () => {
  const listed = new Map()
  for (const line of readFileSync(list, 'utf8').split('\n').filter(Boolean)) {
    const [name, found, why] = line.split('\t')
    const says = ORDER.slice(0, 3).includes(found) || why || process.env.EXECUTION_APIS_WRITE
    assert.ok(says, `${name} is ${found}, and the list does not say why`)
    listed.set(name, { found, why: why ?? '' })
  }
  const counts = Object.fromEntries(ORDER.map((found) => [found, 0]))
  const [wrong, lines] = [[], []]
  for (const method of readdirSync(tests, { withFileTypes: true }).filter((one) => one.isDirectory())) {
    for (const file of readdirSync(join(tests, method.name)).sort()) {
      const name = `${method.name}/${file.replace('.io', '')}`
      const found = await replayed(join(tests, method.name, file))
      counts[found] += 1
      const known = listed.get(name)
      listed.delete(name)
      lines.push([name, found, known?.why ?? ''].join('\t').trimEnd())
      if (known?.found !== found) wrong.push(`${name}: ${found}, listed as ${known?.found}`)
    }
  }
  console.log(Object.entries(counts).map(([found, count]) => `     ${count} ${found}`).join('\n'))
  if (process.env.EXECUTION_APIS_WRITE) return writeFileSync(list, `${lines.join('\n')}\n`)
  wrong.push(...[...listed.keys()].map((name) => `${name}: listed, and not there`))
  assert.deepEqual(wrong, [])
})

done(3)
