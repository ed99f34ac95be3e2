;; Its start function traps.
(module
  (include "prelude.wat")

  (func $first unreachable)
  (start $first)
  (func (export "handle") (param $m i32) (param $ml i32) (param $e i32) (param $el i32) (result i64)
    (call $begin (local.get $m) (local.get $ml))
    (call $count)
    (call $end))
)
