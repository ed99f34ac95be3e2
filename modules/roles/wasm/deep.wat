;; Counts; told "deep", calls itself without end.
(module
  (include "prelude.wat")

  (data (i32.const 256) "deep")
  (func $down (param $x i32) (result i32)
    (i32.add (local.get $x) (call $down (i32.add (local.get $x) (i32.const 1)))))
  (func (export "handle") (param $m i32) (param $ml i32) (param $e i32) (param $el i32) (result i64)
    (call $begin (local.get $m) (local.get $ml))
    (if (call $is (i32.const 256) (i32.const 4)) (then (call $put_number (call $down (i32.const 0)))))
    (call $count)
    (call $end))
)
