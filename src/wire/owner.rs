//! How ao names the owner of an item.

use crate::item::{ao_address, from_b64url};

/// An Ethereum public key: 0x04, then both coordinates.
const ETHEREUM_KEY_BYTES: usize = 65;

/// The owner as messages and environments name it: `0x…` with the checksum of EIP-55 where `key` (base64url)
/// is an Ethereum key, else `address`.
pub fn owner(address: &str, key: &str) -> String {
    match from_b64url(key) {
        Some(key) if key.len() == ETHEREUM_KEY_BYTES => ao_address(&key),
        _ => address.to_owned(),
    }
}
