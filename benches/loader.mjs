// The reference's loader on a workload: CPU time of the whole process, a median over the messages of each step.
//
//   node loader.mjs WORKLOAD.json MODULE.wasm FORMAT [limit=N] [road=std|nocopy] [pages=N]
//
// `std` calls it as the reference CU does: a copy of the memory in, one out. `nocopy` keeps the memory where it is.
// A dry-run is evaluated on the state and its memory thrown away; without copies it cannot be undone, and is measured
// all the same.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [workloadPath, modulePath, format, ...rest] = process.argv.slice(2);
const options = Object.fromEntries(rest.map((text) => text.split('=')));
const road = options.road ?? 'std';
const limit = Number(options.limit ?? Infinity);
const require = createRequire(pathToFileURL(`${process.cwd()}/loader.cjs`));
const load = require('@permaweb/ao-loader');
const workload = JSON.parse(readFileSync(workloadPath, 'utf8'));

// Copies the module with another maximum in its memory section.
function withMaximum(bytes, pages) {
  let at = 8;
  const leb = () => {
    let value = 0n, shift = 0n, byte;
    do { byte = bytes[at++]; value |= BigInt(byte & 127) << shift; shift += 7n; } while (byte & 128);
    return value;
  };
  const encode = (value) => {
    const out = [];
    let left = BigInt(value);
    do { const byte = Number(left & 127n); left >>= 7n; out.push(left ? byte | 128 : byte); } while (left);
    return out;
  };
  while (at < bytes.length) {
    const start = at;
    const id = bytes[at++];
    const size = Number(leb());
    const body = at;
    if (id === 5) {
      leb();
      const flags = bytes[at++];
      const minimum = leb();
      const section = [1, flags | 1, ...encode(minimum), ...encode(pages)];
      const head = [5, ...encode(section.length), ...section];
      return Buffer.concat([bytes.subarray(0, start), Buffer.from(head), bytes.subarray(body + size)]);
    }
    at = body + size;
  }
  throw new Error('no memory section');
}

let binary = readFileSync(modulePath);
if (options.pages) binary = withMaximum(binary, options.pages);
const nanos = () => { const { user, system } = process.cpuUsage(); return (user + system) * 1000; };
const fromZero = nanos();
const handle = await load(binary, { format, computeLimit: 9e12, UNSAFE_MEMORY: road !== 'std' });
let memory = null;

async function evaluate(message, dry) {
  const result = await handle(road === 'std' ? memory : null, message, workload.env);
  if (!dry && road === 'std' && !result.Error) memory = result.Memory;
  return result;
}

let next = 0;
const print = (step, times, answered) => {
  const sorted = [...times].sort((a, b) => a - b);
  const mean = times.reduce((a, b) => a + b, 0) / times.length;
  console.log(JSON.stringify({
    workload: workload.name, road: `loader ${road}`, step, n: times.length,
    median_us: +(sorted[sorted.length >> 1] / 1e3).toFixed(1), mean_us: +(mean / 1e3).toFixed(1), answered,
    rss_mb: Math.round(process.memoryUsage.rss() / 1e6),
  }));
};

// The state is grown without copies: only what is measured pays for them.
for (const step of workload.steps) {
  for (; next < step.from; next += 1) await evaluate(workload.messages[next], false);
  const times = [];
  let answered = 0;
  for (let at = step.from; at < Math.min(step.to, step.from + limit); at += 1) {
    const start = nanos();
    const result = await evaluate(workload.messages[at], step.kind === 'dryrun');
    times.push(nanos() - start);
    answered += JSON.stringify(result.Output ?? '').length;
  }
  next = step.to;
  print(step.label, times, answered);
}
console.log(JSON.stringify({ workload: workload.name, road: `loader ${road}`, step: 'all', n: 1, median_us: (nanos() - fromZero) / 1e3 }));
