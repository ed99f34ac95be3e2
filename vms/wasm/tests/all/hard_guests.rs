//! Small guests with one hole each, for `hard`.

/// The answer of [`emscripten`], as it stands in its text.
pub(crate) const EMPTY_REPLY: &str = r#"{\"ok\":true,\"response\":{\"Output\":\"fine\"}}\00"#;

/// A guest of `wasm32-drivebay-1` whose `handle` runs `body`, with `pages` of memory.
pub(crate) fn clean(pages: u32, body: &str) -> String {
    format!(
        r#"(module
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (import "drivebay" "log" (func $log (param i32 i32)))
        (memory (export "memory") {pages})
        (data (i32.const 16) "{{\"Output\":1}}")
        (func (export "alloc") (param i32) (result i32) (i32.const 1024))
        (func $work {body})
        (func (export "handle") (param i32 i32 i32 i32) (result i64)
            (call $work) (i64.or (i64.shl (i64.const 16) (i64.const 32)) (i64.const 12))))"#
    )
}

/// What a guest of format 4 must have, and nothing more. Imports may be put before it.
pub(crate) fn shell() -> &'static str {
    r#"(memory (export "memory") 2)
    (func (export "__wasm_call_ctors"))
    (func (export "emscripten_stack_init"))
    (func (export "emscripten_stack_get_end") (result i32) (i32.const 1024))
    (func (export "emscripten_stack_get_current") (result i32) (i32.const 4096))
    (func (export "_emscripten_stack_restore") (param i32))
    (func (export "_emscripten_stack_alloc") (param i32) (result i32) (i32.const 4096))
    (func (export "handle") (param i32 i32) (result i32) (i32.const 16))"#
}

/// A guest of format 4 whose `handle` runs `body`. It unwinds soundly, as long as `body` does nothing after
/// it waits.
pub(crate) fn emscripten(body: &str) -> String {
    format!(
        r#"(module
  (import "env" "invoke_vii" (func $invoke (param i32 i32 i32)))
  (import "env" "invoke_ii" (func $invoke_ii (param i32 i32) (result i32)))
  (import "env" "__asyncjs__weavedrive_open" (func $open (param i32 i32) (result i32)))
  (import "env" "_emscripten_throw_longjmp" (func $jump))
  (import "env" "_mktime_js" (func $mktime (param i32) (result i32)))
  (import "env" "exit" (func $exit (param i32)))
  (import "env" "__syscall_openat" (func $openat (param i32 i32 i32 i32) (result i32)))
  (import "env" "_mmap_js" (func $mmap (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_seek" (func $seek (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1024)
  (table (export "__indirect_function_table") 5 funcref)
  (elem (i32.const 1) $one $throws $other $float)
  (data (i32.const 64) "/data/IIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIII\00")
  (data (i32.const 120) "/tmp/f\00")
  (data (i32.const 256) "{EMPTY_REPLY}")
  (global $sp (mut i32) (i32.const 60000))
  (global $top (mut i32) (i32.const 65536))
  (global $unwinding (mut i32) (i32.const 0))
  (global $seen (mut i32) (i32.const 0))
  (func $one (param i32 i32))
  (func $throws (param i32 i32) (call $jump))
  (func $other (param i64))
  (func $float (param i32) (result f64) (f64.const 1))
  (func (export "__wasm_call_ctors"))
  (func (export "emscripten_stack_init"))
  (func (export "emscripten_stack_get_end") (result i32) (i32.const 1024))
  (func (export "emscripten_stack_get_current") (result i32) (global.get $sp))
  (func (export "_emscripten_stack_restore") (param i32) (global.set $sp (local.get 0)))
  (func (export "_emscripten_stack_alloc") (param i32) (result i32)
    (global.set $sp (i32.and (i32.sub (global.get $sp) (local.get 0)) (i32.const -16)))
    (global.get $sp))
  (func (export "malloc") (param i32) (result i32) (global.get $top))
  (func (export "emscripten_builtin_memalign") (param i32 i32) (result i32) (i32.const 0))
  (func (export "free") (param i32))
  (func (export "setThrew") (param i32 i32))
  (func (export "_emscripten_tempret_set") (param i32))
  (func (export "dynCall_vii") (param i32 i32 i32)
    (call_indirect (param i32 i32) (local.get 1) (local.get 2) (local.get 0)))
  (func (export "asyncify_start_unwind") (param i32) (global.set $unwinding (i32.const 1)))
  (func (export "asyncify_stop_unwind") (global.set $unwinding (i32.const 0)))
  (func (export "asyncify_start_rewind") (param i32))
  (func (export "asyncify_stop_rewind"))
  (func (export "handle") (param $m i32) (param $e i32) (result i32)
    {body}
    (if (global.get $unwinding) (then (return (i32.const 0))))
    (i32.const 256)))"#
    )
}
