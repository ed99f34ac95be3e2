// Our messenger with a compute unit that is not ours: two aos processes answer each other through it.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { aos, drivebay, evaluate, published, reference, result, root, sleep } from './kit.mjs'

const rounds = Number(process.argv[2] || 10)
const units = await drivebay('data', 'up', '--modules', join(root, 'modules/aos'))
const { child, cu } = await reference(units)
// Another messenger, which asks the reference. Processes trust both.
const other = await drivebay('mu', 'mu', '--set', `mu.cu=${cu}`, '--set', `gateway.urls=${units.gateway}`)
const about = { ...units, authority: other.authority }
const [one, two] = [await aos(about, other.mu), await aos(about, other.mu)]
for (const pid of [one, two]) {
  await published(units, pid)
  await evaluate(other.mu, pid, `Handlers.add("Ball", "Ball", function(m)
    Got = (Got or 0) + 1
    local left = tonumber(m.Data)
    if left > 0 then Send({ Target = m.From, Action = "Ball", Data = tostring(left - 1) }) end
  end)`)
}
await evaluate(other.mu, one, `Send({ Target = "${two}", Action = "Ball", Data = "${rounds * 2 - 1}" })`)
const got = async (url, pid) => {
  const id = await evaluate(units.su, pid, 'return tostring(Got)')
  return Number((await result(url, pid, id)).json.Output.data.output ?? (await result(url, pid, id)).json.Output.data)
}
for (let n = 0; ; n += 1) {
  const page = await (await fetch(`${units.su}/${two}?limit=1000`)).json()
  const balls = page.edges.filter(({ node }) => node.message?.tags.some(({ name, value }) => name === 'Action' && value === 'Ball'))
  if (balls.length >= rounds) break
  assert.ok(n < 600, `only ${balls.length} of ${rounds} arrive: ${other.child.said} ${child.said}`)
  await sleep(500)
}
await sleep(2000)
for (const pid of [one, two]) {
  assert.equal(await got(cu, pid), rounds)
  // Ours comes to the same, on the same schedule.
  assert.equal(await got(units.cu, pid), rounds)
}
console.log(`${rounds} rounds through our messenger and the reference compute unit`)
process.exit(0)
