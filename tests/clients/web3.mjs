// PyPI's web3, in an environment of its own: see web3_token.py.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { deploy } from './evm.mjs'
import { done, step } from './kit.mjs'

const where = await step('deploy by spawn', () => deploy('Token', ['Gold', 'GLD', '1000000']))
await step('web3.py: reads, a transfer, its event, a revert', async () => {
  await promisify(execFile)(process.env.WEB3_PYTHON, ['web3_token.py', JSON.stringify(where)])
})
done(2)
