//! Addresses of keys. A scheduler names every key by its SHA-256; a process meets an Ethereum key as the
//! checksummed address that Ethereum's own tools show.

use super::Id;
use tiny_keccak::{Hasher, Keccak};

/// Length of an uncompressed secp256k1 key: 0x04, X and Y.
const ETHEREUM_KEY_LEN: usize = 65;

/// Keccak-256 of `parts`, one after the other.
pub(super) fn keccak(parts: &[&[u8]]) -> [u8; 32] {
    let mut keccak = Keccak::v256();
    parts.iter().for_each(|part| keccak.update(part));
    let mut out = [0; 32];
    keccak.finalize(&mut out);
    out
}

/// Address of the key `owner` as a scheduler writes it: SHA-256 of its bytes.
pub fn address(owner: &[u8]) -> Id {
    Id::of(owner)
}

/// Address of the key `owner` as a process meets it: `0x` and 40 hexadecimal digits with EIP-55's checksum
/// for an Ethereum key (65 bytes), else [`address`] as text.
pub fn ao_address(owner: &[u8]) -> String {
    match ethereum_address(owner) {
        Some(bytes) => checksummed(&bytes),
        None => address(owner).to_string(),
    }
}

/// The last 20 bytes of the hash of an uncompressed key, if `owner` is one.
pub(super) fn ethereum_address(owner: &[u8]) -> Option<[u8; 20]> {
    let point = owner.get(1..).filter(|_| owner.len() == ETHEREUM_KEY_LEN)?;
    keccak(&[point]).last_chunk().copied()
}

/// An Ethereum address as text, with the checksum of EIP-55 in the case of its letters.
pub fn checksummed(address: &[u8; 20]) -> String {
    let lower = data_encoding::HEXLOWER.encode(address);
    let hash = data_encoding::HEXLOWER.encode(&keccak(&[lower.as_bytes()]));
    let cased = lower
        .chars()
        .zip(hash.bytes())
        .map(|(digit, nibble)| if nibble >= b'8' { digit.to_ascii_uppercase() } else { digit });
    "0x".chars().chain(cased).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    /// The examples of EIP-55.
    #[test]
    fn checksums_are_those_of_the_eip() {
        for text in [
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        ] {
            let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(&text.as_bytes()[2..]).unwrap();
            assert_eq!(checksummed(&bytes.try_into().unwrap()), text);
        }
    }
}
