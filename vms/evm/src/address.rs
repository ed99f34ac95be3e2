//! Who somebody is to a contract.

use revm::primitives::{Address, keccak256};

/// Characters of a 32-byte id in base64url.
const ID_CHARS: usize = 43;

/// The address of whoever ao knows by `id`: an Ethereum address as it is, and of a 32-byte id (a wallet or
/// a process) the last 20 bytes of its Keccak-256. Other texts are hashed as text.
pub fn address_of(id: &str) -> Address {
    if let Some(address) = ethereum(id) {
        return address;
    }
    let hash = match id_bytes(id) {
        Some(bytes) => keccak256(bytes),
        None => keccak256(id.as_bytes()),
    };
    Address::from_word(hash)
}

/// The address that `0x` and 40 hexadecimal digits spell.
pub(crate) fn ethereum(text: &str) -> Option<Address> {
    let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 40)?;
    digits.parse().ok()
}

/// Whether a text is a 32-byte id.
pub(crate) fn is_id(text: &str) -> bool {
    id_bytes(text).is_some()
}

/// The 32 bytes that 43 characters of base64url spell. The last two bits of the text mean nothing.
pub(crate) fn id_bytes(id: &str) -> Option<[u8; 32]> {
    if id.len() != ID_CHARS {
        return None;
    }
    let (mut out, mut at, mut bits, mut held) = ([0; 32], 0, 0, 0u32);
    for byte in id.bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        held = (held << 6 | u32::from(six)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            if let Some(to) = out.get_mut(at) {
                *to = (held >> bits) as u8;
            }
            at += 1;
        }
    }
    Some(out)
}

/// The chain id of a process whose spawn names none: the first six bytes of the Keccak-256 of its id, with
/// the highest of these 48 bits set, so that it is no chain's that anybody knows.
pub fn chain_id_of(process: &str) -> u64 {
    let hash = match id_bytes(process) {
        Some(bytes) => keccak256(bytes),
        None => keccak256(process.as_bytes()),
    };
    hash.iter().take(6).fold(0, |id, byte| id << 8 | u64::from(*byte)) | 1 << 47
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use revm::primitives::address;

    #[test]
    fn ids_are_decoded_as_base64url() {
        let text = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
        let expected: Vec<u8> = (0..32).collect();
        assert_eq!(id_bytes(text).unwrap().to_vec(), expected);
        assert_eq!(
            id_bytes("-_8AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap()[..2],
            [0xfb, 0xff]
        );
        assert_eq!(id_bytes("short"), None);
    }

    #[test]
    fn an_ethereum_address_is_itself() {
        let text = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045";
        assert_eq!(address_of(text), address!("d8dA6BF26964aF9D7eEd9e03E53415D37aA96045"));
        assert_ne!(address_of("0xd8dA"), address_of("0xd8dB"));
        assert_eq!(address_of(&"A".repeat(43)), Address::from_word(keccak256([0; 32])));
    }
}
