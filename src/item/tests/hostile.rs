//! Bent items, bundles and noise: refused or read, never a panic, and never valid unless unchanged.

use super::{draft, wallets};
use crate::item::{Bundle, DataItem, Wallet, write_bundle};

/// Cases in CI; ten times as many with `DRIVEBAY_LONG=1`.
const CASES: u64 = 1_000;

/// SplitMix64: the same cases everywhere.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// One to four changes: a byte, eight bytes of a length, a cut, more bytes, or a piece moved.
    fn bend(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                1 if at + 8 <= bytes.len() => {
                    let lengths = [0, 1, u64::MAX, 1 << 63, 1 << 32, 4096, bytes.len() as u64];
                    let length = lengths[self.below(lengths.len())];
                    bytes[at..at + 8].copy_from_slice(&length.to_le_bytes());
                }
                2 => bytes.truncate(at),
                3 => bytes.extend((0..self.below(64)).map(|_| self.0 as u8)),
                _ => bytes.rotate_left(at),
            }
        }
    }
}

fn cases() -> u64 {
    let long = std::env::var_os("DRIVEBAY_LONG").is_some_and(|value| value == "1");
    CASES * if long { 10 } else { 1 }
}

#[test]
fn bent_items_never_hold() {
    let items: Vec<DataItem> =
        wallets().iter().map(|wallet: &Wallet| wallet.sign(&draft()).unwrap()).collect();
    let mut seeded = Seeded(1);
    let mut read = 0;
    for case in 0..cases() {
        let item = &items[seeded.below(items.len())];
        let mut bytes = item.bytes().to_vec();
        seeded.bend(&mut bytes);
        let is_same = bytes == *item.bytes();
        let Ok(bent) = DataItem::parse(bytes) else { continue };
        read += 1;
        assert_eq!(bent.verify().is_ok(), is_same, "case {case}: {bent:?}");
        let _ = (bent.content_hash(), bent.ao_address(), bent.anchor_text().is_some());
    }
    assert!(read > cases() / 20, "only {read} cases got past the parser");
}

#[test]
fn bent_bundles_are_refused_or_read() {
    let items: Vec<DataItem> = wallets()[1..].iter().map(|w| w.sign(&draft()).unwrap()).collect();
    let whole = write_bundle(&items);
    let mut seeded = Seeded(2);
    for _ in 0..cases() {
        let mut bytes = whole.to_vec();
        seeded.bend(&mut bytes);
        if let Ok(bundle) = Bundle::parse(bytes.clone()) {
            assert_eq!(write_bundle(bundle.items()), bytes, "a bundle has one form");
        }
    }
}

#[test]
fn noise_is_refused() {
    let mut seeded = Seeded(3);
    for case in 0..cases() {
        let scheme = [1, 2, 3, 4, 7, 5, 0][seeded.below(7)];
        let mut bytes: Vec<u8> = (0..seeded.below(1500)).map(|_| seeded.next() as u8).collect();
        bytes.splice(0..0, u16::to_le_bytes(scheme));
        if let Ok(item) = DataItem::parse(bytes) {
            assert!(item.verify().is_err(), "case {case}");
        }
    }
}

/// Keys that are numbers, but no keys: even, zero, tiny.
#[test]
fn owners_that_are_no_keys_are_refused() {
    for wallet in wallets() {
        let item = wallet.sign(&draft()).unwrap();
        let start = 2 + item.signature().len();
        for fill in [0, 1, 2, 0xff] {
            for keep in [0, 1, item.owner().len() - 1] {
                let mut bytes = item.bytes().to_vec();
                let end = start + item.owner().len() - keep;
                bytes[start..end].fill(fill);
                assert!(DataItem::parse(bytes).unwrap().verify().is_err(), "{fill} {keep}");
            }
        }
    }
}
