// Foundry's forge 1.7.1, unmodified: a script that makes a token and a pool and swaps, sent to the process;
// then tests on a fork of it.
import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { deploy } from './evm.mjs'
import { assert, done, step } from './kit.mjs'

const packed = createRequire(import.meta.url).resolve('@foundry-rs/forge-linux-amd64/package.json')
const program = packed.replace('package.json', 'bin/forge')
const { url, home, key, address } = await step('deploy by spawn', () => {
  return deploy('Token', ['Gold', 'GLD', '1000000'])
})
const folder = mkdtempSync(join(tmpdir(), 'clients-forge-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
cpSync(new URL('forge', import.meta.url).pathname, folder, { recursive: true })
const modules = new URL('../../modules/', import.meta.url).pathname
const env = {
  ...process.env,
  HOME: folder,
  GOLD: home,
  OWNER: address,
  BUILT: join(modules, 'built/evm'),
  DRIVEBAY_EVM_MODULES: join(modules, 'evm'),
  FOUNDRY_SOLC: join(folder, 'solc.mjs'),
  NO_COLOR: '1',
}
const forge = async (...words) => {
  const run = promisify(execFile)(program, words, { cwd: folder, env, maxBuffer: 1 << 24 })
  return (await run).stdout
}

await step('forge script --broadcast: two contracts, six transactions', async () => {
  const how = ['--broadcast', '--legacy', '--slow', '--private-key', key, '--rpc-url', url]
  const said = await forge('script', 'script/Deploy.s.sol:Deploy', ...how)
  assert.match(said, /ONCHAIN EXECUTION COMPLETE & SUCCESSFUL/)
  const [chain] = readdirSync(join(folder, 'broadcast/Deploy.s.sol'))
  const log = join(folder, 'broadcast/Deploy.s.sol', chain, 'run-latest.json')
  const { transactions, receipts } = JSON.parse(readFileSync(log, 'utf8'))
  assert.equal(transactions.length, 6)
  assert.ok(receipts.every((receipt) => receipt.status === '0x1'))
  const made = receipts.filter((receipt) => receipt.contractAddress).length
  assert.equal(made, 2)
  // The second contract is the pool.
  env.POOL = receipts.filter((receipt) => receipt.contractAddress)[1].contractAddress
})

await step('forge test --fork-url', async () => {
  const said = await forge('test', '--fork-url', url)
  assert.match(said, /5 tests passed, 0 failed/)
})

done(3)
