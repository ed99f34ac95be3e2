// npm's ethers 6.17.0, unmodified, on the ERC-20 of modules/evm: an EVM process is a chain, and its wallet
// sends, waits, reads events and is told why a call reverts.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Contract, JsonRpcProvider, Wallet, dataSlice, getAddress, keccak256, toUtf8Bytes } from 'ethers'
import { assert, done, step, units } from './kit.mjs'

const artifact = new URL('../../modules/built/evm/Token.json', import.meta.url).pathname
const { abi } = JSON.parse(readFileSync(artifact, 'utf8'))
const folder = mkdtempSync(join(tmpdir(), 'ethers-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const key = Wallet.createRandom().privateKey
const file = join(folder, 'key')
writeFileSync(file, key, { mode: 0o600 })
const drivebay = (...args) => {
  const env = { ...process.env, MU_URL: units.mu, CU_URL: units.cu, DRIVEBAY_WALLET: file }
  return execFileSync(process.env.DRIVEBAY, args, { env, encoding: 'utf8', cwd: folder }).trim()
}

const pid = await step('deploy by spawn', () => {
  const module = drivebay('publish', artifact)
  const args = 'Constructor-Args=["Gold","GLD","1000000"]'
  return drivebay('spawn', module, '--tag', args).split('\n')[0]
})
assert.match(pid, /^[\w-]{43}$/)

const provider = new JsonRpcProvider(`${units.cu}/eth/${pid}`, undefined, { pollingInterval: 100 })
const wallet = new Wallet(key, provider)
const home = getAddress(dataSlice(keccak256(Buffer.from(pid, 'base64url')), 12))
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

await step('a used nonce is refused at once', async () => {
  const again = token.transfer(other, 1n, { nonce: 0, gasLimit: 100_000n })
  await assert.rejects(again, { code: 'NONCE_EXPIRED' })
})

done(8)
