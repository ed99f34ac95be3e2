// PyPI's web3, in an environment of its own: see web3_token.py.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { deploy } from './evm.mjs'
import { done, step } from './kit.mjs'

const where = await step('deploy by spawn', () => deploy('Token', ['Gold', 'GLD', '1000000']))
await step('web3.py: reads, a transfer, its event, a revert; a pool, a swap, its event, its revert', async () => {
  const built = new URL('../../modules/built/evm', import.meta.url).pathname
  const argument = JSON.stringify({ ...where, built })
  await promisify(execFile)(process.env.WEB3_PYTHON, ['web3_token.py', argument])
})
done(2)
