// npm's @permaweb/aoconnect 0.0.98, unmodified, in legacy mode, on a real aos process: every call that it
// has, with an RSA and with an Ethereum wallet.
import { ao, aosModule, assert, done, ethereumSigner, rsaSigner, step, units, until } from './kit.mjs'

const module = aosModule()

const text = (result) => result.Output?.data?.output ?? result.Output?.data
const plain = (result) => String(text(result)).replace(/\u001b\[[0-9;]*m/g, '')
const tag = (tags, name) => tags.find((tag) => tag.name === name)?.value

// An Ethereum wallet signs without chance: the same text twice would be the same message.
let sent = 0

async function all(kind, signer) {
  const named = (name, run) => step(`${kind}: ${name}`, run)
  const evaluate = async (process, data) => {
    sent += 1
    const tags = [{ name: 'Action', value: 'Eval' }, { name: 'Sent', value: String(sent) }]
    const message = await ao.message({ process, signer, tags, data })
    return [message, await ao.result({ process, message })]
  }

  const pid = await named('spawn', async () => {
    const tags = [{ name: 'Name', value: 'clients' }, { name: 'Authority', value: units.authority }]
    return ao.spawn({ module, scheduler: units.scheduler, signer, tags })
  })
  assert.match(pid, /^[\w-]{43}$/)

  await named('result of the process itself', async () => {
    const result = await ao.result({ process: pid, message: pid })
    assert.deepEqual(Object.keys(result).slice(0, 4), ['Messages', 'Assignments', 'Spawns', 'Output'])
    assert.equal(result.Error, undefined)
  })

  const [first] = await named('message, result', async () => {
    const [message, result] = await evaluate(pid, 'Count = (Count or 0) + 1 return Count + 1')
    assert.equal(plain(result), '2')
    assert.match(result.Output.prompt ?? result.Output.data.prompt, /aos/)
    return [message, result]
  })

  await named('results', async () => {
    const page = await ao.results({ process: pid, sort: 'ASC', limit: 25 })
    assert.ok(page.edges.length >= 2, JSON.stringify(page))
    const last = page.edges.at(-1)
    assert.equal(plain(last.node), '2')
    const cursor = JSON.parse(atob(last.cursor))
    assert.equal(cursor.ordinate, '1')
    assert.equal(typeof cursor.timestamp, 'number')
    const none = await ao.results({ process: pid, from: last.cursor, sort: 'ASC' })
    assert.deepEqual(none.edges, [])
    const newest = await ao.results({ process: pid, sort: 'DESC', limit: 1 })
    assert.deepEqual(newest.edges.map((edge) => edge.node.Output), [last.node.Output])
  })

  await named('an error is a result, and the state is the one before', async () => {
    const [, failed] = await evaluate(pid, 'Count = 99 error("no")')
    assert.match(failed.Error, /no/)
    assert.deepEqual(failed.Messages, [])
  })

  await named('signMessage, sendSignedMessage', async () => {
    const tags = [{ name: 'Action', value: 'Eval' }]
    const signed = await ao.signMessage({ process: pid, signer, tags, data: 'return 40 + 2' })
    const message = await ao.sendSignedMessage(signed)
    assert.equal(message, signed.id)
    assert.equal(plain(await ao.result({ process: pid, message })), '42')
    // Sent again, it is the same message at the same place.
    assert.equal(await ao.sendSignedMessage(signed), message)
    const places = (await ao.results({ process: pid, sort: 'ASC' })).edges
    assert.equal(places.filter((edge) => plain(edge.node) === '42').length, 1)
    const bent = Uint8Array.from(signed.raw)
    bent[bent.length - 1] ^= 1
    await assert.rejects(ao.sendSignedMessage({ id: signed.id, raw: bent }))
  })

  await named('a handler, and dryrun', async () => {
    const handler = `Handlers.add("Echo", "Echo", function(m)
      Shown = (Shown or 0) + 1
      m.reply({ Data = "echo " .. m.Data .. " " .. Shown .. " " .. tostring(m["Read-Only"]) })
    end)`
    const [, added] = await evaluate(pid, handler)
    assert.equal(added.Error, undefined)
    const ask = { process: pid, data: 'hi', tags: [{ name: 'Action', value: 'Echo' }] }
    for (let n = 0; n < 2; n += 1) {
      const result = await ao.dryrun(ask)
      assert.equal(result.Messages.length, 1, JSON.stringify(result))
      assert.match(result.Messages[0].Data, /^echo hi 1 /)
      assert.equal(tag(result.Messages[0].Tags, 'Type'), 'Message')
    }
    const [, shown] = await evaluate(pid, 'return tostring(Shown)')
    assert.equal(plain(shown), 'nil')
  })

  const other = await named('a second process, trusted by none', () =>
    ao.spawn({ module, scheduler: units.scheduler, signer, tags: [{ name: 'Authority', value: units.authority }] }))

  await named('a message from process to process, and its reply', async () => {
    const [, there] = await evaluate(other, 'Handlers.add("Ping", "Ping", function(m) m.reply({ Action = "Pong", Data = "pong" }) end)')
    assert.equal(there.Error, undefined)
    const [, sent] = await evaluate(pid, `Handlers.add("Pong", "Pong", function(m) Got = m.From .. " " .. m.Data end)
      Send({ Target = "${other}", Action = "Ping" })`)
    assert.equal(sent.Messages.length, 1)
    await until(async () => plain((await evaluate(pid, 'return Got or "nothing yet"'))[1]), (got) => got === `${other} pong`)
  })

  await named('assign', async () => {
    const [, set] = await evaluate(other, 'ao.addAssignable("any", function() return true end) Handlers.add("Any", function(m) return m.Id == Wanted end, function(m) Assigned = m.Id end) ')
    assert.equal(set.Error, undefined)
    const assignment = await ao.assign({ process: other, message: first })
    assert.match(assignment, /^[\w-]{43}$/)
    const result = await ao.result({ process: other, message: assignment })
    assert.equal(result.error, undefined, JSON.stringify(result))
    assert.ok(Array.isArray(result.Messages))
    const same = await ao.result({ process: other, message: first })
    assert.deepEqual(same, result)
  })

  await named('monitor, unmonitor', async () => {
    assert.match(await ao.monitor({ process: pid, signer }), /^[\w-]{43}$/)
    assert.match(await ao.unmonitor({ process: pid, signer }), /^[\w-]{43}$/)
  })

  await named('what is wrong is said', async () => {
    const unknown = await ao.result({ process: pid, message: 'x'.repeat(43) })
    assert.equal(typeof unknown.error, 'string')
    await assert.rejects(ao.spawn({ module: 'x'.repeat(43), scheduler: units.scheduler, signer }))
    const lost = ao.message({ process: 'x'.repeat(43), signer, data: 'hi' })
    await assert.rejects(lost, /4\d\d|5\d\d|not found/i)
  })
}

await all('rsa', rsaSigner())
await all('ethereum', ethereumSigner())

await step('returnAssignmentSlot, getLastSlot, getMessageById, getMessages: with hook.mjs', async () => {
  const signer = ethereumSigner()
  const process = await ao.spawn({ module, scheduler: units.scheduler, signer })
  // The scheduler answers before it uploads; the look-up wants the process in the gateway.
  await until(async () => (await fetch(`${units.gateway}/${process}`, { method: 'HEAD' })).status, (status) => status === 200)
  const sent = await ao.message({ process, signer, data: 'hi', returnAssignmentSlot: true, returnMessageId: true })
  assert.equal(sent.slot, '1')
  assert.equal(String(await ao.getLastSlot({ processId: process, since: Date.now() - 60_000 })), '1')
  const pair = await ao.getMessageById({ processId: process, messageId: sent.id })
  assert.equal(pair.message.data, 'hi')
  const page = await ao.getMessages({ processId: process, from: '0', to: String(Date.now() + 1000), limit: '10' })
  assert.ok(page.edges.some((edge) => edge.node.message.id === sent.id))
})

done(25)
