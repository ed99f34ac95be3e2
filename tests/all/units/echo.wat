;; A process in `wasm32-drivebay-1` that counts its messages and shows what it is given:
;; {"Output":{"count":"000001","msg":…,"env":…}}. A message with the word "sorry" counts and answers an Error.
(module
  (memory (export "memory") 64)
  (global $top (mut i32) (i32.const 2097152))
  ;; The count is the i32 at 0; its six digits are at 52, inside the text.
  (data (i32.const 32) "{\"Output\":{\"count\":\"000000\",\"msg\":")
  (data (i32.const 128) ",\"env\":")
  (data (i32.const 160) "}}")
  (data (i32.const 256) "{\"Error\":\"I am sorry\"}")
  (data (i32.const 300) "sorry")
  (global $end (mut i32) (i32.const 0))

  (func (export "alloc") (param $len i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $top))
    (global.set $top (i32.add (local.get $at) (local.get $len)))
    (local.get $at))

  (func $put (param $at i32) (param $len i32)
    (memory.copy (global.get $end) (local.get $at) (local.get $len))
    (global.set $end (i32.add (global.get $end) (local.get $len))))

  (func $is_sorry (param $at i32) (param $len i32) (result i32)
    (local $end i32) (local $n i32)
    (if (i32.lt_u (local.get $len) (i32.const 5)) (then (return (i32.const 0))))
    (local.set $end (i32.add (local.get $at) (i32.sub (local.get $len) (i32.const 5))))
    (loop $next
      (local.set $n (i32.const 0))
      (block $differs
        (loop $same
          (br_if $differs (i32.ne
            (i32.load8_u (i32.add (local.get $at) (local.get $n)))
            (i32.load8_u (i32.add (i32.const 300) (local.get $n)))))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br_if $same (i32.lt_u (local.get $n) (i32.const 5))))
        (return (i32.const 1)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.le_u (local.get $at) (local.get $end))))
    (i32.const 0))

  (func $digits (param $count i32)
    (local $at i32)
    (local.set $at (i32.const 57))
    (loop $next
      (i32.store8 (local.get $at)
        (i32.add (i32.const 48) (i32.rem_u (local.get $count) (i32.const 10))))
      (local.set $count (i32.div_u (local.get $count) (i32.const 10)))
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (br_if $next (i32.ge_u (local.get $at) (i32.const 52)))))

  (func (export "handle")
    (param $message i32) (param $len i32) (param $env i32) (param $env_len i32) (result i64)
    (global.set $top (i32.const 2097152))
    (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
    (call $digits (i32.load (i32.const 0)))
    (if (call $is_sorry (local.get $message) (local.get $len))
      (then (return (i64.or (i64.shl (i64.const 256) (i64.const 32)) (i64.const 22)))))
    (global.set $end (i32.const 65536))
    (call $put (i32.const 32) (i32.const 34))
    (call $put (local.get $message) (local.get $len))
    (call $put (i32.const 128) (i32.const 7))
    (call $put (local.get $env) (local.get $env_len))
    (call $put (i32.const 160) (i32.const 2))
    (i64.or (i64.shl (i64.const 65536) (i64.const 32))
      (i64.extend_i32_u (i32.sub (global.get $end) (i32.const 65536))))))
