// The lines of a run as a table of ratios.
//
//   node table.mjs OUT.jsonl
//
// Several rounds are brought together by their median. Times are in milliseconds.
import { readFileSync } from 'node:fs';

const lines = readFileSync(process.argv[2], 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
const rows = new Map();
for (const { workload, step, road, median_us: micros, rss_mb: memory } of lines) {
  if (step === 'all' || step === 'between') continue;
  const name = `${workload} ${step}`;
  if (!rows.has(name)) rows.set(name, {});
  (rows.get(name)[road] ??= []).push({ micros, memory });
}
const median = (list, key) => {
  if (!list) return undefined;
  const sorted = list.map((one) => one[key]).filter((value) => value !== undefined).sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
};
const time = (micros) => (micros === undefined ? '–' : (micros / 1e3).toPrecision(3));
const over = (a, b) => (a === undefined || b === undefined ? '–' : (a / b).toFixed(2));
const roads = ['bare', 'drive', 'read', 'root', 'thaw', 'loader nocopy', 'loader std'];
const heads = ['step', 'bare', 'drive', 'drive, read', 'root', 'thaw alone', 'loader, no copies', 'loader', 'loader / drive',
  'loader without copies / bare', 'drive / bare', 'read / bare', 'root / bare', 'MB of a drive'];
console.log(`| ${heads.join(' | ')} |\n|${'---|'.repeat(heads.length)}`);
for (const [name, found] of rows) {
  const [bare, drive, read, root, thaw, nocopy, std] = roads.map((road) => median(found[road], 'micros'));
  // What is no read is evaluated on the road "thaw" as on any other.
  const alone = /dryrun/.test(name) ? thaw : undefined;
  const cells = [...[bare, drive, read, root, alone, nocopy, std].map(time), over(std, drive), over(nocopy, bare),
    over(drive, bare), over(read, bare), over(root, bare), median(found.memory ?? found.drive, 'memory') ?? '–'];
  console.log(`| ${name} | ${cells.join(' | ')} |`);
}
const compute = [...rows].filter(([name]) => name.startsWith('C_compute c_')).map(([, found]) => found);
const gains = compute.map((found) => median(found['loader nocopy'], 'micros') / median(found.bare, 'micros'));
if (gains.length > 0 && gains.every(Number.isFinite)) {
  const mean = Math.exp(gains.map(Math.log).reduce((a, b) => a + b) / gains.length);
  console.log(`\nC: the bare call against V8 without copies, geometric mean of ${gains.length}: ${mean.toFixed(2)}`);
}
