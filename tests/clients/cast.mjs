// Foundry's cast 1.7.1, unmodified, on the ERC-20 and the AMM of modules/evm.
import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import { built, deploy } from './evm.mjs'
import { assert, done, step } from './kit.mjs'

const packed = createRequire(import.meta.url).resolve('@foundry-rs/cast-linux-amd64/package.json')
const program = packed.replace('package.json', 'bin/cast')
const { url, home, key, address } = await step('deploy by spawn', () => {
  return deploy('Token', ['Gold', 'GLD', '1000000'])
})
const offline = async (...words) => (await promisify(execFile)(program, words)).stdout.trim()
const cast = (...words) => offline(...words, '--rpc-url', url)
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

await step('contracts made by transactions: a second token, a pool, a swap, its event, its revert', async () => {
  const how = ['--legacy', '--private-key', key, '--json']
  const send = async (...words) => {
    const receipt = JSON.parse(await offline('send', '--rpc-url', url, ...how, ...words))
    assert.equal(receipt.status, '0x1')
    return receipt
  }
  const make = async (name, signature, ...args) => {
    const { contractAddress } = await send('--create', built(name).bytecode, signature, ...args)
    return contractAddress
  }
  const silver = await make('Token', 'constructor(string,string,uint256)', 'Silver', 'SLV', '1000000')
  const pool = await make('Amm', 'constructor(address,address)', home, silver)
  for (const coin of [home, silver]) await send(coin, 'approve(address,uint256)', pool, '10000')
  await send(pool, 'deposit(uint256,uint256)', '5000', '5000')
  const quoted = await cast('call', pool, 'quote(bool,uint256)(uint256)', 'true', '100')
  assert.equal(quoted, '97')
  await send(pool, 'swap(bool,uint256,uint256)', 'true', '100', quoted)
  const swapped = 'Swapped(address,bool,uint256,uint256)'
  const logs = JSON.parse(await cast('logs', '--from-block', '0', '--address', pool, '--json', swapped))
  assert.equal(logs.length, 1)
  const said = await offline('decode-event', '--sig', 'Swapped(bool,uint256,uint256)', logs[0].data)
  assert.deepEqual(said.split('\n').map((line) => line.trim()), ['true', '100', '97'])
  const dear = cast('call', pool, 'swap(bool,uint256,uint256)', 'true', '100', '100', '--from', address)
  const data = await dear.then(() => assert.fail('it did not revert'), ({ stderr }) => {
    return /data: "(0x[0-9a-f]+)"/.exec(stderr)[1]
  })
  const why = await offline('decode-error', '--sig', 'TooLittle(uint256,uint256)', data)
  assert.deepEqual(why.split('\n').map((line) => line.trim()).slice(-2), ['94', '100'])
})

done(6)
