;; Counts; told "fault", does so too, in a global and in memory, and then traps.
(module
  (include "prelude.wat")

  (data (i32.const 256) "fault")
  (func (export "handle") (param $m i32) (param $ml i32) (param $e i32) (param $el i32) (result i64)
    (call $begin (local.get $m) (local.get $ml))
    ;; The number stands in memory as well: both must go back.
    (call $put_number (i32.load (i32.const 512)))
    (call $put_byte (i32.const 32))
    (i32.store (i32.const 512) (i32.add (i32.load (i32.const 512)) (i32.const 1)))
    (call $count)
    (if (call $is (i32.const 256) (i32.const 5))
      (then (drop (memory.grow (i32.const 3))) unreachable))
    (call $end))
)
