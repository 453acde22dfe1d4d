;; Finds where a chunk may end (see chunker.ts). Hashes are 64-bit numbers, which JavaScript lacks.
;;
;;   memory   0  table, 256 × u64      4096  the bytes that are cut
;;
;; gear-scan.ts holds this module in bytes; its test compiles this text and compares.
(module
  (import "cut" "memory" (memory 1))

  ;; Behind the first byte in [from, to) whose hash is below 2^bits, or 0 for none. Addresses. The hash is
  ;; warmed with the 64 bytes before `from`.
  (func (export "scan") (param $from i32) (param $to i32) (param $bits i32) (result i32)
    (local $at i32) (local $pairs i32) (local $limit i64) (local $hash i64) (local $one i64) (local $entry i64)
    (local.set $limit (i64.shl (i64.const 1) (i64.extend_i32_u (local.get $bits))))
    (local.set $at (i32.sub (local.get $from) (i32.const 64)))
    (loop $warm
      (local.set $hash
        (i64.add
          (i64.shl (local.get $hash) (i64.const 1))
          (i64.load (i32.shl (i32.load8_u (local.get $at)) (i32.const 3)))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $warm (i32.lt_u (local.get $at) (local.get $from))))
    (local.set $pairs (i32.sub (local.get $to) (i32.const 1)))
    (block $rest
      ;; Two bytes at a time: the hash after the second does not wait for the one after the first.
      (loop $pair
        (br_if $rest (i32.ge_u (local.get $at) (local.get $pairs)))
        (local.set $entry (i64.load (i32.shl (i32.load8_u (local.get $at)) (i32.const 3))))
        (local.set $one (i64.add (i64.shl (local.get $hash) (i64.const 1)) (local.get $entry)))
        (local.set $hash
          (i64.add
            (i64.shl (local.get $hash) (i64.const 2))
            (i64.add
              (i64.shl (local.get $entry) (i64.const 1))
              (i64.load (i32.shl (i32.load8_u offset=1 (local.get $at)) (i32.const 3))))))
        (if (i64.lt_u (local.get $one) (local.get $limit))
          (then (return (i32.add (local.get $at) (i32.const 1)))))
        (local.set $at (i32.add (local.get $at) (i32.const 2)))
        (br_if $pair (i64.ge_u (local.get $hash) (local.get $limit)))
        (return (local.get $at))))
    (if (i32.lt_u (local.get $at) (local.get $to))
      (then
        (local.set $one
          (i64.add
            (i64.shl (local.get $hash) (i64.const 1))
            (i64.load (i32.shl (i32.load8_u (local.get $at)) (i32.const 3)))))
        (if (i64.lt_u (local.get $one) (local.get $limit))
          (then (return (i32.add (local.get $at) (i32.const 1)))))))
    (i32.const 0)))
