;; Its start function loops for ever.
(module
  (include "prelude.wat")

  (func $first (loop $ever (br $ever)))
  (start $first)
  (func (export "handle") (param $m i32) (param $ml i32) (param $e i32) (param $el i32) (result i64)
    (call $begin (local.get $m) (local.get $ml))
    (call $count)
    (call $end))
)
