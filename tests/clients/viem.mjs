// npm's viem 2.57.20, unmodified, on the ERC-20 of modules/evm, with its requests in batches.
import { createPublicClient, createWalletClient, defineChain, http, parseEventLogs } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { built, deploy } from './evm.mjs'
import { assert, done, step } from './kit.mjs'

const { url, home, abi, key } = await step('deploy by spawn', () => {
  return deploy('Token', ['Gold', 'GLD', '1000000'])
})
const transport = http(url, { batch: true })
const id = await createPublicClient({ transport }).getChainId()
const nativeCurrency = { name: 'Value', symbol: 'VAL', decimals: 18 }
const chain = defineChain({ id, name: 'process', nativeCurrency, rpcUrls: { default: { http: [url] } } })
const client = createPublicClient({ chain, transport, pollingInterval: 100 })
const account = privateKeyToAccount(key)
const wallet = createWalletClient({ account, chain, transport })
const token = { address: home, abi }
const other = '0x00000000000000000000000000000000000000aa'

await step('reads, in one batch', async () => {
  const read = (functionName, ...args) => client.readContract({ ...token, functionName, args })
  const [name, supply, balance, number, code] = await Promise.all([
    read('name'),
    read('totalSupply'),
    read('balanceOf', account.address),
    client.getBlockNumber(),
    client.getCode({ address: home }),
  ])
  assert.deepEqual([name, supply, balance, number], ['Gold', 1_000_000n, 1_000_000n, 0n])
  assert.ok(code.length > 1000)
})

const receipt = await step('simulate, write, receipt, event', async () => {
  const { request, result } = await client.simulateContract({
    ...token, account, functionName: 'transfer', args: [other, 7n],
  })
  assert.equal(result, true)
  const hash = await wallet.writeContract(request)
  const receipt = await client.waitForTransactionReceipt({ hash })
  assert.equal(receipt.status, 'success')
  assert.equal(receipt.type, 'eip1559')
  const [event] = parseEventLogs({ abi, logs: receipt.logs })
  assert.equal(event.eventName, 'Transfer')
  assert.deepEqual(event.args, { from: account.address, to: '0x00000000000000000000000000000000000000AA', value: 7n })
  return receipt
})

await step('transaction, block, logs, proof', async () => {
  const hash = receipt.transactionHash
  const transaction = await client.getTransaction({ hash })
  assert.equal(transaction.nonce, 1)
  const block = await client.getBlock({ blockHash: receipt.blockHash, includeTransactions: true })
  assert.equal(block.transactions[0].hash, hash)
  const logs = await client.getContractEvents({ ...token, eventName: 'Transfer', fromBlock: 0n })
  assert.equal(logs.length, 1)
  const proof = await client.getProof({ address: home, storageKeys: [`0x${'02'.padStart(64, '0')}`] })
  assert.equal(proof.storageProof[0].value, 1_000_000n)
})

await step('a decoded revert', async () => {
  const poor = client.simulateContract({
    ...token, account: other, functionName: 'transfer', args: [home, 8n],
  })
  await assert.rejects(poor, (error) => {
    const reverted = error.walk((cause) => cause.name === 'ContractFunctionRevertedError')
    assert.equal(reverted.data.errorName, 'ERC20InsufficientBalance')
    assert.deepEqual(reverted.data.args.slice(1), [7n, 8n])
    return true
  })
})

await step('contracts made by transactions: a second token, a pool, a swap, its event, its revert', async () => {
  const mined = async (hash) => {
    const receipt = await client.waitForTransactionReceipt({ hash })
    assert.equal(receipt.status, 'success')
    return receipt
  }
  const make = async (name, ...args) => {
    const { abi, bytecode } = built(name)
    const receipt = await mined(await wallet.deployContract({ abi, bytecode, args }))
    return { address: receipt.contractAddress, abi }
  }
  const write = async (contract, functionName, ...args) => {
    return mined(await wallet.writeContract({ ...contract, functionName, args }))
  }
  const silver = await make('Token', 'Silver', 'SLV', 1_000_000n)
  const pool = await make('Amm', home, silver.address)
  for (const coin of [token, silver]) await write(coin, 'approve', pool.address, 10_000n)
  await write(pool, 'deposit', 5_000n, 5_000n)
  const quoted = await client.readContract({ ...pool, functionName: 'quote', args: [true, 100n] })
  const { logs } = await write(pool, 'swap', true, 100n, quoted)
  const [swapped] = parseEventLogs({ abi: pool.abi, logs, eventName: 'Swapped' })
  assert.deepEqual(swapped.args, { who: account.address, zeroForOne: true, paid: 100n, got: quoted })
  const found = await client.getContractEvents({ ...pool, eventName: 'Swapped', fromBlock: 0n })
  assert.equal(found.length, 1)
  const dear = client.simulateContract({ ...pool, account, functionName: 'swap', args: [true, 100n, 100n] })
  await assert.rejects(dear, (error) => {
    const reverted = error.walk((cause) => cause.name === 'ContractFunctionRevertedError')
    assert.equal(reverted.data.errorName, 'TooLittle')
    assert.equal(reverted.data.args[1], 100n)
    return true
  })
})

done(6)
