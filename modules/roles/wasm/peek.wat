;; Counts; told an id, reads its data from the host.
(module
  (import "drivebay" "read" (func $read (param i32 i32 i32 i64 i32 i32) (result i64)))
  (include "prelude.wat")

  (func (export "handle") (param $m i32) (param $ml i32) (param $e i32) (param $el i32) (result i64)
    (local $got i64)
    (local $at i32)
    (call $begin (local.get $m) (local.get $ml))
    (call $count)
    (call $put_byte (i32.const 32))
    (local.set $got (call $read (i32.const 0) (global.get $data) (global.get $data_len)
      (i64.const 0) (i32.const 32768) (i32.const 4096)))
    (if (i64.lt_s (local.get $got) (i64.const 0))
      (then (call $put_byte (i32.const 45)))
      (else
        (call $put_number (i32.wrap_i64 (local.get $got)))
        (call $put_byte (i32.const 32))
        (block $done
          (loop $next
            (br_if $done (i32.ge_u (local.get $at) (i32.wrap_i64 (local.get $got))))
            (call $put_hex (i64.load8_u (i32.add (local.get $at) (i32.const 32768))) (i32.const 2))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br $next)))))
    (call $end))
)
