  ;; What all roles share: a place for inputs, a search for the message's data, a reply.
  ;;   0..1024      constant texts (each role's own from 256)
  ;;   1024..64Ki   the reply
  ;;   64Ki..       inputs, from $top, forgotten after each call
  (memory (export "memory") 2 512)
  (data (i32.const 0) "\"Data\":\"")
  (data (i32.const 16) "{\"Output\":\"")
  (data (i32.const 32) "\"}")
  (global $top (mut i32) (i32.const 65536))
  (global $out (mut i32) (i32.const 1024))
  (global $data (mut i32) (i32.const 0))
  (global $data_len (mut i32) (i32.const 0))

  (func $alloc (export "alloc") (param $len i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $top))
    (global.set $top (i32.and (i32.add (i32.add (global.get $top) (local.get $len)) (i32.const 7)) (i32.const -8)))
    (block $fits
      (br_if $fits (i32.le_u (global.get $top) (i32.shl (memory.size) (i32.const 16))))
      (br_if $fits (i32.ne (i32.const -1)
        (memory.grow (i32.add (i32.const 1) (i32.sub (i32.shr_u (global.get $top) (i32.const 16)) (memory.size))))))
      (return (i32.const 0)))
    (local.get $at))

  ;; Whether the $n bytes at $a and $b are the same.
  (func $same (param $a i32) (param $b i32) (param $n i32) (result i32)
    (block $differ
      (loop $next
        (br_if $differ (i32.and (i32.ne (local.get $n) (i32.const 0))
          (i32.ne (i32.load8_u (local.get $a)) (i32.load8_u (local.get $b)))))
        (if (i32.eqz (local.get $n)) (then (return (i32.const 1))))
        (local.set $a (i32.add (local.get $a) (i32.const 1)))
        (local.set $b (i32.add (local.get $b) (i32.const 1)))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br $next)))
    (i32.const 0))

  ;; Sets $data and $data_len to the text after `"Data":"` in the message, up to its closing quote: still
  ;; with its escapes, so it can stand in the reply as it is.
  (func $find (param $at i32) (param $len i32)
    (local $end i32)
    (local.set $end (i32.sub (i32.add (local.get $at) (local.get $len)) (i32.const 8)))
    (global.set $data_len (i32.const 0))
    (block $out
      (loop $next
        (br_if $out (i32.ge_s (local.get $at) (local.get $end)))
        (if (call $same (local.get $at) (i32.const 0) (i32.const 8))
          (then
            (global.set $data (i32.add (local.get $at) (i32.const 8)))
            (loop $more
              (local.set $len (i32.load8_u (i32.add (global.get $data) (global.get $data_len))))
              (if (i32.ne (local.get $len) (i32.const 34))
                (then
                  ;; What follows a backslash ends nothing.
                  (global.set $data_len (i32.add (global.get $data_len)
                    (select (i32.const 2) (i32.const 1) (i32.eq (local.get $len) (i32.const 92)))))
                  (br $more))))
            (return)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next))))

  (func $is (param $text i32) (param $len i32) (result i32)
    (i32.and (i32.eq (global.get $data_len) (local.get $len))
      (call $same (global.get $data) (local.get $text) (local.get $len))))

  (func $put (param $at i32) (param $len i32)
    (memory.copy (global.get $out) (local.get $at) (local.get $len))
    (global.set $out (i32.add (global.get $out) (local.get $len))))

  (func $put_byte (param $byte i32)
    (i32.store8 (global.get $out) (local.get $byte))
    (global.set $out (i32.add (global.get $out) (i32.const 1))))

  (func $put_hex (param $value i64) (param $digits i32)
    (local $digit i32)
    (loop $next
      (local.set $digits (i32.sub (local.get $digits) (i32.const 1)))
      (local.set $digit (i32.and (i32.const 15) (i32.wrap_i64
        (i64.shr_u (local.get $value) (i64.extend_i32_u (i32.shl (local.get $digits) (i32.const 2)))))))
      (call $put_byte (i32.add (local.get $digit)
        (select (i32.const 48) (i32.const 87) (i32.lt_u (local.get $digit) (i32.const 10)))))
      (br_if $next (local.get $digits))))

  (func $put_number (param $value i32)
    (if (i32.ge_u (local.get $value) (i32.const 10))
      (then (call $put_number (i32.div_u (local.get $value) (i32.const 10)))))
    (call $put_byte (i32.add (i32.const 48) (i32.rem_u (local.get $value) (i32.const 10)))))

  (func $begin (param $message i32) (param $len i32)
    (call $find (local.get $message) (local.get $len))
    (global.set $out (i32.const 1024))
    (call $put (i32.const 16) (i32.const 11)))

  (func $end (result i64)
    (call $put (i32.const 32) (i32.const 2))
    (global.set $top (i32.const 65536))
    (i64.or (i64.const 0x40000000000)
      (i64.extend_i32_u (i32.sub (global.get $out) (i32.const 1024)))))

  ;; The number that most roles keep.
  (global $n (mut i32) (i32.const 0))
  (func $count
    (global.set $n (i32.add (global.get $n) (i32.const 1)))
    (call $put_number (global.get $n)))
