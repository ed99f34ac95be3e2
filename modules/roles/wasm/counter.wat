;; Counts.
(module
  (include "prelude.wat")

  (func (export "handle") (param $m i32) (param $ml i32) (param $e i32) (param $el i32) (result i64)
    (call $begin (local.get $m) (local.get $ml))
    (call $count)
    (call $end))
)
