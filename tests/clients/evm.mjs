// A contract of modules/evm as a process, put there by the program's own commands, and a fresh key that
// owns it.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Wallet, dataSlice, getAddress, keccak256 } from 'ethers'
import { assert, units } from './kit.mjs'

const folder = mkdtempSync(join(tmpdir(), 'clients-evm-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const path = (name) => new URL(`../../modules/built/evm/${name}.json`, import.meta.url).pathname

// What the compiler made of a contract.
export const built = (name) => JSON.parse(readFileSync(path(name), 'utf8'))

export function deploy(name, args) {
  const { privateKey: key, address } = Wallet.createRandom()
  const file = join(folder, address)
  writeFileSync(file, key, { mode: 0o600 })
  const env = { ...process.env, MU_URL: units.mu, CU_URL: units.cu, DRIVEBAY_WALLET: file }
  const drivebay = (...words) => {
    return execFileSync(process.env.DRIVEBAY, words, { env, encoding: 'utf8', cwd: folder }).trim()
  }
  const module = drivebay('publish', path(name))
  // An id may begin with a hyphen.
  const tag = args.length > 0 ? ['--tag', `Constructor-Args=${JSON.stringify(args)}`] : []
  const pid = drivebay('spawn', ...tag, '--', module)
  assert.match(pid, /^[\w-]{43}$/)
  const home = getAddress(dataSlice(keccak256(Buffer.from(pid, 'base64url')), 12))
  return { pid, url: `${units.cu}/eth/${pid}`, home, abi: built(name).abi, key, address }
}
