// The lines of a run as a table of ratios.
//
//   node table.mjs OUT.jsonl
//
// Several rounds are brought together by their median. Times are in milliseconds. The ratios to the bare call are not of
// these times: each is the median of the ratios of messages that took turns, and in brackets that of all their time.
import { readFileSync } from 'node:fs';

const lines = readFileSync(process.argv[2], 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
const rows = new Map();
const grown = new Map();
const of = (map, key, fresh) => map.get(key) ?? (map.set(key, fresh), fresh);
for (const line of lines) {
  const { workload, step, road, over, beside } = line;
  if (step === 'all' || step === 'between') continue;
  if (beside) {
    if (over) of(grown, `${workload} ${step}, ${road}, to ${over}`, []).push(line);
  } else {
    (of(rows, `${workload} ${step}`, {})[road] ??= []).push(line);
  }
}
const median = (list, key) => {
  if (!list) return undefined;
  const sorted = list.map((one) => one[key]).filter((value) => value !== undefined).sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
};
const paired = (list) => {
  const [ratio, all] = [median(list, 'ratio'), median(list, 'ratio_of_all')];
  return ratio === undefined ? '–' : `${ratio.toFixed(2)} (${all.toFixed(2)})`;
};
const time = (micros) => (micros === undefined ? '–' : (micros / 1e3).toPrecision(3));
const over = (a, b) => (a === undefined || b === undefined ? '–' : (a / b).toFixed(2));
const roads = ['bare', 'drive', 'read', 'root', 'thaw', 'loader nocopy', 'loader std'];
const heads = ['step', 'bare', 'drive', 'drive, read', 'root', 'thaw alone', 'loader, no copies', 'loader', 'loader / drive',
  'loader without copies / bare', 'drive / bare', 'read / bare', 'root / bare', 'MB of a drive'];
console.log(`| ${heads.join(' | ')} |\n|${'---|'.repeat(heads.length)}`);
for (const [name, found] of rows) {
  const [bare, drive, read, root, thaw, nocopy, std] = roads.map((road) => median(found[road], 'median_us'));
  // What is no read is evaluated on the road "thaw" as on any other.
  const alone = /dryrun/.test(name) ? thaw : undefined;
  const cells = [...[bare, drive, read, root, alone, nocopy, std].map(time), over(std, drive), over(nocopy, bare),
    ...[found.drive, found.read, found.root].map(paired), median(found.memory, 'rss_mb') ?? '–'];
  console.log(`| ${name} | ${cells.join(' | ')} |`);
}
if (grown.size > 0) console.log('\n| a larger state | ratio | n |\n|---|---|---|');
for (const [name, found] of grown) console.log(`| ${name} | ${paired(found)} | ${median(found, 'n')} |`);
const compute = [...rows].filter(([name]) => name.startsWith('C_compute c_')).map(([, found]) => found);
const gains = compute.map((found) => median(found['loader nocopy'], 'median_us') / median(found.bare, 'median_us'));
if (gains.length > 0 && gains.every(Number.isFinite)) {
  const mean = Math.exp(gains.map(Math.log).reduce((a, b) => a + b) / gains.length);
  console.log(`\nC: the bare call against V8 without copies, geometric mean of ${gains.length}: ${mean.toFixed(2)}`);
}
