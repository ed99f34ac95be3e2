;; Counts; told "hog", takes memory by the page until there is none, and says how much it got.
(module
  (include "prelude.wat")

  (data (i32.const 256) "hog")
  (func (export "handle") (param $m i32) (param $ml i32) (param $e i32) (param $el i32) (result i64)
    (local $at i32)
    (call $begin (local.get $m) (local.get $ml))
    (if (call $is (i32.const 256) (i32.const 3))
      (then
        (block $full
          (loop $more
            (local.set $at (memory.grow (i32.const 1)))
            (br_if $full (i32.eq (local.get $at) (i32.const -1)))
            (i32.store (i32.shl (local.get $at) (i32.const 16)) (i32.const 7))
            (br $more)))
        (call $put_number (memory.size)))
      (else (call $count)))
    (call $end))
)
