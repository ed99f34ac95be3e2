// Plays logs through a published aos module in WebAssembly, and through the same module's own Lua sources natively, and
// says where the answers differ.
//
//   node aos.mjs --drivebay PROGRAM --module aos2_0_6.wasm [--lua-only] [--bundle OUT.json] LOG.jsonl...
//
// A log has one message a line, as `drivebay run --message` takes it. Answers are compared as values: texts that are
// JSON are read, and objects are maps. What differs only in the order of its parts is of a class of its own ("order"),
// since two tables may be walked in two orders; and what differs only in tracebacks, since what stands around aos is C on
// one side and Lua on the other ("trace"). Both are counted, and shown with --verbose. Addresses are left out. --lua-only leaves JSON and
// base64 to the sources; otherwise they are the reader's own. --bundle writes the native module and stops there if there
// is no log. Ends with 1 if anything differs in more.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { sources } from './sources.mjs';

const PROCESS = 'aNative-and-aos-in-wasm-answer-the-same-000';
const MODULE = 'both-are-spawned-as-if-of-this-same-module-0';

function options(words) {
  const given = { logs: [] };
  while (words.length > 0) {
    const word = words.shift();
    if (word === '--lua-only' || word === '--verbose') given[word.slice(2)] = true;
    else if (word.startsWith('--')) given[word.slice(2)] = words.shift();
    else given.logs.push(word);
  }
  return given;
}

export function bundle(module, luaOnly) {
  const files = { 'main.lua': readFileSync(new URL('aos.lua', import.meta.url), 'utf8') };
  for (const [name, text] of Object.entries(sources(module))) files[`[string "${name}"]`] = text;
  if (luaOnly) files.LUA_ONLY = '';
  return JSON.stringify(files);
}

function play(drivebay, module, format, log, folder) {
  const line = ['--data', join(folder, format ?? 'wasm'), 'run', module, '--process', PROCESS, '--tag', `Module=${MODULE}`];
  line.push('--json', '--message', `@${log}`);
  if (format) line.push('--format', format);
  const done = spawnSync(drivebay, line, { encoding: 'utf8', maxBuffer: 1 << 30 });
  const lines = done.stdout.trim().split('\n').filter((line) => line.startsWith('{'));
  if (done.status > 1 || lines.length === 0) throw new Error(`${line.join(' ')}: ${done.stderr}`);
  return lines.map((line) => JSON.parse(line));
}

// A value without what is no answer, with texts of JSON read and keys in order.
function plain(value) {
  if (typeof value === 'string' && /^\s*[{[]/.test(value)) {
    try { return { json: plain(JSON.parse(value)) }; } catch { return value; }
  }
  if (Array.isArray(value)) return value.map(plain);
  if (value && typeof value === 'object') {
    return Object.fromEntries(Object.keys(value).sort().map((key) => [key, plain(value[key])]));
  }
  return value;
}

function answer({ Output, Messages, Spawns, Assignments, Error: error }) {
  const text = JSON.stringify(plain({ Output, Messages, Spawns, Assignments, Error: error }));
  // Where a function or a table lies is nobody's business: ours has a number there.
  return text.replace(/(function|table|thread|builtin): (builtin: )?(0x)?[0-9a-f]+/g, '$1: 0x0');
}

// The words of an answer, in order of the alphabet. Colours are none.
const words = (text) => text.replace(/(\\u001b|\\\\27)\[\d+m/g, ' ').replace(/\\+n/g, ' ').split(/[\s,;{}\[\]()"\\]+/).sort().join(' ').trim();

// Without the lines of tracebacks, and how Lua calls a function there.
const untraced = (text) => text.replace(/stack traceback:.*?(?=\\+(u001b|27)\[0m)/g, 'stack traceback');

function kindOf(theirs, ours) {
  if (theirs === ours) return 'equal';
  if (words(theirs) === words(ours)) return 'order';
  return words(untraced(theirs)) === words(untraced(ours)) ? 'trace' : 'different';
}

function compare(given, log, folder) {
  const wasm = play(given.drivebay, given.module, null, log, folder);
  const lua = play(given.drivebay, join(folder, 'bundle.json'), 'lua-5.3-1', log, folder);
  const counts = { equal: 0, order: 0, trace: 0, different: 0 };
  for (let at = 0; at < Math.max(wasm.length, lua.length); at += 1) {
    const [theirs, ours] = [wasm[at], lua[at]].map((line) => (line ? answer(line) : 'nothing'));
    const kind = kindOf(theirs, ours);
    counts[kind] += 1;
    if (kind === 'different' || (kind !== 'equal' && given.verbose)) {
      console.log(`${basename(log)}, slot ${at}, ${kind}\n  wasm ${theirs.slice(0, 2000)}\n  lua  ${ours.slice(0, 2000)}`);
    }
  }
  console.log(`${basename(log)}: ${wasm.length} answers: ${counts.equal} equal, ${counts.order} but for order, ${counts.trace} but for tracebacks, ${counts.different} different`);
  return counts.different === 0;
}

const given = options(process.argv.slice(2));
const folder = mkdtempSync(join(tmpdir(), 'aos-'));
try {
  const text = bundle(given.module, given['lua-only']);
  if (given.bundle) writeFileSync(given.bundle, text);
  writeFileSync(join(folder, 'bundle.json'), text);
  const results = given.logs.map((log) => {
    for (const name of ['wasm', 'lua-5.3-1']) rmSync(join(folder, name), { recursive: true, force: true });
    return compare(given, log, folder);
  });
  process.exitCode = results.every(Boolean) ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
