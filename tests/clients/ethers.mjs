// npm's ethers 6.17.0, unmodified, on the ERC-20 of modules/evm: an EVM process is a chain, and its wallet
// sends, waits, reads events and is told why a call reverts.
import {
  Contract, ContractFactory, JsonRpcProvider, Wallet, WebSocketProvider, keccak256, toUtf8Bytes,
} from 'ethers'
import { built, deploy } from './evm.mjs'
import { assert, done, step, until } from './kit.mjs'

const { url, home, abi, key } = await step('deploy by spawn', () => {
  return deploy('Token', ['Gold', 'GLD', '1000000'])
})
// Slots come faster than ethers looks: it would remember a nonce for a quarter of a second.
const provider = new JsonRpcProvider(url, undefined, { pollingInterval: 100, cacheTimeout: -1 })
const wallet = new Wallet(key, provider)
const token = new Contract(home, abi, wallet)
const other = Wallet.createRandom().address

await step('network, block, fees', async () => {
  const [network, number, fees] = await Promise.all([
    provider.getNetwork(),
    provider.getBlockNumber(),
    provider.getFeeData(),
  ])
  assert.ok(network.chainId > 0n)
  assert.equal(number, 0)
  assert.equal(fees.gasPrice, 0n)
  const block = await provider.getBlock(0)
  assert.equal(block.transactions.length, 1)
})

await step('reads', async () => {
  assert.equal(await token.name(), 'Gold')
  assert.equal(await token.balanceOf(wallet.address), 1_000_000n)
  assert.equal(await provider.getBalance(wallet.address), 0n)
  // The owner of the process has made its contract.
  assert.equal(await provider.getTransactionCount(wallet.address), 1)
  assert.ok((await provider.getCode(home)).length > 1000)
  assert.equal(await provider.getStorage(home, 2), `0x${1_000_000n.toString(16).padStart(64, '0')}`)
})

const sent = await step('transfer, receipt, event', async () => {
  const response = await token.transfer(other, 7n)
  const receipt = await response.wait()
  assert.equal(receipt.status, 1)
  assert.equal(receipt.hash, response.hash)
  assert.equal(receipt.blockNumber, 1)
  const event = token.interface.parseLog(receipt.logs[0])
  assert.equal(event.name, 'Transfer')
  assert.deepEqual([...event.args], [wallet.address, other, 7n])
  assert.equal(await token.balanceOf(other), 7n)
  assert.equal(await token.balanceOf(other, { blockTag: 0 }), 0n)
  return receipt
})

await step('transaction, block, logs', async () => {
  const transaction = await provider.getTransaction(sent.hash)
  assert.equal(transaction.from, wallet.address)
  assert.equal(transaction.to, home)
  const block = await provider.getBlock(sent.blockHash, true)
  assert.equal(block.prefetchedTransactions[0].hash, sent.hash)
  const [first, second] = await token.queryFilter(token.filters.Transfer(), 0)
  assert.equal(second, undefined, 'a spawn shows no logs of its constructor')
  assert.equal(first.args.value, 7n)
})

await step('a decoded revert', async () => {
  const poor = token.connect(new Wallet(keccak256(toUtf8Bytes('poor')), provider))
  await assert.rejects(poor.transfer.staticCall(other, 5n), (error) => {
    assert.equal(error.code, 'CALL_EXCEPTION')
    assert.equal(error.revert.name, 'ERC20InsufficientBalance')
    assert.deepEqual([...error.revert.args], [poor.runner.address, 0n, 5n])
    return true
  })
  await assert.rejects(poor.transfer(other, 5n), { code: 'CALL_EXCEPTION' })
})

await step('a transaction that reverts is mined', async () => {
  const response = await token.transfer(other, 10n ** 9n, { gasLimit: 100_000n })
  await assert.rejects(response.wait(), (error) => error.receipt.status === 0)
  assert.equal(await provider.getTransactionCount(wallet.address), 3)
})

await step('contracts made by transactions: a second token, a pool, a swap', async () => {
  const make = async (name, ...args) => {
    const { abi, bytecode } = built(name)
    const made = await new ContractFactory(abi, bytecode, wallet).deploy(...args)
    const receipt = await made.deploymentTransaction().wait()
    assert.equal(receipt.contractAddress, await made.getAddress())
    return made
  }
  const sent = async (response) => (await response).wait()
  const silver = await make('Token', 'Silver', 'SLV', 1_000_000n)
  const pool = await make('Amm', home, await silver.getAddress())
  for (const coin of [token, silver]) await sent(coin.approve(await pool.getAddress(), 10_000n))
  await sent(pool.deposit(5_000n, 5_000n))
  assert.equal(await pool.balanceOf(wallet.address), 5_000n)
  const quoted = await pool.quote(true, 100n)
  const receipt = await sent(pool.swap(true, 100n, quoted))
  const events = receipt.logs.map((log) => pool.interface.parseLog(log)?.name ?? 'another')
  assert.ok(events.includes('Swapped'), events.join())
  assert.equal(await silver.balanceOf(wallet.address), 1_000_000n - 5_000n + quoted)
  await assert.rejects(pool.swap.staticCall(true, 100n, 100n), (error) => {
    assert.equal(error.revert.name, 'TooLittle')
    return true
  })
})

await step('an event, listened for', async () => {
  const heard = []
  await token.on('Transfer', (from, to, value) => heard.push(value))
  // Its filter is made when ethers comes to it; what was sent before that is not heard.
  for (let tries = 0; tries < 20 && heard.length === 0; tries += 1) {
    await (await token.transfer(other, 11n)).wait()
    await new Promise((wake) => setTimeout(wake, 250))
  }
  assert.equal(heard[0], 11n)
  await token.removeAllListeners()
})

await step('blocks and events, told over WebSocket', async () => {
  const socket = new WebSocketProvider(url.replace('http', 'ws'))
  const heard = { blocks: [], values: [] }
  const ready = new Promise((resolve) => socket.once('block', resolve))
  await socket.on('block', (number) => heard.blocks.push(number))
  await token.connect(socket).on('Transfer', (from, to, value) => heard.values.push(value))
  assert.equal(await socket.getBlockNumber(), await provider.getBlockNumber())
  const { blockNumber } = await (await token.transfer(other, 13n)).wait()
  await ready
  await until(() => heard, ({ blocks, values }) => {
    return blocks.includes(blockNumber) && values.includes(13n)
  })
  await socket.destroy()
})

await step('what a transaction did, call by call', async () => {
  const trace = await provider.send('debug_traceTransaction', [sent.hash, { tracer: 'callTracer' }])
  assert.equal(BigInt(trace.gasUsed), sent.gasUsed)
  assert.equal(trace.to, home.toLowerCase())
})

await step('a used nonce is refused at once', async () => {
  const again = token.transfer(other, 1n, { nonce: 0, gasLimit: 100_000n })
  await assert.rejects(again, { code: 'NONCE_EXPIRED' })
})

done(12)
