;; Its start function writes.
(module
  (include "prelude.wat")

  (func $first (i32.store (i32.const 512) (i32.const 42)) (global.set $n (i32.const 7)))
  (start $first)
  (func (export "handle") (param $m i32) (param $ml i32) (param $e i32) (param $el i32) (result i64)
    (call $begin (local.get $m) (local.get $ml))
    (call $count)
    (call $end))
)
