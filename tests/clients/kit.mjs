// What the scripts share: where the units are, wallets, signers, and steps that are counted.
import assert from 'node:assert/strict'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import * as arbundles from '@dha-team/arbundles'
import { connect, createDataItemSigner } from '@permaweb/aoconnect'

export { assert }

// `drivebay up --json` prints one line; the caller hands it over.
export const units = JSON.parse(process.env.DRIVEBAY_UNITS)

export const ao = connect({
  MODE: 'legacy',
  noLog: true,
  GATEWAY_URL: units.gateway,
  GRAPHQL_URL: `${units.gateway}/graphql`,
  MU_URL: units.mu,
  CU_URL: units.cu,
})

// The id of the aos module, for scripts that need it.
export function aosModule() {
  const module = units.modules.aos2_0_6
  assert.ok(module, 'aos 2.0.6 was not published: run modules/fetch first')
  return module
}

// An RSA key of 4096 bits takes a second to make, and has no meaning beyond a run.
export function rsaSigner() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 4096, publicExponent: 65537 })
  return createDataItemSigner(privateKey.export({ format: 'jwk' }))
}

export function ethereumSigner() {
  const key = new arbundles.EthereumSigner(randomBytes(32).toString('hex'))
  const signer = async (create) => {
    const hash = await create({ type: 3, publicKey: key.publicKey, alg: 'ethereum' })
    return { signature: await key.sign(hash), address: 'unused' }
  }
  signer.address = key.pk
  return signer
}

let count = 0

export async function step(name, run) {
  const started = process.cpuUsage()
  try {
    const value = await run()
    count += 1
    console.log(`ok   ${name}`)
    return value
  } catch (error) {
    console.log(`FAIL ${name} (cpu ${process.cpuUsage(started).user} us)\n${error.stack ?? error}`)
    process.exit(1)
  }
}

export function done(expected) {
  assert.equal(count, expected, `${count} steps ran, not ${expected}`)
  console.log(`${count} steps passed`)
  process.exit(0)
}

// Asks again until an answer is right, within ten seconds: messages between processes take their time.
export async function until(ask, right) {
  const end = Date.now() + 10_000
  for (;;) {
    const answer = await ask()
    if (right(answer)) return answer
    if (Date.now() > end) assert.fail(`not what was waited for: ${JSON.stringify(answer)}`)
    await new Promise((wake) => setTimeout(wake, 50))
  }
}
