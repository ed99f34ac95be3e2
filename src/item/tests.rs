//! Items against recorded vectors, hostile bytes and their own inverse.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod hostile;
mod round_trip;
mod vectors;

use super::{Draft, Id, KeyKind, Tag, Wallet};

/// An RSA key for tests alone: making one takes seconds.
pub(super) fn rsa_wallet() -> Wallet {
    Wallet::parse(include_str!("testdata/rsa-test-key.json")).unwrap()
}

pub(super) fn ethereum_wallet() -> Wallet {
    Wallet::from_ethereum_key(&[7; 32]).unwrap()
}

pub(super) fn draft() -> Draft {
    let tags = vec![Tag::new("Action", "Eval"), Tag::new("X-Unicode", "héllo ✓")];
    let draft = Draft::new(Some(Id([9; 32])), tags, "1 + 1");
    Draft { anchor: Some(*b"00000000000000000000000000000042"), ..draft }
}

/// All kinds of wallets.
pub(super) fn wallets() -> [Wallet; 3] {
    [rsa_wallet(), ethereum_wallet(), Wallet::generate(KeyKind::Ed25519).unwrap()]
}
