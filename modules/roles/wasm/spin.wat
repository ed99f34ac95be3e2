;; Counts; told "spin", loops for ever.
(module
  (include "prelude.wat")

  (data (i32.const 256) "spin")
  (func (export "handle") (param $m i32) (param $ml i32) (param $e i32) (param $el i32) (result i64)
    (call $begin (local.get $m) (local.get $ml))
    (if (call $is (i32.const 256) (i32.const 4)) (then (loop $ever (br $ever))))
    (call $count)
    (call $end))
)
