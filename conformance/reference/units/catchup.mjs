// A schedule of pings, caught up cold over HTTP from our scheduler: by our unit whole, by the reference in part.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { aos, cpuMs, drivebay, evaluate, message, published, reference, result, root } from './kit.mjs'

const [all, part] = [5000, Number(process.argv[2] || 200)]
// Two programs, so that the bill of our compute unit is its own.
const units = await drivebay('data', 'up', '--modules', join(root, 'modules/aos'))
const pid = await aos(units, units.su)
const ids = [pid, await evaluate(units.su, pid, 'Handlers.add("Ping", "Ping", function(m) m.reply({ Data = "pong " .. m.Data }) end)')]
const tags = [{ name: 'Action', value: 'Ping' }]
while (ids.length < all) ids.push(await message(units.su, pid, tags, `ping ${ids.length}`))
await published(units, pid)
console.log(`${all} messages are scheduled`)

async function bill(child, cu, upTo) {
  const [cpu, wall] = [cpuMs(child), Date.now()]
  const { status, json } = await result(cu, pid, ids[upTo])
  assert.equal(status, 200, JSON.stringify(json))
  assert.match(JSON.stringify(json.Messages), new RegExp(`pong ping ${upTo}`))
  return { messages: upTo + 1, cpu: (cpuMs(child) - cpu) / (upTo + 1), wall: (Date.now() - wall) / (upTo + 1) }
}

const own = await drivebay('cu', 'cu', '--set', `cu.su=${units.su}`, '--set', `gateway.urls=${units.gateway}`)
// Each has its module compiled before, as a unit at work has.
await result(own.cu, pid, pid)
const ours = await bill(own.child, own.cu, all - 1)
console.log(`ours:          ${ours.messages} messages, ${ours.cpu.toFixed(2)} ms of CPU each, ${ours.wall.toFixed(2)} ms of time`)
const { child, cu } = await reference(units)
await result(cu, pid, pid)
const theirs = await bill(child, cu, part - 1)
console.log(`the reference: ${theirs.messages} messages, ${theirs.cpu.toFixed(2)} ms of CPU each, ${theirs.wall.toFixed(2)} ms of time`)
console.log(`${(theirs.cpu / ours.cpu).toFixed(1)} times less CPU a message`)
process.exit(0)
