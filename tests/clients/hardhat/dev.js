// Run by `hardhat run` on a private chain: hardhat's network helpers, as its tests use them.
const assert = require('node:assert/strict')
const { readFileSync } = require('node:fs')
const helpers = require('@nomicfoundation/hardhat-network-helpers')
const { ethers, network } = require('hardhat')

const { abi, bytecode } = JSON.parse(readFileSync(`${process.env.BUILT}/Token.json`, 'utf8'))
const other = '0x00000000000000000000000000000000000000AA'

// Runs once; later it is a snapshot that is gone back to.
let runs = 0
async function fixture() {
  runs += 1
  const silver = await (await ethers.getContractFactory(abi, bytecode)).deploy('Silver', 'SLV', 1_000n)
  await silver.waitForDeployment()
  return { silver }
}

async function main() {
  assert.equal(network.name, 'dev')
  const signers = await ethers.getSigners()
  assert.equal(signers.length, 10)
  assert.equal(signers[0].address, '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266')

  for (let round = 0; round < 3; round += 1) {
    const { silver } = await helpers.loadFixture(fixture)
    assert.equal(await silver.balanceOf(other), 0n)
    await (await silver.transfer(other, 10n)).wait()
    assert.equal(await silver.balanceOf(other), 10n)
  }
  assert.equal(runs, 1)

  const gold = await ethers.getContractAt(abi, process.env.GOLD)
  await helpers.impersonateAccount(process.env.HOLDER)
  await helpers.setBalance(process.env.HOLDER, ethers.parseEther('1'))
  const holder = await ethers.getSigner(process.env.HOLDER)
  await (await gold.connect(holder).transfer(other, 5n)).wait()
  assert.equal(await gold.balanceOf(other), 5n)
  await helpers.stopImpersonatingAccount(process.env.HOLDER)
  await assert.rejects(gold.connect(holder).transfer(other, 5n))

  const before = await helpers.time.latest()
  assert.equal(await helpers.time.increase(3600), before + 3600)
  await helpers.time.setNextBlockTimestamp(before + 10_000)
  await (await signers[1].sendTransaction({ to: other, value: 1n })).wait()
  assert.equal(await helpers.time.latest(), before + 10_000)
  await helpers.time.increaseTo(before + 20_000)
  const height = await helpers.time.latestBlock()
  await helpers.mine(100, { interval: 12 })
  assert.equal(await helpers.time.latestBlock(), height + 100)
  await helpers.mineUpTo(height + 200)
  assert.equal(await helpers.time.latestBlock(), height + 200)

  const snapshot = await helpers.takeSnapshot()
  await helpers.setCode(other, '0x602a5f5260205ff3')
  await helpers.setStorageAt(other, 1, 7)
  await helpers.setNonce(signers[2].address, 40)
  await helpers.setCoinbase(other)
  await helpers.setPrevRandao(77)
  await helpers.setNextBlockBaseFeePerGas(1_000)
  await helpers.mine()
  const block = await ethers.provider.send('eth_getBlockByNumber', ['latest', false])
  assert.deepEqual([block.baseFeePerGas, ethers.getAddress(block.miner)], ['0x3e8', other])
  assert.equal(block.mixHash, ethers.toBeHex(77, 32))
  assert.equal(await ethers.provider.call({ to: other }), ethers.toBeHex(42, 32))
  assert.equal(await helpers.getStorageAt(other, 1), ethers.toBeHex(7, 32))
  assert.equal(await signers[2].getNonce(), 40)
  await snapshot.restore()
  assert.equal(await ethers.provider.getCode(other), '0x')
  assert.equal(await signers[2].getNonce(), 0)
  await helpers.reset()
  assert.equal(await ethers.provider.getBlockNumber(), 0)
  console.log('helped')
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
