// Holds the reader's own JSON to the json.lua of a published aos module, which is taken out of its WebAssembly and runs on
// the same reader: seeded random values and texts, in `json.lua`.
//
//   node json.mjs --drivebay PROGRAM --module aos2_0_6.wasm [--seeds 50]
//
// Ends with 1 at the first difference, which it shows.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sources } from './sources.mjs';

const given = {};
for (let at = 2; at < process.argv.length; at += 2) given[process.argv[at].slice(2)] = process.argv[at + 1];
const seeds = Number(given.seeds ?? 50);
const folder = mkdtempSync(join(tmpdir(), 'json-'));
try {
  const files = { 'main.lua': readFileSync(new URL('json.lua', import.meta.url), 'utf8'), 'theirs.lua': sources(given.module).json };
  writeFileSync(join(folder, 'bundle.json'), JSON.stringify(files));
  const messages = Array.from({ length: seeds }, (_, seed) => JSON.stringify({ Data: String(seed) }));
  writeFileSync(join(folder, 'log.jsonl'), `${messages.join('\n')}\n`);
  const line = ['--data', join(folder, 'data'), 'run', join(folder, 'bundle.json'), '--format', 'lua-5.3-1', '--json'];
  const done = spawnSync(given.drivebay, [...line, '--message', `@${join(folder, 'log.jsonl')}`], { encoding: 'utf8', maxBuffer: 1 << 30 });
  const answers = done.stdout.trim().split('\n').filter((text) => text.startsWith('{')).map((text) => JSON.parse(text));
  const counts = {};
  let played = 0;
  for (const { Output, Error: error } of answers) {
    if (error) throw new Error(`seed ${played}: ${typeof error === 'string' ? error : JSON.stringify(error)}`);
    const text = typeof Output === 'object' && Output !== null ? (Output.data ?? '') : (Output ?? '');
    if (!text.startsWith('{')) continue;
    played += 1;
    for (const [name, count] of Object.entries(JSON.parse(text))) counts[name] = (counts[name] ?? 0) + count;
  }
  if (played < seeds) throw new Error(`${played} of ${seeds} messages were answered: ${done.stderr}`);
  console.log(`${seeds} seeds: ${Object.entries(counts).sort().map(([name, count]) => `${count} ${name}`).join(', ')}; all as aos's json.lua`);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
