// Workload G on @ethereumjs/vm: the same code, the same transfers, as `token.rs` has them.
//
//     node ethereumjs.mjs CODE_HEX [TRANSFERS]
//
// Three roads: calls on a state in plain maps, calls on a Merkle-Patricia trie whose root is asked for after each,
// and signed transactions without blocks on such a trie.
import { createVM, runTx } from '@ethereumjs/vm'
import { Common, Hardfork, Mainnet } from '@ethereumjs/common'
import { MerkleStateManager, SimpleStateManager } from '@ethereumjs/statemanager'
import { createLegacyTx } from '@ethereumjs/tx'
import {
  Account, Address, bigIntToBytes, bytesToHex, concatBytes, createAddressFromPrivateKey, hexToBytes, setLengthLeft,
} from '@ethereumjs/util'
import { keccak256 } from 'ethereum-cryptography/keccak.js'

const [code, count] = [hexToBytes(`0x${process.argv[2]}`), Number(process.argv[3] ?? 1000)]
const HOLDERS = 100
const word = (n) => setLengthLeft(bigIntToBytes(BigInt(n)), 32)
const number = (n) => setLengthLeft(bigIntToBytes(BigInt(n)), 8)
const keys = Array.from({ length: HOLDERS }, (_, n) => keccak256(number(n)))
const home = new Address(new Uint8Array(20).fill(0xaa))
const plain = keys.map((key) => new Address(key.slice(12)))
const transfer = (all, n) => concatBytes(
  hexToBytes('0xa9059cbb'), setLengthLeft(all[(n * 7 + 1) % HOLDERS].bytes, 32), word((n % 9) + 1),
)

async function stage(manager, holders) {
  const common = new Common({ chain: Mainnet, hardfork: Hardfork.Prague })
  const stateManager = new manager({ common })
  const vm = await createVM({ common, stateManager })
  await stateManager.putAccount(home, new Account())
  await stateManager.putCode(home, code)
  for (const holder of holders) {
    await stateManager.putAccount(holder, new Account(0n, 10n ** 24n))
    const slot = keccak256(concatBytes(setLengthLeft(holder.bytes, 32), new Uint8Array(32)))
    await stateManager.putStorage(home, slot, bigIntToBytes(1n << 60n))
  }
  return vm
}

async function measure(name, vm, one) {
  const times = []
  for (let slice = 0; slice < 10; slice++) {
    const from = process.cpuUsage()
    for (let n = 0; n < count / 10; n++) await one(vm, slice * (count / 10) + n)
    const { user, system } = process.cpuUsage(from)
    times.push((user + system) / (count / 10))
  }
  times.sort((a, b) => a - b)
  console.log(`  ${name.padEnd(44)} ${times[5].toFixed(0).padStart(7)} us`)
}

const call = async (vm, n) => {
  const { execResult } = await vm.evm.runCall({
    caller: plain[n % HOLDERS], to: home, data: transfer(plain, n), gasLimit: 30_000_000n,
  })
  if (execResult.exceptionError) throw execResult.exceptionError
}
await measure('@ethereumjs/vm, calls, maps', await stage(SimpleStateManager, plain), call)
await measure('@ethereumjs/vm, calls, trie, root each', await stage(MerkleStateManager, plain), async (vm, n) => {
  await call(vm, n)
  await vm.stateManager.getStateRoot()
})
const signers = keys.map((key) => createAddressFromPrivateKey(key))
await measure('@ethereumjs/vm, signed, trie', await stage(MerkleStateManager, signers), async (vm, n) => {
  const tx = createLegacyTx({
    nonce: Math.floor(n / HOLDERS), gasPrice: 10, gasLimit: 200_000, to: home, value: 0, data: transfer(signers, n),
  }, { common: vm.common }).sign(keys[n % HOLDERS])
  const { execResult } = await runTx(vm, { tx, skipBlockGasLimitValidation: true })
  if (execResult.exceptionError) throw execResult.exceptionError
})
const held = await (await stage(SimpleStateManager, plain)).stateManager.getStorage(
  home, keccak256(concatBytes(setLengthLeft(plain[0].bytes, 32), new Uint8Array(32))),
)
if (bytesToHex(held) !== '0x1000000000000000') throw new Error('the holders have no balance')
