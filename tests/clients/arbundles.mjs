// npm's arbundles and drivebay, in both directions: what one signs, the other reads and verifies, with each
// kind of key; and one bit turned is seen by both. Needs no units: run it with `node`, after `npm ci` here.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  ArweaveSigner, DataItem, EthereumSigner, HexSolanaSigner, SolanaSigner, TypedEthereumSigner,
  bundleAndSignData, createData,
} from '@dha-team/arbundles'

const root = fileURLToPath(new URL('../..', import.meta.url))
const program = process.env.DRIVEBAY ?? join(root, 'target/release/drivebay')
const dir = mkdtempSync(join(tmpdir(), 'drivebay-arbundles-'))
process.on('exit', () => rmSync(dir, { recursive: true, force: true }))

const file = (name, bytes) => {
  const path = join(dir, name)
  if (bytes !== undefined) writeFileSync(path, bytes)
  return path
}
const drivebay = (...args) => {
  const stdio = ['ignore', 'pipe', 'pipe']
  return execFileSync(program, ['--data', join(dir, 'data'), ...args], { encoding: 'utf8', stdio })
}
const refused = (path) => {
  try {
    drivebay('item', 'verify', path)
  } catch (error) {
    assert.equal(error.status, 2, error.stderr)
    return error.stderr
  }
  assert.fail('a bent item was taken')
}

let count = 0
const passed = (name) => {
  count += 1
  console.log(`ok   ${name}`)
}

const jwk = generateKeyPairSync('rsa', { modulusLength: 4096, publicExponent: 65537 }).privateKey.export({ format: 'jwk' })
const ethereumKey = randomBytes(32).toString('hex')
// A Solana secret key as arbundles takes it: base58 of the seed and the public key.
const base58 = (bytes) => {
  const digits = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
  let number = BigInt(`0x${bytes.toString('hex')}`)
  let text = ''
  for (; number > 0n; number /= 58n) text = digits[Number(number % 58n)] + text
  for (const byte of bytes) {
    if (byte !== 0) break
    text = `1${text}`
  }
  return text
}
const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const seed = Buffer.from(privateKey.export({ format: 'jwk' }).d, 'base64url')
const solanaKey = base58(Buffer.concat([seed, Buffer.from(publicKey.export({ format: 'jwk' }).x, 'base64url')]))

const signers = {
  1: new ArweaveSigner(jwk),
  2: new SolanaSigner(solanaKey),
  3: new EthereumSigner(ethereumKey),
  4: new HexSolanaSigner(solanaKey),
  7: new TypedEthereumSigner(ethereumKey),
}
const drafts = [
  ['', {}],
  ['1 + 1', {
    target: 'JlfNyPWwaWfRdOgyZLcPi5X_e4z3kpmCq2JyrTzJoKk',
    anchor: '00000000000000000000000000000042',
    tags: [{ name: 'Action', value: 'Eval' }, { name: 'X-Unicode', value: 'héllo ✓' }, { name: 'Action', value: 'again' }],
  }],
  [randomBytes(100_000), { tags: Array.from({ length: 100 }, (_, n) => ({ name: `n${n}`, value: `v${n}` })) }],
]

for (const [type, signer] of Object.entries(signers)) {
  for (const [at, [data, options]] of drafts.entries()) {
    const item = createData(data, signer, options)
    await item.sign(signer)
    const raw = item.getRaw()
    const path = file('theirs.bin', raw)
    const told = JSON.parse(drivebay('item', 'verify', path))
    assert.equal(told.Holds, true)
    assert.equal(told.Id, item.id)
    assert.equal(told['Signature-Type'], Number(type))
    assert.equal(told.Target ?? '', options.target ?? '')
    assert.deepEqual(told.Tags, options.tags ?? [])
    assert.equal(told['Data-Bytes'], Buffer.byteLength(data))
    const bent = Buffer.from(raw)
    bent[bent.length - 1] ^= 1
    assert.match(refused(file('bent.bin', bent)), /signature does not hold|cannot be read/)
    passed(`arbundles signs with type ${type}, draft ${at}: drivebay verifies`)
  }
}

const wallets = { 1: JSON.stringify(jwk), 3: ethereumKey }
drivebay('wallet', '--file', file('ed25519.json'), '--new', 'ed25519')
wallets[2] = readFileSync(file('ed25519.json'))
for (const [type, wallet] of Object.entries(wallets)) {
  for (const [at, [data, options]] of drafts.entries()) {
    const args = ['item', 'sign', '--type', '', '--wallet', file('wallet', wallet), '--out', file('ours.bin')]
    args.push('--file', file('data', data))
    if (options.target) args.push('--target', options.target)
    if (options.anchor) args.push('--anchor', options.anchor)
    for (const { name, value } of options.tags ?? []) args.push('--tag', `${name}=${value}`)
    const id = drivebay(...args).trim()
    const raw = readFileSync(file('ours.bin'))
    const item = new DataItem(raw)
    assert.equal(await DataItem.verify(raw), true)
    assert.equal(item.id, id)
    assert.equal(item.signatureType, Number(type))
    assert.deepEqual(item.tags, options.tags ?? [])
    assert.ok(item.rawData.equals(Buffer.from(data)))
    raw[raw.length - 1] ^= 1
    assert.equal(await DataItem.verify(raw), false)
    passed(`drivebay signs with type ${type}, draft ${at}: arbundles verifies`)
  }
}

const inner = await Promise.all(['a', 'b'].map(async (data) => {
  const item = createData(data, signers[3])
  await item.sign(signers[3])
  return item
}))
const bundle = await bundleAndSignData(inner, signers[3])
const tags = [{ name: 'Bundle-Format', value: 'binary' }, { name: 'Bundle-Version', value: '2.0.0' }]
const carrier = createData(bundle.getRaw(), signers[3], { tags })
await carrier.sign(signers[3])
const told = JSON.parse(drivebay('item', 'verify', file('bundle.bin', carrier.getRaw())))
assert.deepEqual(told.Items, inner.map((item) => item.id))
passed('arbundles bundles: drivebay reads')

assert.equal(count, 25)
console.log(`${count} steps passed`)
