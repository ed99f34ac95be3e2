;; A process in `wasm32-drivebay-1` that counts its messages. It looks for words in a message:
;; "trap" counts and then traps, "sorry" counts and answers an Error, "spin" takes its time.
(module
  (memory (export "memory") 3)
  (global $top (mut i32) (i32.const 65536))
  ;; The count is the i32 at 0; the six digits of the reply are at 43.
  (data (i32.const 32) "{\"Output\":\"000000\",\"Messages\":[{\"Target\":\"T\",\"Data\":\"hi\",\"Tags\":[{\"name\":\"Action\",\"value\":\"Count\"}]}]}")
  (data (i32.const 256) "{\"Error\":\"I am sorry\"}")
  (data (i32.const 300) "trapsorryspin")

  (func (export "alloc") (param $len i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $top))
    (global.set $top (i32.add (local.get $at) (local.get $len)))
    (local.get $at))

  (func $find (param $at i32) (param $len i32) (param $word i32) (param $size i32) (result i32)
    (local $end i32) (local $n i32)
    (if (i32.lt_u (local.get $len) (local.get $size)) (then (return (i32.const 0))))
    (local.set $end (i32.add (local.get $at) (i32.sub (local.get $len) (local.get $size))))
    (loop $next
      (local.set $n (i32.const 0))
      (block $differs
        (loop $same
          (br_if $differs (i32.ne
            (i32.load8_u (i32.add (local.get $at) (local.get $n)))
            (i32.load8_u (i32.add (local.get $word) (local.get $n)))))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br_if $same (i32.lt_u (local.get $n) (local.get $size))))
        (return (i32.const 1)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.le_u (local.get $at) (local.get $end))))
    (i32.const 0))

  (func $digits (param $count i32)
    (local $at i32)
    (local.set $at (i32.const 48))
    (loop $next
      (i32.store8 (local.get $at)
        (i32.add (i32.const 48) (i32.rem_u (local.get $count) (i32.const 10))))
      (local.set $count (i32.div_u (local.get $count) (i32.const 10)))
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (br_if $next (i32.ge_u (local.get $at) (i32.const 43)))))

  (func (export "handle")
    (param $message i32) (param $len i32) (param $env i32) (param $env_len i32) (result i64)
    (local $turns i32)
    (global.set $top (i32.const 65536))
    (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
    (call $digits (i32.load (i32.const 0)))
    (if (call $find (local.get $message) (local.get $len) (i32.const 300) (i32.const 4))
      (then unreachable))
    (if (call $find (local.get $message) (local.get $len) (i32.const 304) (i32.const 5))
      (then (return (i64.or (i64.shl (i64.const 256) (i64.const 32)) (i64.const 22)))))
    (if (call $find (local.get $message) (local.get $len) (i32.const 309) (i32.const 4))
      (then (loop $turn
        (local.set $turns (i32.add (local.get $turns) (i32.const 1)))
        (br_if $turn (i32.lt_u (local.get $turns) (i32.const 20000000))))))
    (i64.or (i64.shl (i64.const 32) (i64.const 32)) (i64.const 102))))
