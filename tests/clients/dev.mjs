// Private chains of developers: viem's test client on one that forks the ERC-20 of modules/evm, and the same
// script on Foundry's anvil 1.7.1, forking the same process: they answer alike. Then hardhat's network helpers.
import { execFile, spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { createTestClient, defineChain, encodeFunctionData, http, parseEther, publicActions, walletActions } from 'viem'
import { mnemonicToAccount } from 'viem/accounts'
import { deploy } from './evm.mjs'
import { assert, done, step } from './kit.mjs'

const { url, home, abi, key, address: holder } = await step('deploy by spawn', () => {
  return deploy('Token', ['Gold', 'GLD', '1000000'])
})
const other = '0x00000000000000000000000000000000000000aa'
const nobody = '0x00000000000000000000000000000000000000bb'
const here = (path) => new URL(path, import.meta.url).pathname

const connect = async (rpc) => {
  const transport = http(rpc)
  const asked = createTestClient({ mode: 'anvil', transport })
  const id = Number(await asked.request({ method: 'eth_chainId' }))
  const nativeCurrency = { name: 'Value', symbol: 'VAL', decimals: 18 }
  const chain = defineChain({ id, name: 'dev', nativeCurrency, rpcUrls: { default: { http: [rpc] } } })
  const client = createTestClient({ mode: 'anvil', chain, transport, pollingInterval: 50, cacheTime: 0 })
  return client.extend(publicActions).extend(walletActions)
}

// All that a developer does with a chain, and what is answered.
async function use(client) {
  const said = []
  const say = (what, answer) => said.push([what, answer])
  const ask = (method, ...params) => client.request({ method, params })
  const refusal = (sent, why) => sent.then(() => 'taken', (error) => why.test(error.details) || error.details)
  const gas = 200_000n
  const fees = { maxFeePerGas: 0n, maxPriorityFeePerGas: 0n }
  const transfer = (to, amount) => encodeFunctionData({ abi, functionName: 'transfer', args: [to, amount] })
  const tokens = (who) => client.readContract({ address: home, abi, functionName: 'balanceOf', args: [who] })
  const send = (account, to, amount) => {
    return client.sendTransaction({ account, to: home, data: transfer(to, amount), gas, ...fees })
  }
  const receipt = async (hash) => {
    const { status, from, to, contractAddress, gasUsed, cumulativeGasUsed, effectiveGasPrice, blockNumber, transactionIndex, type, logs } =
      await client.waitForTransactionReceipt({ hash })
    const told = logs.map(({ address, topics, data, logIndex, removed }) => ({ address, topics, data, logIndex, removed }))
    return { status, from, to, contractAddress, gasUsed, cumulativeGasUsed, effectiveGasPrice, blockNumber, transactionIndex, type, told }
  }
  const times = async (numbers) => {
    const blocks = await Promise.all(numbers.map((blockNumber) => client.getBlock({ blockNumber })))
    return blocks.map((block) => block.timestamp)
  }

  const [first, second, third] = await client.getAddresses()
  say('accounts', await client.getAddresses())
  say('balance', await client.getBalance({ address: first }))
  const start = await client.getBlockNumber()
  say('begins', start)
  say('process', [await tokens(holder), await client.getTransactionCount({ address: holder })])

  const snapshot = await client.snapshot()
  say('setBalance', await ask('anvil_setBalance', holder, '0x4563918244f40000'))
  say('has it', await client.getBalance({ address: holder }))
  say('impersonate', await ask('anvil_impersonateAccount', holder))
  const moved = await send(holder, other, 7n)
  say('receipt', await receipt(moved))
  // Of hashes those of blocks differ, and those of what nobody signed.
  const { blockHash, blockTimestamp, hash, r, s, v, yParity, ...transaction } = await client.getTransaction({ hash: moved })
  say('transaction', transaction)
  say('tokens', [await tokens(holder), await tokens(other)])
  const found = await client.getLogs({ address: home, fromBlock: start, toBlock: 'latest' })
  say('logs', found.map(({ topics, data, blockNumber, logIndex }) => ({ topics, data, blockNumber, logIndex })))
  say('older', await client.readContract({ address: home, abi, functionName: 'balanceOf', args: [other], blockNumber: start }))

  const inner = await client.snapshot()
  say('ids', Number(inner) - Number(snapshot))
  await receipt(await send(holder, other, 1n))
  say('revert', await ask('evm_revert', inner))
  say('again', await ask('evm_revert', inner))
  say('after it', [await tokens(other), await client.getBlockNumber(), await client.getTransactionCount({ address: holder })])

  say('mine', await ask('anvil_mine', '0x3', '0x3c'))
  const now = await client.getBlockNumber()
  const [a, b, c] = await times([now - 2n, now - 1n, now])
  say('mined', [now, b - a, c - b])
  await client.increaseTime({ seconds: 3600 })
  say('evm_mine', await ask('evm_mine'))
  const [later] = await times([now + 1n])
  say('later', later - c >= 3600n && later - c < 3660n)
  say('setNextBlockTimestamp', await ask('evm_setNextBlockTimestamp', Number(later) + 1000))
  await receipt(await send(holder, other, 1n))
  const [chosen, after] = (await client.mine({ blocks: 1 }), await times([now + 2n, now + 3n]))
  say('chosen', [chosen - later, after - chosen < 60n])
  say('too early', await ask('evm_setNextBlockTimestamp', 1).then(() => 'taken', () => 'refused'))

  say('setAutomine', await ask('evm_setAutomine', false))
  say('getAutomine', await client.getAutomine())
  const waiting = [await send(first, other, 0n), await send(second, other, 0n), await send(first, other, 0n)]
  const count = (blockTag) => client.getTransactionCount({ address: first, blockTag })
  say('counts', [await count('latest'), await count('pending')])
  const pending = await client.getTransaction({ hash: waiting[2] })
  say('pending', [pending.blockNumber, pending.nonce, pending.from])
  const droppable = await send(third, other, 0n)
  say('drop', (await ask('anvil_dropTransaction', droppable)) === droppable)
  await client.mine({ blocks: 1 })
  const block = await client.getBlock()
  say('block', [block.transactions, block.transactions.map((hash) => waiting.indexOf(hash)), block.number, block.gasUsed, block.baseFeePerGas])
  await client.setAutomine(true)

  say('setCode', await ask('anvil_setCode', nobody, '0x602a5f5260205ff3'))
  say('code', [await client.getCode({ address: nobody }), await client.call({ to: nobody })])
  const slot = `0x${'00'.repeat(31)}05`
  say('setStorageAt', await ask('anvil_setStorageAt', nobody, slot, `0x${'00'.repeat(31)}63`))
  say('storage', await client.getStorageAt({ address: nobody, slot }))
  say('setNonce', await ask('anvil_setNonce', nobody, '0x9'))
  say('nonce', await client.getTransactionCount({ address: nobody }))
  await client.impersonateAccount({ address: nobody })
  say('a contract sends', await receipt(await send(nobody, other, 0n)))
  say('stop', await ask('anvil_stopImpersonatingAccount', nobody))
  say('no key', await refusal(send(nobody, other, 0n), /./))
  await client.request({ method: 'anvil_autoImpersonateAccount', params: [true] })
  say('everybody', await receipt(await send('0x00000000000000000000000000000000000000cc', other, 0n)))
  await client.request({ method: 'anvil_autoImpersonateAccount', params: [false] })
  const typed = {
    types: {
      EIP712Domain: [{ name: 'name', type: 'string' }, { name: 'verifyingContract', type: 'address' }],
      Permit: [{ name: 'owner', type: 'address' }, { name: 'values', type: 'uint256[]' }, { name: 'part', type: 'Part' }],
      Part: [{ name: 'text', type: 'string' }, { name: 'data', type: 'bytes' }],
    },
    primaryType: 'Permit',
    domain: { name: 'Bay', verifyingContract: other },
    message: { owner: first, values: ['1', '2'], part: { text: 'hello', data: '0x0102' } },
  }
  say('personal_sign', await ask('personal_sign', '0x68656c6c6f', first))
  say('eth_sign', await ask('eth_sign', second, '0x68656c6c6f'))
  say('typed data', await ask('eth_signTypedData_v4', third, typed))
  say('typed data as text', await ask('eth_signTypedData_v4', third, JSON.stringify(typed)))
  say('a key that is not here', await refusal(ask('eth_sign', nobody, '0x00'), /./))
  const all = { from: first, to: other, value: '0x1', nonce: '0x63', gas: '0x5208', maxFeePerGas: '0x9', maxPriorityFeePerGas: '0x1' }
  say('eth_signTransaction', await ask('eth_signTransaction', { ...all, chainId: `0x${(await client.getChainId()).toString(16)}` }))
  await client.setCoinbase({ address: other })
  await client.mine({ blocks: 1 })
  say('miner', (await client.getBlock()).miner)

  const local = mnemonicToAccount('test test test test test test test test test test test junk', { addressIndex: 3 })
  const value = parseEther('1.5')
  const plain = { account: local, to: nobody, value, gas: 100_000n, nonce: 0, type: 'eip1559', ...fees }
  say('signed', await receipt(await client.sendTransaction(plain)))
  say('value', await client.getBalance({ address: nobody }))
  say('nonce too low', await refusal(client.sendTransaction(plain), /nonce too low/))
  say('no funds', await refusal(client.sendTransaction({ ...plain, nonce: 1, value: parseEther('20000') }), /insufficient funds/i))
  say('too little gas', await refusal(client.sendTransaction({ ...plain, nonce: 1, gas: 20_000n }), /intrinsic gas too low/))
  // One that comes before its turn waits for it.
  const early = await client.sendTransaction({ ...plain, nonce: 2 })
  say('early', await client.getTransactionCount({ address: local.address }))
  const turn = await client.sendTransaction({ ...plain, nonce: 1 })
  say('its turn', [(await receipt(turn)).status, (await receipt(early)).status])
  const bare = await ask('eth_sendTransaction', { from: second, to: home, data: transfer(other, 5n) })
  say('reverts', (await receipt(bare)).status)
  say('reverted', (await receipt(await send(second, other, 5n))).status)
  const code = '0x600a600c600039600a6000f3602a60005260206000f3'
  // Anvil puts what waited for its turn into that block or into the next, as it happens: blocks are counted from here.
  const last = await client.getBlockNumber()
  const made = await receipt(await client.sendTransaction({ account: third, data: code, gas, ...fees }))
  say('made', { ...made, blockNumber: made.blockNumber - last })
  const traced = await ask('debug_traceTransaction', moved, { tracer: 'callTracer' })
  say('trace', [traced.type, traced.from, traced.to, traced.input, traced.output, traced.gasUsed])

  const filter = await client.createBlockFilter()
  await client.mine({ blocks: 2 })
  say('filter', (await client.getFilterChanges({ filter })).length)
  say('back to the start', await ask('evm_revert', snapshot))
  say('is at it', [await client.getBlockNumber(), await tokens(other), await client.getBalance({ address: holder }), await client.getTransactionCount({ address: first })])
  say('unknown', await ask('evm_nothing').catch((error) => error.code))
  return said
}

const ours = await step('viem: snapshots, accounts, time, blocks, what waits', async () => {
  const before = await connect(url)
  const root = (await before.getBlock()).stateRoot
  const said = await use(await connect(`${url}/dev/viem`))
  const told = new Map(said)
  assert.deepEqual(told.get('tokens'), [999_993n, 7n])
  assert.deepEqual(told.get('is at it'), [0n, 0n, 0n, 0])
  assert.equal((await before.getBlock()).stateRoot, root)
  assert.equal(await before.getBlockNumber(), 0n)
  return said
})

await step('anvil answers alike', async () => {
  let path
  try {
    path = createRequire(import.meta.url).resolve('@foundry-rs/anvil-linux-amd64/package.json')
  } catch {
    return console.log('skipped: anvil comes in a package for Linux on x64 alone')
  }
  const words = ['--fork-url', url, '--port', '0', '--base-fee', '0', '--gas-price', '0', '--no-storage-caching']
  const anvil = spawn(path.replace('package.json', 'bin/anvil'), words, { stdio: ['ignore', 'pipe', 'inherit'] })
  process.on('exit', () => anvil.kill())
  let listens
  for await (const line of createInterface(anvil.stdout)) {
    listens = /Listening on (\S+)/.exec(line)?.[1]
    if (listens) break
  }
  const theirs = await use(await connect(`http://${listens}`))
  anvil.kill()
  assert.deepEqual(ours, theirs)
})

await step("hardhat's network helpers: fixtures, time, accounts", async () => {
  const env = {
    ...process.env,
    PROCESS_URL: `${url}/dev/hardhat`,
    PROCESS_KEY: key,
    GOLD: home,
    HOLDER: holder,
    BUILT: here('../../modules/built/evm'),
    HARDHAT_DISABLE_TELEMETRY_PROMPT: 'true',
  }
  const words = ['node_modules/hardhat/internal/cli/cli.js', 'run', '--no-compile', '--network', 'dev', 'dev.js']
  const { stdout } = await promisify(execFile)(process.execPath, words, { cwd: here('hardhat'), env })
  assert.match(stdout, /^helped$/m)
})

done(4)
