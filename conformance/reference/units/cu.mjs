// One log of an aos process, by the reference compute unit and by ours: equal, message by message.
import assert from 'node:assert/strict'
import { aos, drivebay, evaluate, message, published, reference, result, root } from './kit.mjs'
import { join } from 'node:path'

const count = Number(process.argv[2] || 500)
const units = await drivebay('data', 'up', '--modules', join(root, 'modules/aos'))
const { child, cu } = await reference(units)

const pid = await aos(units, units.su)
const ids = [pid]
const setUp = [
  'Count = 0 Log = {}',
  'Handlers.add("Ping", "Ping", function(m) Count = Count + 1 m.reply({ Data = "pong " .. Count }) end)',
  `Handlers.add("Fan", "Fan", function(m) for n = 1, 3 do Send({ Target = m.From, Action = "Fan-Out", Data = tostring(n) .. m.Data }) end end)`,
  'Handlers.add("Bad", "Bad", function(m) Count = Count + 100 error("bad " .. m.Data) end)',
  'Handlers.add("Grow", "Grow", function(m) table.insert(Log, string.rep(m.Data, 50)) print(#Log) end)',
]
for (const code of setUp) ids.push(await evaluate(units.su, pid, code))
// Evals, replies, errors in handlers and in code, spawns, prints, floats, random numbers, JSON and Unicode.
const kinds = [
  (n) => message(units.su, pid, [{ name: 'Action', value: 'Ping' }], `ping ${n}`),
  (n) => evaluate(units.su, pid, `return ${n} * 3 / 7, math.random(1000), Count`),
  (n) => message(units.su, pid, [{ name: 'Action', value: 'Fan' }, { name: 'X-Ünicode', value: 'é✓' }], `fan ${n}`),
  (n) => message(units.su, pid, [{ name: 'Action', value: 'Bad' }], `bad ${n}`),
  (n) => evaluate(units.su, pid, `nosuch.thing = ${n}`),
  (n) => message(units.su, pid, [{ name: 'Action', value: 'Grow' }], `grow ${n} 😀`),
  (n) => evaluate(units.su, pid, `local j = require("json") return j.encode({ n = ${n}, list = { 1, 2.5, "x" }, at = os.time() })`),
  (n) => evaluate(units.su, pid, `print("line ${n}") print(Colors.red .. "red" .. Colors.reset) return #Inbox`),
  (n) => message(units.su, pid, [{ name: 'Action', value: 'Unknown' }], `nobody handles ${n}`),
  (n) => evaluate(units.su, pid, `Spawn("${units.modules.aos2_0_6}", { Data = "x${n}", Tags = { A = "b" } }) Assign({ Processes = { ao.id }, Message = "${pid}" })`),
]
while (ids.length < count) ids.push(await kinds[ids.length % kinds.length](ids.length))
await published(units, pid)

const last = ids.at(-1)
const started = Date.now()
const ours = await result(units.cu, pid, last)
const middle = Date.now()
const theirs = await result(cu, pid, last)
assert.equal(theirs.status, 200, `${JSON.stringify(theirs.json)}\n${child.said}`)
console.log(`${ids.length} messages: ours took ${middle - started} ms, the reference ${Date.now() - middle} ms`)
assert.equal(ours.status, 200)

const seen = { errors: 0, messages: 0, spawns: 0, assignments: 0 }
for (const [nonce, id] of ids.entries()) {
  const [one, other] = await Promise.all([result(units.cu, pid, id), result(cu, pid, id)])
  const part = ({ json }) => ['Messages', 'Assignments', 'Spawns', 'Output', 'Error'].map((key) => json[key])
  assert.deepEqual(part(one), part(other), `slot ${nonce}, message ${id}`)
  seen.errors += one.json.Error === undefined ? 0 : 1
  seen.messages += one.json.Messages.length
  seen.spawns += one.json.Spawns.length
  seen.assignments += one.json.Assignments.length
}
assert.ok(seen.errors > 0 && seen.messages > 0 && seen.spawns > 0 && seen.assignments > 0, JSON.stringify(seen))

// Lists of results too, with their cursors.
const page = async (url) => (await fetch(`${url}/results/${pid}?sort=ASC&limit=1000`)).json()
const [mine, yours] = [await page(units.cu), await page(cu)]
// The reference writes a cron that is none as null, where it has read the result out of its database.
const places = (edges) => edges.map(({ cursor }) => {
  const { timestamp, ordinate, cron, sort } = JSON.parse(atob(cursor))
  return { timestamp, ordinate, cron: cron ?? undefined, sort }
})
assert.deepEqual(places(mine.edges), places(yours.edges))
console.log(`equal: ${ids.length} results, ${JSON.stringify(seen)}, and ${mine.edges.length} cursors`)
process.exit(0)
