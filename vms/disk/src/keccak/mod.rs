//! Keccak-256, as Ethereum has it: one at a time, or many side by side in the lanes of a vector.
//!
//! A permutation is a chain of steps that wait for each other, so one hash leaves most of a processor idle. Eight in
//! the lanes of AVX-512 take little longer than one, four in those of AVX2 as well; elsewhere they are made one by
//! one. The hashes are the same.

#[cfg(target_arch = "x86_64")]
mod lanes;

use crate::Digest;
use tiny_keccak::{Hasher, Keccak};

/// Bytes that a permutation takes in: of a state of 200 bytes, twice the hash's length is kept back.
const BLOCK: usize = 136;
/// Messages that are looked at together for those that have as many blocks.
const WINDOW: usize = 64;

/// Keccak-256 of `bytes`.
pub(crate) fn keccak(bytes: &[u8]) -> Digest {
    let mut hash = [0; 32];
    let mut hasher = Keccak::v256();
    hasher.update(bytes);
    hasher.finalize(&mut hash);
    Digest(hash)
}

/// Keccak-256 of many, in their order.
pub fn keccak_all<T: AsRef<[u8]>>(all: &[T]) -> Vec<Digest> {
    let lanes = Lanes::here();
    let mut hashes = vec![Digest::default(); all.len()];
    for (all, hashes) in all.chunks(WINDOW).zip(hashes.chunks_mut(WINDOW)) {
        let mut todo: Vec<_> = all.iter().map(AsRef::as_ref).zip(hashes).collect();
        todo.sort_by_key(|(bytes, _)| blocks(bytes));
        todo.chunk_by_mut(|(a, _), (b, _)| blocks(a) == blocks(b))
            .for_each(|same| lanes.hash(same));
    }
    hashes
}

/// Blocks of a message: what is added to fill the last one is a bit at least.
fn blocks(bytes: &[u8]) -> usize {
    bytes.len() / BLOCK + 1
}

/// A message, and where its hash goes.
type Todo<'a> = (&'a [u8], &'a mut Digest);

/// How many hashes are made side by side here.
#[derive(Clone, Copy)]
enum Lanes {
    One,
    #[cfg(target_arch = "x86_64")]
    Four(pulp::x86::V3),
    #[cfg(target_arch = "x86_64")]
    Eight(pulp::x86::V4),
}

impl Lanes {
    /// As many as the processor has.
    fn here() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(lanes) = Self::eight().or_else(Self::four) {
            return lanes;
        }
        Self::One
    }

    #[cfg(target_arch = "x86_64")]
    fn four() -> Option<Self> {
        pulp::x86::V3::try_new().map(Self::Four)
    }

    #[cfg(target_arch = "x86_64")]
    fn eight() -> Option<Self> {
        pulp::x86::V4::try_new().map(Self::Eight)
    }

    /// Hashes messages of equally many blocks.
    fn hash(self, same: &mut [Todo<'_>]) {
        match self {
            Self::One => one_by_one(same),
            #[cfg(target_arch = "x86_64")]
            Self::Four(lanes) => same.chunks_mut(4).for_each(|some| match some {
                [_] => one_by_one(some),
                _ => lanes.vectorize(lanes::Four(lanes, some)),
            }),
            #[cfg(target_arch = "x86_64")]
            Self::Eight(lanes) => same.chunks_mut(8).for_each(|some| match some {
                [_] => one_by_one(some),
                _ => lanes.vectorize(lanes::Eight(lanes, some)),
            }),
        }
    }
}

fn one_by_one(some: &mut [Todo<'_>]) {
    some.iter_mut().for_each(|(bytes, hash)| **hash = keccak(bytes));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    /// Those that the processor has.
    fn all_lanes() -> Vec<Lanes> {
        #[cfg(target_arch = "x86_64")]
        let more = [Lanes::four(), Lanes::eight()];
        #[cfg(not(target_arch = "x86_64"))]
        let more = [];
        [Lanes::One].into_iter().chain(more.into_iter().flatten()).collect()
    }

    proptest! {
        #[test]
        fn side_by_side_is_as_one_by_one(all in vec(vec(any::<u8>(), 0..600), 0..40)) {
            let expected: Vec<_> = all.iter().map(|bytes| keccak(bytes)).collect();
            prop_assert_eq!(keccak_all(&all), expected);
        }
    }

    #[test]
    fn each_processor_has_the_same_hashes() {
        for len in [0, 1, 7, 8, 32, 64, 134, 135, 136, 137, 271, 272, 532, 1000] {
            for count in 1..20 {
                let all: Vec<Vec<u8>> = (0..count)
                    .map(|n| (0..len).map(|at| (at * 7 + n * 31) as u8).collect())
                    .collect();
                for lanes in all_lanes() {
                    let mut hashes = vec![Digest::default(); count];
                    let mut todo: Vec<_> = all.iter().map(Vec::as_slice).zip(&mut hashes).collect();
                    lanes.hash(&mut todo);
                    let expected: Vec<_> = all.iter().map(|bytes| keccak(bytes)).collect();
                    assert_eq!(hashes, expected, "{count} of {len} bytes");
                }
            }
        }
    }
}
