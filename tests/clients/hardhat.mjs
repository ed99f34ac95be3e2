// npm's hardhat 2.29.1, unmodified, with its ethers plugin: a process as one of its networks.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { deploy } from './evm.mjs'
import { assert, done, step } from './kit.mjs'

const here = (path) => new URL(path, import.meta.url).pathname
const { url, home, key } = await step('deploy by spawn', () => {
  return deploy('Token', ['Gold', 'GLD', '1000000'])
})

await step('hardhat run: a token, a pool, a swap, its event, a revert', async () => {
  const env = {
    ...process.env,
    PROCESS_URL: url,
    PROCESS_KEY: key,
    GOLD: home,
    BUILT: here('../../modules/built/evm'),
    HARDHAT_DISABLE_TELEMETRY_PROMPT: 'true',
  }
  const words = ['node_modules/hardhat/internal/cli/cli.js', 'run', '--no-compile', '--network', 'process', 'use.js']
  const { stdout } = await promisify(execFile)(process.execPath, words, { cwd: here('hardhat'), env })
  assert.match(stdout, /^used$/m)
})

done(2)
