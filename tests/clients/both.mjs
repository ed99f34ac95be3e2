// An aos process and an EVM process, each the other's correspondent: aos sends a transfer, the contract
// answers through the outbox, and the handler of aos sees the tags. And who forges a sender is its signer.
import { Contract, JsonRpcProvider, Wallet, computeAddress, dataSlice, keccak256 } from 'ethers'
import { deploy } from './evm.mjs'
import { ao, aosModule, assert, done, ethereumSigner, step, units, until } from './kit.mjs'

const module = aosModule()
const signer = ethereumSigner()
const me = computeAddress(`0x${signer.address}`)

let count = 0
const evaluate = async (process, data) => {
  count += 1
  const tags = [{ name: 'Action', value: 'Eval' }, { name: 'Sent', value: String(count) }]
  const message = await ao.message({ process, signer, tags, data })
  const { Output, Error } = await ao.result({ process, message })
  assert.equal(Error, undefined)
  return String(Output?.data?.output ?? Output?.data).replace(/\u001b\[[0-9;]*m/g, '')
}
const addressOf = (pid) => dataSlice(keccak256(Buffer.from(pid, 'base64url')), 12)

const evm = await step('deploy by spawn', () => deploy('Token', ['Gold', 'GLD', '1000000']))
const aos = await step('spawn aos', () => {
  const tags = [{ name: 'Name', value: 'both' }, { name: 'Authority', value: units.authority }]
  return ao.spawn({ module, scheduler: units.scheduler, signer, tags })
})
const provider = new JsonRpcProvider(evm.url, undefined, { cacheTimeout: -1 })
const token = new Contract(evm.home, evm.abi, new Wallet(evm.key, provider))

await step('aos gets tokens at its address', async () => {
  await (await token.transfer(addressOf(aos), 100n)).wait()
})

await step('aos sends a transfer, and hears of it', async () => {
  await evaluate(aos, `
    Handlers.add('credit', Handlers.utils.hasMatchingTag('Action', 'Credit-Notice'), function (msg)
      Got = table.concat({ msg.From, msg.Tags.Sender, msg.Tags.Quantity }, ' ')
    end)`)
  const data = JSON.stringify([aos, '7'])
  await evaluate(aos, `
    Send({ Target = '${evm.pid}', Action = 'transferTo(string,uint256)', Data = '${data}' })`)
  const right = [evm.pid, aos, '7'].join(' ')
  await until(() => evaluate(aos, 'return tostring(Got)'), (said) => said === right)
  assert.equal(await token.balanceOf(addressOf(aos)), 100n)
})

await step('a forged From-Process is seen as its signer', async () => {
  const tags = [
    { name: 'From-Process', value: aos },
    { name: 'Action', value: 'transferTo(string,uint256)' },
  ]
  const data = JSON.stringify([aos, '7'])
  const message = await ao.message({ process: evm.pid, signer, tags, data })
  const { Error, Messages } = await ao.result({ process: evm.pid, message })
  assert.ok(Error.includes(`ERC20InsufficientBalance(${me}, 0, 7)`), Error)
  assert.deepEqual(Messages, [])
})

done(5)
