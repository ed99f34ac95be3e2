// Makes the tables beside it: random calls to the reference's own imports, and what they answered.
//   cd FOLDER_WITH_node_modules && TZ=UTC node trace.mjs OUT </dev/null      (@permaweb/ao-loader 0.0.49)
// The loader gets a made-up instance in place of a module, so no guest code runs.
import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const zeros = (a) => (new Uint8Array(a.buffer, a.byteOffset, a.byteLength).fill(0), a)
Object.defineProperty(globalThis, 'crypto', { value: { getRandomValues: zeros }, configurable: true })
const lines = []
const quiet = { log: console.log, error: console.error, warn: console.warn }
console.log = console.error = (text) => lines.push(text)
console.warn = console.log
const Loader = createRequire(join(process.cwd(), 'x.js'))('@permaweb/ao-loader')

const FORMATS = {
  fmt2: 'wasm32-unknown-emscripten2', fmt3: 'wasm32-unknown-emscripten3',
  fmt4: 'wasm32-unknown-emscripten4', wasm64: 'wasm64-unknown-emscripten-draft_2024_02_15',
}
const NAMES = ['__wasm_call_ctors', 'handle', 'main', 'malloc', 'free', 'fflush', 'sbrk', 'setThrew', 'setTempRet0', '_emscripten_tempret_set',
  '__errno_location', 'saveSetjmp', 'stackSave', 'stackRestore', 'stackAlloc', 'emscripten_stack_init', 'emscripten_stack_get_free',
  'emscripten_stack_get_base', 'emscripten_stack_get_end', 'emscripten_stack_get_current', '_emscripten_stack_restore', '_emscripten_stack_alloc',
  'emscripten_builtin_memalign', 'asyncify_start_unwind', 'asyncify_stop_unwind', 'asyncify_start_rewind', 'asyncify_stop_rewind']

async function instance(flavor) {
  // Before the loader's own clock: the default directories would be of the present.
  Date.now = () => 0
  const wide = flavor === 'wasm64'
  const memory = new WebAssembly.Memory({ initial: 96, maximum: 200 })
  const exports = { memory, __indirect_function_table: new WebAssembly.Table({ initial: 4, element: 'anyfunc' }), high: 0 }
  for (const name of NAMES) exports[name] = () => (wide ? 65536n : 65536)
  // The cookies at the stack's end stay whole.
  exports.emscripten_stack_get_end = () => (wide ? 262144n : 262144)
  exports.main = () => 0
  exports._emscripten_tempret_set = exports.setTempRet0 = (value) => { exports.high = value }
  let env
  await Loader((info, receive) => { env = { ...info.env, ...info.wasi_snapshot_preview1 }; return receive({ exports }) ?? exports }, { format: FORMATS[flavor] })
  console.log = console.error = (text) => lines.push(text)
  return { env, exports, bytes: Buffer.from(memory.buffer), wide, p: (at) => (wide ? BigInt(at) : at) }
}

const [PATH, PATH2, ARGS, IOV, OUT, BUF] = [1024, 8192, 16384, 20480, 24576, 32768]
const hex = (i, at, len) => i.bytes.subarray(at, at + len).toString('hex')
const put = (i, at, text) => { i.bytes.write(text + '\0', at); return i.p(at) }
const aa = (i, at, len) => { i.bytes.fill(0xaa, at, at + len); return i.p(at) }
const int = (i, at, value) => { i.bytes.writeInt32LE(value, at); return i.p(at) }
const pointer = (i, at, value) => (i.wide ? i.bytes.writeBigUInt64LE(BigInt(value), at) : i.bytes.writeUInt32LE(value, at))
const iov = (i, len) => { pointer(i, IOV, BUF); pointer(i, IOV + (i.wide ? 8 : 4), len); return i.p(IOV) }
const long = (i, value) => (i.wide ? [BigInt(value)] : [Number(BigInt.asIntN(32, BigInt(value))), Number(BigInt(value) >> 32n)])
const sized = { fmt2: 88, fmt3: 96, fmt4: 96, wasm64: 104 }

// Each takes the instance, the flavor and the arguments of its line, and gives the answer's text.
const OPS = {
  open: (i, f, dir, path, flags, mode) => i.env.__syscall_openat(dir, put(i, PATH, path), flags, int(i, ARGS, mode)),
  write: (i, f, fd, data) => { Buffer.from(data, 'hex').copy(i.bytes, BUF); const e = i.env.fd_write(fd, iov(i, data.length / 2), i.p(1), i.p(OUT)); return e },
  read: (i, f, fd, len) => { const e = i.env.fd_read(fd, iov(i, len), i.p(1), i.p(OUT)); return e ? `${e}` : `${e} ${hex(i, BUF, i.bytes.readUInt32LE(OUT))}` },
  seek: (i, f, fd, at, whence) => { const e = i.env.fd_seek(fd, ...long(i, at), whence, i.p(OUT)); return e ? `${e}` : `${e} ${i.bytes.readBigInt64LE(OUT)}` },
  close: (i, f, fd) => i.env.fd_close(fd),
  sync: (i, f, fd) => i.env.fd_sync(fd) ?? 0,
  type: (i, f, fd) => { aa(i, OUT, 24); const e = i.env.fd_fdstat_get(fd, i.p(OUT)); return e ? `${e}` : `${e} ${hex(i, OUT, 1)}` },
  stat: (i, f, path) => { aa(i, BUF, 104); const e = i.env.__syscall_stat64(put(i, PATH, path), i.p(BUF)); return e ? `${e}` : `${e} ${hex(i, BUF, sized[f])}` },
  lstat: (i, f, path) => { aa(i, BUF, 104); const e = i.env.__syscall_lstat64(put(i, PATH, path), i.p(BUF)); return e ? `${e}` : `${e} ${hex(i, BUF, sized[f])}` },
  fstat: (i, f, fd) => { aa(i, BUF, 104); const e = i.env.__syscall_fstat64(fd, i.p(BUF)); return e ? `${e}` : `${e} ${hex(i, BUF, sized[f])}` },
  statat: (i, f, dir, path, flags) => { aa(i, BUF, 104); const e = i.env.__syscall_newfstatat(dir, put(i, PATH, path), i.p(BUF), flags); return e ? `${e}` : `${e} ${hex(i, BUF, sized[f])}` },
  unlink: (i, f, dir, path, flags) => i.env.__syscall_unlinkat(dir, put(i, PATH, path), flags),
  rmdir: (i, f, path) => i.env.__syscall_rmdir(put(i, PATH, path)),
  rename: (i, f, old, path) => i.env.__syscall_renameat(-100, put(i, PATH, old), -100, put(i, PATH2, path)),
  mkdir: (i, f, dir, path, mode) => i.env.__syscall_mkdirat(dir, put(i, PATH, path), mode),
  readlink: (i, f, path, size) => { const e = i.env.__syscall_readlinkat(-100, put(i, PATH, path), aa(i, BUF, 64), i.p(size)); return e < 0 ? `${e}` : `${e} ${hex(i, BUF, e)}` },
  access: (i, f, path, mode) => i.env.__syscall_faccessat(-100, put(i, PATH, path), mode, 0),
  chmod: (i, f, path, mode) => i.env.__syscall_chmod(put(i, PATH, path), mode),
  fchmod: (i, f, fd, mode) => i.env.__syscall_fchmod(fd, mode),
  fchown: (i, f, fd) => i.env.__syscall_fchown32(fd, 1, 1),
  trunc: (i, f, fd, len) => i.env.__syscall_ftruncate64(fd, ...long(i, len)),
  now: (i) => i.env.emscripten_get_now() || 0,
  touch: (i, f, path) => i.env.__syscall_utimensat(-100, put(i, PATH, path), i.p(0), 0),
  utime: (i, f, path, s1, n1, s2, n2) => {
    const step = f === 'fmt2' ? 8 : 16
    for (const [k, s, n] of [[0, s1, n1], [1, s2, n2]]) {
      if (f === 'fmt2') i.bytes.writeInt32LE(s, ARGS + k * step); else i.bytes.writeBigInt64LE(BigInt(s), ARGS + k * step)
      i.bytes.writeInt32LE(n, ARGS + k * step + (f === 'fmt2' ? 4 : 8))
    }
    return i.env.__syscall_utimensat(-100, put(i, PATH, path), i.p(ARGS), 0)
  },
  dup3: (i, f, fd, onto) => i.env.__syscall_dup3(fd, onto, 0),
  fcntl: (i, f, fd, command, argument) => { int(i, ARGS, argument); return i.env.__syscall_fcntl64(fd, command, i.p(ARGS)) },
  getlk: (i, f, fd) => { pointer(i, ARGS, BUF); aa(i, BUF, 4); const e = i.env.__syscall_fcntl64(fd, f === 'fmt2' || f === 'wasm64' ? 5 : 12, i.p(ARGS)); return `${e} ${hex(i, BUF, 4)}` },
  ioctl: (i, f, fd, op) => { pointer(i, ARGS, BUF); aa(i, BUF, 52); const e = i.env.__syscall_ioctl(fd, op, i.p(ARGS)); return `${e} ${hex(i, BUF, 52)}` },
  cwd: (i, f, size) => i.env.__syscall_getcwd(i.p(BUF), i.p(size)),
}

// A small generator of our own: the tables come out the same everywhere.
let state = 1n
const random = (n) => { state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n); return Number((state >> 33n) % BigInt(n)) }
const pick = (from) => from[random(from.length)]
const PATHS = ['/tmp/a', '/tmp/b', '/tmp/d', '/tmp/d/x', '/tmp/d/y', '/tmp/d/../a', 'tmp/a', './tmp/b/', '/tmp//d/', '/tmp/a', '/tmp/b', '/tmp/d',
  '/dev/null', '/dev/tty', '/dev/tty1', '/dev/stdout', '/dev/stdin', '/dev/stderr', '/dev/urandom', '/proc/self/fd', '/proc/self/fd/1', '/proc/self/fd/9',
  '/tmp/a/x', '/', '/dev', '/tmp/.e', '/tmp/.e/f', '/home/web_user', '/data', '.', '..', '/nope/x', '/tmp', '/tmp/d/x', '/tmp/\u00e9\u4e16', '/proc/self/fd/3/x', '/dev/shm/../null/']
const FLAGS = [0, 0, 1, 2, 64, 66, 65, 66, 577, 578, 1089, 1090, 66 | 128, 65536, 131072, 131072 | 66, 2 | 512, 1 | 1024, 64 | 65536]
const fd = () => pick([0, 1, 2, 3, 3, 3, 4, 4, 4, 5, 5, 6, 7, 12])
const dir = () => pick([-100, -100, -100, 3, 4])
const path = () => pick(PATHS)
const data = () => { let out = ''; for (let n = random(24); n > 0; n--) out += pick(['00', '0a', '41', '62', '30', '7a', '7f', '20']); return out }
const MAKERS = {
  open: () => [dir(), path(), pick(FLAGS), pick([0o666, 0o600, 0o100755, 0o7777])], write: () => [fd(), data()], read: () => [fd(), random(30)],
  seek: () => [fd(), pick([0, 1, 7, 40, -3, -1, 300, '9007199254740993']), pick([0, 0, 1, 1, 2, 2, 3])], close: () => [fd()], sync: () => [fd()], type: () => [fd()],
  stat: () => [path()], lstat: () => [path()], fstat: () => [fd()], statat: () => [dir(), path(), pick([0, 256, 4096, 4352])], unlink: () => [dir(), path(), pick([0, 0, 0, 512])],
  rmdir: () => [path()], rename: () => [path(), path()], mkdir: () => [dir(), path(), pick([0o777, 0o755, 0o1700, 0o7777])], readlink: () => [path(), pick([0, 3, 64])],
  access: () => [path(), pick([0, 4, 7, 8])], chmod: () => [path(), pick([0o644, 0o7777, 0])], fchmod: () => [fd(), pick([0o444, 0o777])], fchown: () => [fd()],
  trunc: () => [fd(), pick([0, 5, 100, -1, '9007199254740993'])], now: () => [], touch: () => [path()],
  utime: () => [path(), pick([0, 5, -7, 1700000000]), pick([0, 999999999, 1500000]), pick([0, 9, -8, 1600000000]), pick([0, 500000])],
  dup3: () => [fd(), pick([0, 1, 2, 3, 4, 5, 9, 12, -1])], fcntl: () => [fd(), pick([0, 0, 1, 2, 3, 3, 4, 6, 7, 8, 9, 13, 14, 16, 99]), pick([0, 3, 4, 10, -1, 1024])], getlk: () => [fd()],
  ioctl: () => [fd(), pick([21505, 21506, 21509, 21510, 21519, 21520, 21523, 21524, 21531, 21515, 77])], cwd: () => [pick([0, 1, 2, 100])],
}
const OFTEN = ['open', 'open', 'open', 'open', 'open', 'write', 'write', 'write', 'read', 'read', 'read', 'seek', 'seek', 'close', 'stat', 'fstat', 'unlink', 'rename', 'rename', 'mkdir']
const kinds = [...Object.keys(MAKERS), ...OFTEN, ...OFTEN]

// Moves that the reference carries out to its own loss: see the model's `rename`.
const lost = ([old, path]) => /\/(a|b|null|urandom|tty|tty1|stdin|stdout|stderr)\/|\/[ab]\/x|\/x$/.test(path) || /^\/tmp\/.e/.test(path) || ['/', '.', '..', '/tmp'].includes(old)

const isDir = (i, flavor, path) => {
  if (i.env.__syscall_stat64(put(i, PATH, path.replace(/\/*[^/]*\/*$/, '') || '/'), i.p(BUF))) return true
  return (i.bytes.readUInt32LE(BUF + (flavor === 'fmt2' ? 12 : 4)) & 0o170000) === 0o040000
}

// The calendar: nine words, then for strftime the offset, the zone's name and the format.
const words = (i) => Array.from({ length: 9 }, (_, k) => i.bytes.readInt32LE(BUF + 4 * k)).join(' ')
const split = (i, f, seconds) => (f === 'fmt2' ? [int(i, ARGS, Number(BigInt.asIntN(32, BigInt(seconds))))] : long(i, seconds))
const CALENDAR = {
  gmtime: (i, f, seconds) => { i.bytes.fill(0, BUF, BUF + 64); i.env._gmtime_js(...split(i, f, seconds), i.p(BUF)); return words(i) },
  localtime: (i, f, seconds) => { aa(i, BUF, 64); i.env._localtime_js(...split(i, f, seconds), i.p(BUF)); return words(i) },
  mktime: (i, f, tm) => {
    tm.split(' ').forEach((word, k) => int(i, BUF + 4 * k, Number(word)))
    const low = i.env._mktime_js(i.p(BUF))
    const seconds = f === 'wasm64' || f === 'fmt2' ? low : BigInt.asIntN(64, (BigInt(i.exports.high) << 32n) | BigInt(low >>> 0))
    return `${words(i)} ${seconds}`
  },
  strftime: (i, f, tm, offset, zone, format) => {
    tm.split(' ').forEach((word, k) => int(i, BUF + 4 * k, Number(word)))
    const at = i.wide ? 40 : 36
    if (i.wide) i.bytes.writeBigInt64LE(BigInt(offset), BUF + at); else int(i, BUF + at, offset)
    pointer(i, BUF + (i.wide ? 48 : 40), Number(put(i, PATH2, zone)))
    const length = Number(i.env.strftime(i.p(OUT), i.p(200), put(i, PATH, format), i.p(BUF)))
    return hex(i, OUT, length)
  },
}
const wild = () => pick([0, 1, -1, 11, 12, 13, 31, 59, 60, 70, 99, 100, 365, 1000, -1900, -1850, -2000, 2147483647, -2147483648, random(4000) - 2000])
const tame = () => [random(61), random(60), random(24), 1 + random(31), random(12), random(400) - 100, random(7), random(366), pick([0, 0, 1, -1])]
const seconds = () => pick([0, -1, 951782400, 4102444800, -2208988800, -62135596800, -59011459200, random(2 ** 31), random(2 ** 31) * -30, random(2 ** 31) * 100, 8640000000000, 8640000000001, '9007199254740993'])
const COMMON = ['%c', '%x %X %p', '%G-W%V-%u %g', '%U %W %w %j', '%%c%%%n%t%q', '%Ec %EY %Od %Oy', '%z %Z', '%C %y %Y %e %I %h %r %R %D %F %T', '%A, %d %B', 'é%Z']
function calendar(i, flavor) {
  const table = []
  const line = (kind, ...args) => {
    let answer
    try { answer = CALENDAR[kind](i, flavor, ...args) } catch { answer = 'abort' }
    table.push(`${kind}|${args.join('|')}|= ${answer}`)
  }
  for (let n = 0; n < 150; n++) {
    line('gmtime', seconds())
    line('localtime', seconds())
    line('mktime', tame().map((word) => (random(6) ? word : wild())).join(' '))
    const days = tame().map((word, k) => (random(12) ? word : k === 4 ? random(20) - 3 : wild()))
    line('strftime', days.join(' '), pick([0, 0, 5400, -16200, 19800, 1234, -3600]), pick(['UTC', '', 'GMT', 'X%%Y']), pick(COMMON))
  }
  return table
}

const out = process.argv[2]
for (const flavor of Object.keys(FORMATS)) {
  const table = []
  for (let trace = 0; trace < 50; trace++) {
    state = BigInt(trace * 1000 + flavor.length * 7 + flavor.charCodeAt(3))
    const i = await instance(flavor)
    lines.length = 0
    table.push('new')
    for (let n = 0; n < 60; n++) {
      const kind = pick(kinds)
      const args = MAKERS[kind]()
      if (kind === 'rename' && (lost(args) || !isDir(i, flavor, args[1]))) continue
      if ((kind === 'ioctl' || kind === 'getlk' || kind === 'fcntl') && flavor === 'fmt2' && (args[1] === 77 || args[1] === 21515)) continue
      let answer
      try { answer = OPS[kind](i, flavor, ...args) } catch (e) { answer = 'abort' }
      table.push(`${kind}|${args.join('|')}|= ${answer}`)
      if (answer === 'abort') break
    }
    table.push(`printed|= ${Buffer.from(lines.join("\n")).toString("hex")}`)
  }
  table.push(...calendar(await instance(flavor), flavor))
  writeFileSync(join(out, `${flavor}.txt`), table.join('\n') + '\n')
  quiet.log(flavor, table.length, table.filter((line) => line.endsWith('abort')).length)
}
