// Foundry's cast 1.7.1, unmodified, on the ERC-20 of modules/evm.
import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import { deploy } from './evm.mjs'
import { assert, done, step } from './kit.mjs'

const packed = createRequire(import.meta.url).resolve('@foundry-rs/cast-linux-amd64/package.json')
const program = packed.replace('package.json', 'bin/cast')
const { url, home, key, address } = await step('deploy by spawn', () => {
  return deploy('Token', ['Gold', 'GLD', '1000000'])
})
const cast = async (...words) => {
  const { stdout } = await promisify(execFile)(program, [...words, '--rpc-url', url])
  return stdout.trim()
}
const other = '0x00000000000000000000000000000000000000aa'

await step('reads', async () => {
  assert.equal(await cast('call', home, 'name()(string)'), '"Gold"')
  assert.match(await cast('call', home, 'balanceOf(address)(uint256)', address), /^1000000\b/)
  assert.equal(await cast('block-number'), '0')
  assert.equal(await cast('balance', address), '0')
  assert.equal(await cast('nonce', address), '1')
  assert.match(await cast('chain-id'), /^\d+$/)
  assert.equal(await cast('storage', home, '2'), `0x${(1_000_000).toString(16).padStart(64, '0')}`)
})

await step('send, receipt, transaction, block, logs', async () => {
  // Without --legacy it offers a tip of one, whatever the fees are; and this account has no value.
  const how = ['--legacy', '--private-key', key, '--json']
  const receipt = JSON.parse(await cast('send', home, 'transfer(address,uint256)', other, '7', ...how))
  assert.equal(receipt.status, '0x1')
  assert.equal(receipt.logs.length, 1)
  const hash = receipt.transactionHash
  assert.equal(JSON.parse(await cast('receipt', hash, '--json')).transactionHash, hash)
  assert.equal(JSON.parse(await cast('tx', hash, '--json')).hash, hash)
  const block = JSON.parse(await cast('block', 'latest', '--json'))
  assert.deepEqual(block.transactions, [hash])
  const logs = JSON.parse(await cast('logs', '--from-block', '0', '--address', home, '--json'))
  assert.equal(logs.length, 1)
  // It fetches the state before the transaction, and runs it on a machine of its own.
  assert.match(await cast('run', hash), /Transaction successfully executed/)
})

await step('access list, estimate', async () => {
  const transfer = [home, 'transfer(address,uint256)', other, '7', '--from', address]
  assert.match(await cast('access-list', ...transfer), /gas used: \d+/)
  const gas = Number(await cast('estimate', ...transfer))
  assert.ok(gas > 21_000 && gas < 60_000, gas)
})

await step('an error of the contract, by its selector', async () => {
  const poor = cast('call', home, 'transfer(address,uint256)', other, '9', '--from', home)
  // ERC20InsufficientBalance(address,uint256,uint256)
  await assert.rejects(poor, /execution reverted[\s\S]*e450d38c|ERC20InsufficientBalance/)
})

done(5)
