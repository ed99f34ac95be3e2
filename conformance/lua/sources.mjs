// The Lua sources that a module of aos carries in its WebAssembly, by the names that it requires them by.
import { readFileSync } from 'node:fs';

// Sections of a module: segments of data laid out in memory, and where the code is.
function parse(bytes) {
  let at = 8;
  const number = (signed) => {
    let value = 0n, shift = 0n, byte;
    do { byte = bytes[at++]; value |= BigInt(byte & 127) << shift; shift += 7n; } while (byte & 128);
    return Number(signed && byte & 64 ? value - (1n << shift) : value);
  };
  const segments = [];
  let code;
  while (at < bytes.length) {
    const id = bytes[at++], size = number(), end = at + size;
    if (id === 10) code = [at, end];
    if (id === 11) {
      for (let left = number(); left > 0; left -= 1) {
        const kind = number();
        let place = null;
        if (kind === 2) number();
        if (kind !== 1) { at += 1; place = number(true); at += 1; }
        const length = number();
        if (place !== null) segments.push([place, bytes.subarray(at, at + length)]);
        at += length;
      }
    }
    at = end;
  }
  const memory = Buffer.alloc(Math.max(...segments.map(([place, data]) => place + data.length)));
  for (const [place, data] of segments) data.copy(memory, place);
  return { memory, code };
}

// The code that boots Lua pushes each source by address and length, and sets it under its name as field of the table
// below (index -2): constants that can be read where they stand.
export function sources(file) {
  const bytes = readFileSync(file);
  const { memory, code: [from, to] } = parse(bytes);
  const text = (place, length) => memory.subarray(place, place + length).toString('latin1');
  let at;
  const constant = (op) => {
    if (bytes[at++] !== op) return null;
    let value = 0n, shift = 0n, byte;
    do { byte = bytes[at++]; value |= BigInt(byte & 127) << shift; shift += 7n; } while (byte & 128 && shift < 70n);
    return Number(byte & 64 ? value - (1n << shift) : value);
  };
  const found = {};
  for (let start = from; start < to; start += 1) {
    const op = bytes[start];
    if (op !== 0x41 && op !== 0x42) continue;
    at = start;
    const place = constant(op), length = constant(op);
    if (length === null || bytes[at] !== 0x10 || place < 1024 || length < 20 || place + length > memory.length) continue;
    const after = at;
    for (let next = after; next < after + 96 && next < to; next += 1) {
      if (bytes[next] !== 0x41 || bytes[next + 1] !== 0x7e || bytes[next + 2] !== op) continue;
      at = next + 2;
      const named = constant(op);
      if (named === null || named < 1024 || bytes[at] !== 0x10) break;
      const name = text(named, memory.indexOf(0, named) - named);
      if (/^\.?[\w.-]+$/.test(name)) found[name] = text(place, length);
      break;
    }
  }
  delete found.__lua_webassembly__;
  delete found.config;
  return found;
}
