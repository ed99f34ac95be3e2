// The programs of a workload as files of Lua, for interpreters that know nothing of messages:
//   node programs.mjs C_compute.json aos.wasm OUT
// writes OUT/STEP.lua for each step that is an Eval, and OUT/json.lua, as the module has it.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sources } from '../../conformance/lua/sources.mjs';

const [workload, module, out] = process.argv.slice(2);
const { messages, steps } = JSON.parse(readFileSync(workload, 'utf8'));
for (const { label, from } of steps) {
  const { Tags, Data } = messages[from];
  if (Tags.some(({ name, value }) => name === 'Action' && value === 'Eval')) writeFileSync(join(out, `${label}.lua`), Data);
}
writeFileSync(join(out, 'json.lua'), sources(module).json, 'latin1');
