// Run by `hardhat run`: the ERC-20 that is there, a second one, a pool, an event, a decoded revert.
const assert = require('node:assert/strict')
const { readFileSync } = require('node:fs')
const { ethers, network } = require('hardhat')

const built = (name) => JSON.parse(readFileSync(`${process.env.BUILT}/${name}.json`, 'utf8'))

async function main() {
  assert.equal(network.name, 'process')
  const [owner] = await ethers.getSigners()
  const gold = await ethers.getContractAt(built('Token').abi, process.env.GOLD)
  assert.equal(await gold.balanceOf(owner.address), 1_000_000n)
  const make = async (name, ...args) => {
    const { abi, bytecode } = built(name)
    const contract = await (await ethers.getContractFactory(abi, bytecode)).deploy(...args)
    return contract.waitForDeployment()
  }
  const sent = async (response) => (await response).wait()
  const silver = await make('Token', 'Silver', 'SLV', 1_000_000n)
  const pool = await make('Amm', gold.target, silver.target)
  for (const coin of [gold, silver]) await sent(coin.approve(pool.target, 10_000n))
  await sent(pool.deposit(5_000n, 5_000n))
  const receipt = await sent(pool.swap(true, 100n, 1n))
  const event = receipt.logs.map((log) => pool.interface.parseLog(log)).find((log) => log?.name === 'Swapped')
  assert.equal(event.args.paid, 100n)
  assert.equal((await pool.queryFilter(pool.filters.Swapped())).length, 1)
  const [swapped] = await pool.queryFilter(pool.filters.Swapped())
  assert.deepEqual([swapped.args.who, swapped.args.paid], [owner.address, 100n])
  await assert.rejects(pool.swap.staticCall(true, 100n, 10_000n), (error) => {
    const { name, args } = pool.interface.parseError(error.data)
    assert.deepEqual([name, args.least], ['TooLittle', 10_000n])
    return true
  })
  await assert.rejects(gold.transferFrom.staticCall(silver.target, owner.address, 5n), (error) => {
    const { name, args } = gold.interface.parseError(error.data)
    assert.deepEqual([name, args.needed], ['ERC20InsufficientAllowance', 5n])
    return true
  })
  console.log('used')
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
