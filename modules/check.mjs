#!/usr/bin/env node
// Runs ledger modules of the format `wasm32-drivebay-1` on a small host of its own and compares them.
//
//   node modules/check.mjs                    all of modules/built
//   node modules/check.mjs a.wasm b.wasm      these
//   node modules/check.mjs --seed 7 --rounds 50
//
// Each module has to fit the format, answer a script as written below, and then answer random
// conversations byte for byte like all the others. The host here is a stand-in: it has no fuel and no
// limits, and it goes back after a fault by starting over and repeating what was accepted.

import { readFileSync, readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const here = dirname(fileURLToPath(import.meta.url));

// ---- the format ----

const WASI = ["fd_write", "fd_read", "fd_close", "fd_seek", "fd_fdstat_get", "fd_prestat_get",
  "fd_prestat_dir_name", "environ_sizes_get", "environ_get", "args_sizes_get", "args_get",
  "clock_time_get", "clock_res_get", "random_get", "proc_exit", "sched_yield"];
const ALLOWED = {
  wasi_snapshot_preview1: new Set(WASI),
  drivebay: new Set(["read", "size", "log"]),
  env: new Set(["abort"]),
};

/** Why a module does not fit the format; empty if it does. */
function complaints(module) {
  const found = [];
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    if (kind !== "function" || !ALLOWED[from]?.has(name)) found.push(`imports ${from}.${name}`);
  }
  const exports = new Map(WebAssembly.Module.exports(module).map(({ name, kind }) => [name, kind]));
  for (const [name, kind] of [["memory", "memory"], ["alloc", "function"], ["handle", "function"]]) {
    if (exports.get(name) !== kind) found.push(`exports no ${kind} ${name}`);
  }
  return found;
}

// ---- a host ----

/** A guest that ended itself in a way the format knows. */
class Raised extends Error {}

/** Ended by itself, trapped, replied with what is no JSON, no UTF-8, or not in its memory. */
const FAULTS = [Raised, WebAssembly.RuntimeError, SyntaxError, TypeError, RangeError];

const EBADF = 8, OK = 0;

/** One live module: its memory is the process's state. */
class Drive {
  constructor(module) {
    this.module = module;
    this.accepted = [];
    this.start();
  }

  start() {
    this.lines = [];
    this.instance = new WebAssembly.Instance(this.module, this.imports());
    this.instance.exports._initialize?.();
  }

  /** One message: the reply and what was logged, or the kind of fault. After a fault or an error the
   *  state is what it was. */
  send(message, env) {
    const call = [JSON.stringify(message), JSON.stringify(env)];
    let answer;
    try {
      answer = this.run(...call);
      if (JSON.parse(answer.reply).Error) this.replay();
      else this.accepted.push(call);
    } catch (fault) {
      if (!FAULTS.some((kind) => fault instanceof kind)) throw fault;
      answer = { fault: fault.message };
      this.replay();
    }
    return answer;
  }

  replay() {
    this.start();
    for (const call of this.accepted) this.run(...call);
  }

  run(message, env) {
    this.lines = [];
    const [msgAt, msgLen] = this.write(message);
    const [envAt, envLen] = this.write(env);
    const packed = BigInt.asUintN(64, this.instance.exports.handle(msgAt, msgLen, envAt, envLen));
    const reply = this.text(Number(packed >> 32n), Number(packed & 0xffffffffn));
    return { reply, lines: this.lines };
  }

  write(text) {
    const bytes = new TextEncoder().encode(text);
    const at = this.instance.exports.alloc(bytes.length) >>> 0;
    if (at === 0 || at % 8 !== 0) throw new Raised(`alloc gave ${at}`);
    this.bytes(at, bytes.length).set(bytes);
    return [at, bytes.length];
  }

  bytes(at, len) {
    return new Uint8Array(this.instance.exports.memory.buffer, at >>> 0, len >>> 0);
  }

  text(at, len) {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.bytes(at, len));
  }

  /** Only what ledgers use is more than a polite no. */
  imports() {
    const wasi = Object.fromEntries(WASI.map((name) => [name, () => EBADF]));
    wasi.sched_yield = () => OK;
    wasi.proc_exit = (code) => {
      throw new Raised(`exit ${code}`);
    };
    const log = (at, len) => this.lines.push(this.text(at, len));
    const abort = (message) => {
      throw new Raised(this.stringOf(message));
    };
    return {
      wasi_snapshot_preview1: wasi,
      drivebay: { log, read: () => -1n, size: () => -1n },
      env: { abort },
    };
  }

  /** A string of AssemblyScript: UTF-16, its bytes counted four before it. */
  stringOf(at) {
    if (at === 0) return "";
    const len = new DataView(this.instance.exports.memory.buffer).getUint32(at - 4, true);
    return new TextDecoder("utf-16le").decode(this.bytes(at, len));
  }
}

// ---- conversations ----

const OWNER = "FcoN_xJeisVsPXA-trzVAuIiqO3ydLQxM-L4XbrQKzY";
const MAX = "18446744073709551615";

const ENV = {
  Process: { Id: "P".repeat(43), Owner: OWNER, Tags: [{ name: "Owner", value: "somebody else" }] },
  Module: { Id: "M".repeat(43), Owner: "{\"Process\":", Tags: [] },
};

function message(from, action, tags = {}, nonce = 0) {
  const list = [["Data-Protocol", "ao"], ["Type", "Message"]];
  if (action !== null) list.push(["Action", action]);
  list.push(...Object.entries(tags));
  return {
    "Id": "I".repeat(43), "From": from, "Owner": from, "Target": ENV.Process.Id, "Anchor": null,
    "Tags": list.map(([name, value]) => ({ name, value })), "Data": "{\"From\":\"]}\\\"", "Timestamp": 1700000000000 + nonce,
    "Block-Height": 1500000, "Epoch": 0, "Nonce": nonce, "Hash-Chain": "", "Cron": false, "Read-Only": false,
  };
}

const NO_QUANTITY = `Quantity must be a whole number from 1 to ${MAX}`;
const says = (output) => ({ Output: output });
const fails = (error) => ({ Error: error });

function notice(target, action, peer, quantity, reference) {
  const tags = { Action: action, ...peer, Quantity: quantity, Reference: `${reference}` };
  return {
    Target: target, Anchor: `${reference}`.padStart(32, "0"),
    Tags: Object.entries(tags).map(([name, value]) => ({ name, value })), Data: "",
  };
}

function transferred(left, from, to, quantity, reference) {
  return {
    Output: left,
    Messages: [
      notice(from, "Debit-Notice", { Recipient: to }, quantity, reference),
      notice(to, "Credit-Notice", { Sender: from }, quantity, reference + 1),
    ],
  };
}

/** What to send and what has to come back: a reply, or "fault". */
const SCRIPT = [
  [message(OWNER, null), says("Nothing to do")],
  [message(OWNER, "Whatever"), says("Nothing to do")],
  [message(OWNER, "Get"), says("0")],
  [message(OWNER, "Inc"), says("1")],
  [message("bob", "Inc"), says("2")],
  // A failed message and a crashed one leave no mark, although both have counted.
  [message(OWNER, "Fail"), fails("Failed as asked")],
  [message(OWNER, "Get"), says("2")],
  [message(OWNER, "Crash"), "fault"],
  [message(OWNER, "Get"), says("2")],
  [message("bob", "Mint", { Quantity: "5" }), fails("Only the owner may mint")],
  [message("", "Mint", { Quantity: "5" }), fails("Only the owner may mint")],
  [message(OWNER, "Mint"), fails(NO_QUANTITY)],
  ...["0", "-1", "+1", "1.5", "1_0", " 1", "1e3", "0x1", "", "١", "18446744073709551616", "99999999999999999999999"]
    .map((quantity) => [message(OWNER, "Mint", { Quantity: quantity }), fails(NO_QUANTITY)]),
  [message(OWNER, "Mint", { Quantity: "00100" }), says("100"), ["minted 100"]],
  [message(OWNER, "Transfer", { Quantity: "1" }), fails("Recipient is missing")],
  [message(OWNER, "Transfer", { Quantity: "101", Recipient: "bob" }), fails("Insufficient balance")],
  [message("bob", "Transfer", { Quantity: "1", Recipient: OWNER }), fails("Insufficient balance")],
  [message(OWNER, "Transfer", { Quantity: "40", Recipient: "bob" }), transferred("60", OWNER, "bob", "40", 1)],
  [message("bob", "Balance"), says("40")],
  [message("bob", "Balance", { Recipient: OWNER }), says("60")],
  [message("bob", "Transfer", { Quantity: "40", Recipient: "bob" }), transferred("40", "bob", "bob", "40", 3)],
  [message("bob", "Transfer", { Quantity: "40", Recipient: "\"\\\n\u0001é𝄞" }), transferred("0", "bob", "\"\\\n\u0001é𝄞", "40", 5)],
  [message("carl", "Balance", { Recipient: "\"\\\n\u0001é𝄞" }), says("40")],
  [message(OWNER, "Mint", { Quantity: "18446744073709551516" }), fails("The supply would pass 64 bits")],
  [message(OWNER, "Mint", { Quantity: "18446744073709551515" }), says("18446744073709551575"), ["minted 18446744073709551515"]],
  // Half a pair, which JSON can write and Unicode has no letter for.
  [message("bob", "Get", { Quantity: "\ud800" }), fails("Malformed message")],
  [{ ...message("bob", "Get"), Tags: [{ name: "Action" }] }, fails("Malformed message")],
  [{ ...message("bob", "Get"), From: 7 }, fails("Malformed message")],
  [{ ...message("bob", "Get"), Tags: [{ value: "Get", name: "Action" }, { name: "Action", value: "Inc" }] }, says("3")],
  [{}, says("Nothing to do")],
];

/** A stream of equal numbers for equal seeds (xorshift32). */
function dice(seed) {
  let state = Math.imul(seed + 1, 0x9e3779b1) | 1;
  return (sides) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % sides;
  };
}

const NAMES = [OWNER, OWNER, "alice", "bob", "carl", "zoë", "\"", "\\", "a\u0000b", "\u001f\u007f", "𝄞", "\u2028", ""];
const ACTIONS = ["Inc", "Get", "Mint", "Mint", "Transfer", "Transfer", "Transfer", "Transfer", "Balance",
  "Balance", "Fail", "Crash", "inc", "Credit-Notice", null];
const QUANTITIES = ["1", "2", "3", "10", "100", "1000", "007", "0", "", "x", "4294967296", MAX, "9223372036854775808"];

function randomMessage(roll, nonce) {
  const one = (list) => list[roll(list.length)];
  // Many names, so that the ledger grows past its first buckets.
  const name = () => (roll(3) === 0 ? `account-${roll(300)}` : one(NAMES));
  const tags = {};
  if (roll(10) > 0) tags.Quantity = one(QUANTITIES);
  if (roll(10) > 0) tags.Recipient = name();
  if (roll(5) === 0) tags[name()] = name();
  return { ...message(name(), one(ACTIONS), tags, nonce), Data: name().repeat(roll(50)), Extra: [{ a: [1.5e-3, null, name()] }, {}, []] };
}

// ---- the check ----

class Tally {
  passed = 0;
  failed = 0;

  is(what, ok, detail = "") {
    if (ok) this.passed += 1;
    else {
      this.failed += 1;
      console.log(`FAILED ${what}${detail && `\n       ${detail}`}`);
    }
    return ok;
  }
}

function checkScript(tally, name, module) {
  const drive = new Drive(module);
  SCRIPT.forEach(([message, wanted, lines = []], at) => {
    const got = drive.send(message, ENV);
    const shown = got.reply ?? "fault";
    const expected = wanted === "fault" ? wanted : JSON.stringify(wanted);
    const same = shown === expected && (got.fault || `${got.lines}` === `${lines}`);
    tally.is(`${name}, line ${at} of the script`, same, `wanted ${expected} ${lines}\n       got    ${shown} ${got.fault ?? got.lines}`);
  });
}

/** One conversation with all of them at once. Short, because every fault repeats it. */
function checkAlike(tally, modules, seed, count = 250) {
  const roll = dice(seed);
  const drives = modules.map(([name, module]) => [name, new Drive(module)]);
  for (let nonce = 0; nonce < count; nonce++) {
    const message = randomMessage(roll, nonce);
    const answers = drives.map(([name, drive]) => [name, drive.send(message, ENV)]);
    const shown = answers.map(([, answer]) => (answer.fault ? "fault" : `${answer.reply} ${answer.lines}`));
    if (new Set(shown).size > 1) {
      const table = answers.map(([name], at) => `${name}: ${shown[at]}`).join("\n       ");
      tally.is(`message ${nonce} of seed ${seed}`, false, `${JSON.stringify(message)}\n       ${table}`);
      return;
    }
  }
  tally.is(`${count} messages of seed ${seed}`, true);
}

/** A guest that frees nothing would fill its memory on messages that change nothing. */
function checkLeaks(tally, name, module) {
  const drive = new Drive(module);
  const calls = ["Get", "Balance", "Whatever"].map((action) => [JSON.stringify({ ...message("bob", action), Data: "x".repeat(20000) }), JSON.stringify(ENV)]);
  const pages = () => drive.instance.exports.memory.buffer.byteLength / 65536;
  const rounds = (n) => { for (let i = 0; i < n; i++) calls.forEach((call) => drive.run(...call)); };
  rounds(100);
  const before = pages();
  rounds(2000);
  tally.is(`${name} keeps its memory`, pages() === before, `${before} pages, then ${pages()}`);
  return before;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: "string", default: "1" },
    rounds: { type: "string", default: "8" },
    help: { type: "boolean", short: "h" },
  },
});
if (values.help) {
  console.log("usage: check.mjs [--seed N] [--rounds N] [MODULE.wasm ...]");
  process.exit(0);
}
const files = positionals.length > 0 ? positionals
  : readdirSync(join(here, "built")).filter((file) => file.endsWith(".wasm")).sort().map((file) => join(here, "built", file));

const tally = new Tally();
const modules = [];
for (const file of files) {
  const name = basename(file, ".wasm"), bytes = readFileSync(file), module = new WebAssembly.Module(bytes);
  const found = complaints(module);
  if (!tally.is(`${name} fits the format`, found.length === 0, found.join("; "))) continue;
  modules.push([name, module]);
  checkScript(tally, name, module);
  const pages = checkLeaks(tally, name, module);
  console.log(`${name.padEnd(16)} ${String(bytes.length).padStart(6)} bytes, ${pages} pages of memory`);
}
for (let round = 0; round < Number(values.rounds); round++) {
  checkAlike(tally, modules, Number(values.seed) + round);
}
console.log(`${tally.passed} passed, ${tally.failed} failed`);
process.exit(tally.failed > 0 || modules.length === 0 ? 1 : 0);
