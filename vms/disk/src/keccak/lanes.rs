//! Keccak-f[1600] (FIPS 202, §3) on several states at once: a word of each in the lanes of one vector.
#![allow(
    clippy::indexing_slicing,
    reason = "places that are constants, in arrays of fixed lengths"
)]

use super::{BLOCK, Todo, blocks};
use crate::Digest;
use pulp::{
    NullaryFnOnce, cast, u64x4, u64x8,
    x86::{V3, V4},
};

/// Words of a block.
const WORDS: usize = BLOCK / 8;

/// What the first word is changed by in each round (ι).
const ROUNDS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// Block `number` of messages that have so many `blocks`, a word of each side by side; the last one is filled up.
#[inline(always)]
fn words<const N: usize>(some: &[Todo<'_>], number: usize, blocks: usize) -> [[u64; N]; WORDS] {
    let mut words = [[0; N]; WORDS];
    for (lane, (bytes, _)) in some.iter().enumerate().take(N) {
        let rest = bytes.get(number * BLOCK..).unwrap_or_default();
        let mut filled = [0; BLOCK];
        let block = rest.first_chunk().unwrap_or_else(|| {
            filled.iter_mut().zip(rest.iter().chain(&[1])).for_each(|(to, from)| *to = *from);
            &filled
        });
        for (words, bytes) in words.iter_mut().zip(block.as_chunks().0) {
            if let Some(word) = words.get_mut(lane) {
                *word = u64::from_le_bytes(*bytes);
            }
        }
    }
    if let (true, Some(last)) = (number + 1 == blocks, words.last_mut()) {
        last.iter_mut().for_each(|word| *word ^= 1 << 63);
    }
    words
}

/// Gives back the first four words of each lane.
#[inline(always)]
fn put<const N: usize>(some: &mut [Todo<'_>], words: [[u64; N]; 4]) {
    for (lane, (_, hash)) in some.iter_mut().enumerate() {
        let mut bytes = [0; 32];
        for (bytes, words) in bytes.as_chunks_mut().0.iter_mut().zip(&words) {
            *bytes = words.get(lane).copied().unwrap_or_default().to_le_bytes();
        }
        **hash = Digest(bytes);
    }
}

/// Hashes up to so many messages of equally many blocks.
macro_rules! hasher {
    ($name:ident, $simd:ty, $lanes:literal, $word:ty,
     $splat:ident, $xor:ident, $and:ident, $or:ident, $not:ident, $left:ident, $right:ident) => {
        pub(super) struct $name<'a, 'b>(pub(super) $simd, pub(super) &'a mut [Todo<'b>]);

        impl NullaryFnOnce for $name<'_, '_> {
            type Output = ();

            #[inline(always)]
            fn call(self) {
                let Self(simd, some) = self;
                let mut state = [simd.$splat(0); 25];
                let blocks = some.first().map_or(0, |(bytes, _)| blocks(bytes));
                for number in 0..blocks {
                    let words: [[u64; $lanes]; WORDS] = words(some, number, blocks);
                    for (state, words) in state.iter_mut().zip(words) {
                        *state = simd.$xor(*state, cast(words));
                    }
                    state = Self::permuted(simd, state);
                }
                let [a, b, c, d, ..] = state;
                put::<$lanes>(some, [cast(a), cast(b), cast(c), cast(d)]);
            }
        }

        impl $name<'_, '_> {
            /// θ: what the words of each column are changed by. No closures here: they would not be compiled for the
            /// processor's vectors.
            #[inline(always)]
            fn columns(simd: $simd, s: &[$word; 25]) -> [$word; 5] {
                macro_rules! parity {
                    ($x:literal) => {{
                        let (ab, cd) =
                            (simd.$xor(s[$x], s[$x + 5]), simd.$xor(s[$x + 10], s[$x + 15]));
                        simd.$xor(simd.$xor(ab, cd), s[$x + 20])
                    }};
                }
                macro_rules! by {
                    ($before:ident, $after:ident) => {
                        simd.$xor(
                            $before,
                            simd.$or(simd.$left::<1>($after), simd.$right::<63>($after)),
                        )
                    };
                }
                let (a, b, c) = (parity!(0), parity!(1), parity!(2));
                let (d, e) = (parity!(3), parity!(4));
                [by!(e, b), by!(a, c), by!(b, d), by!(c, e), by!(d, a)]
            }

            /// χ of a row.
            #[inline(always)]
            fn row(simd: $simd, [a, b, c, d, e]: [$word; 5]) -> [$word; 5] {
                macro_rules! word {
                    ($a:ident, $b:ident, $c:ident) => {
                        simd.$xor($a, simd.$and(simd.$not($b), $c))
                    };
                }
                [word!(a, b, c), word!(b, c, d), word!(c, d, e), word!(d, e, a), word!(e, a, b)]
            }

            #[inline(always)]
            fn permuted(simd: $simd, mut s: [$word; 25]) -> [$word; 25] {
                for round in ROUNDS {
                    let by = Self::columns(simd, &s);
                    macro_rules! at {
                        ($x:literal, $y:literal) => {
                            simd.$xor(s[$x + 5 * $y], by[$x])
                        };
                        ($x:literal, $y:literal, $turn:literal) => {{
                            let word = at!($x, $y);
                            simd.$or(simd.$left::<$turn>(word), simd.$right::<{ 64 - $turn }>(word))
                        }};
                    }
                    // ρ and π: the word at (x, y), turned, goes to (y, 2x + 3y).
                    let a = [at!(0, 0), at!(1, 1, 44), at!(2, 2, 43), at!(3, 3, 21), at!(4, 4, 14)];
                    let b =
                        [at!(3, 0, 28), at!(4, 1, 20), at!(0, 2, 3), at!(1, 3, 45), at!(2, 4, 61)];
                    let c =
                        [at!(1, 0, 1), at!(2, 1, 6), at!(3, 2, 25), at!(4, 3, 8), at!(0, 4, 18)];
                    let d =
                        [at!(4, 0, 27), at!(0, 1, 36), at!(1, 2, 10), at!(2, 3, 15), at!(3, 4, 56)];
                    let e =
                        [at!(2, 0, 62), at!(3, 1, 55), at!(4, 2, 39), at!(0, 3, 41), at!(1, 4, 2)];
                    let [a0, a1, a2, a3, a4] = Self::row(simd, a);
                    let [b0, b1, b2, b3, b4] = Self::row(simd, b);
                    let [c0, c1, c2, c3, c4] = Self::row(simd, c);
                    let [d0, d1, d2, d3, d4] = Self::row(simd, d);
                    let [e0, e1, e2, e3, e4] = Self::row(simd, e);
                    s = [
                        a0, a1, a2, a3, a4, b0, b1, b2, b3, b4, c0, c1, c2, c3, c4, d0, d1, d2, d3,
                        d4, e0, e1, e2, e3, e4,
                    ];
                    // ι
                    s[0] = simd.$xor(s[0], simd.$splat(round));
                }
                s
            }
        }
    };
}

hasher!(
    Four,
    V3,
    4,
    u64x4,
    splat_u64x4,
    xor_u64x4,
    and_u64x4,
    or_u64x4,
    not_u64x4,
    shl_const_u64x4,
    shr_const_u64x4
);
hasher!(
    Eight,
    V4,
    8,
    u64x8,
    splat_u64x8,
    xor_u64x8,
    and_u64x8,
    or_u64x8,
    not_u64x8,
    shl_const_u64x8,
    shr_const_u64x8
);
