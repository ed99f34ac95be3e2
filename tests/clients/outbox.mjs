// The library Ao.sol, by the contract Courier of modules/evm: what it sends, and what a revert takes back.
import { execFileSync } from 'node:child_process'
import { deploy } from './evm.mjs'
import { assert, done, step, units } from './kit.mjs'

const { pid } = await step('deploy by spawn', () => deploy('Courier', []))
const other = 'A'.repeat(43)
const env = { ...process.env, GATEWAY_URL: units.gateway, MU_URL: units.mu, CU_URL: units.cu }
const call = (how, ...words) => {
  const line = ['call', '--json', ...how, '--', pid, ...words]
  try {
    return JSON.parse(execFileSync(process.env.DRIVEBAY, line, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }))
  } catch (error) {
    // A contract that reverts is no success of the command, and its result is there all the same.
    assert.equal(error.status, 1, error.stderr)
    return JSON.parse(error.stdout)
  }
}
const dry = (...words) => call(['--dry-run'], ...words)
const tag = (item, name) => item.Tags.find((tag) => tag.name === name)?.value

await step('send, spawn, assign', async () => {
  const [message, ...no] = dry('post', other, 'Greet', '0x6869').Messages
  assert.deepEqual([message.Target, tag(message, 'Action'), message.Data, no], [other, 'Greet', 'hi', []])
  const [spawn] = dry('hatch', other, 'chick').Spawns
  assert.deepEqual([tag(spawn, 'Module'), tag(spawn, 'Name')], [other, 'chick'])
  const { Assignments } = dry('pass', other, JSON.stringify([pid, other]))
  assert.deepEqual(Assignments, [{ Message: other, Processes: [pid, other] }])
})

await step('a message that is sent is heard', async () => {
  const { Output } = call(['--send'], 'current')
  const [id, from, owner, target] = Output.data
  assert.match(id, /^[\w-]{43}$/)
  assert.deepEqual([from, target], [owner, pid])
  assert.equal(dry('heard', 'Action').Output.data, 'heard(string name) view returns (string)')
  assert.equal(dry('heard', 'Nothing').Output.data, '')
  const [reply] = call([], 'answer', 'Thanks').Messages
  assert.deepEqual([reply.Target, tag(reply, 'Action')], [owner, 'Thanks'])
})

await step('what reverts sends nothing', async () => {
  const lost = call([], 'lose', other)
  assert.equal(lost.Error, `execution reverted: Undone(${other})`)
  assert.deepEqual([lost.Messages, lost.Spawns, lost.Assignments], [[], [], []])
  const { Messages, Spawns } = call([], 'tryToLose', other)
  assert.deepEqual(Messages.map((message) => tag(message, 'Action')), ['Before', 'After'])
  assert.deepEqual(Spawns, [])
})

await step('nobody else sends for the contract', async () => {
  // The outbox itself, called by an account and not by the process's contract.
  const outbox = '0x616F2E6f7574626F7800000000000000000000A0'
  const said = call(['--dry-run', '--to', outbox], 'assign(string,string[])', other, JSON.stringify([other]))
  assert.ok(said.Error)
  assert.deepEqual(said.Assignments, [])
})

done(5)
