//! The accounts that every private chain has.

use crate::cu::lab::{Signed, Unsigned};
use alloy_consensus::SignableTransaction;
use alloy_primitives::{Address, B256, Signature, U256, hex};
use k256::ecdsa::SigningKey;
use std::sync::LazyLock;

/// What each of them has: 10,000 times 10¹⁸.
pub(super) const BALANCE: u128 = 10_000 * 10u128.pow(18);

/// The first ten keys of the mnemonic `test test test test test test test test test test test junk`, at
/// `m/44'/60'/0'/0/n`. Everybody knows them, from anvil and hardhat: they are worth nothing anywhere.
const KEYS: [&str; 10] = [
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
    "8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
    "92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e",
    "4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356",
    "dbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97",
    "2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6",
];

static ALL: LazyLock<Vec<(Address, SigningKey)>> = LazyLock::new(|| {
    let key = |text: &&str| SigningKey::from_slice(&hex::decode(text).ok()?).ok();
    let keys = KEYS.iter().filter_map(key);
    keys.map(|key| (Address::from_public_key(key.verifying_key()), key)).collect()
});

/// The accounts, in order.
pub(super) fn accounts() -> impl Iterator<Item = Address> {
    ALL.iter().map(|(address, _)| *address)
}

/// Whether its key is here.
pub(super) fn is_own(address: Address) -> bool {
    accounts().any(|own| own == address)
}

/// A hash signed by an account, if its key is here.
pub(super) fn signature(from: Address, hash: B256) -> Option<Signature> {
    let (_, key) = ALL.iter().find(|(address, _)| *address == from)?;
    let (signature, recovery) = key.sign_prehash_recoverable(hash.as_slice()).ok()?;
    Some(Signature::from_signature_and_parity(signature, recovery.is_y_odd()))
}

/// The transaction, signed by `from` if its key is here. Else its signature says whose it would be, and is
/// worth nothing: so equal transactions of two accounts have hashes of their own.
pub(super) fn sign(unsigned: Unsigned, from: Address) -> Signed {
    let signed = signature(from, unsigned.signature_hash());
    let is_borrowed = signed.is_none();
    let signature = signed.unwrap_or_else(|| {
        Signature::new(U256::from_be_slice(from.as_slice()), U256::from(1), false)
    });
    Signed { envelope: unsigned.into_envelope(signature), from, is_borrowed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::address;

    #[test]
    fn the_accounts_are_those_that_everybody_knows() {
        let all: Vec<_> = accounts().collect();
        assert_eq!(all.len(), 10);
        assert_eq!(all.first(), Some(&address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266")));
        assert_eq!(all.get(5), Some(&address!("9965507D1a55bcC2695C58ba16FB37d819B0A4dc")));
        assert_eq!(all.last(), Some(&address!("a0Ee7A142d267C1f36714E4a8F75612F20a79720")));
        assert!(is_own(address!("70997970C51812dc3A010C7d01b50e0d17dc79C8")));
        assert!(!is_own(Address::ZERO));
    }
}
