//! Keys that sign items.

use super::{
    DataItem, Draft, Id, Scheme, WalletError, address, draft::Unsigned, rsa_key::RsaKey,
    verify::personal_message,
};
use ed25519_dalek::Signer;
use std::fmt;

/// A key, and what it signs with.
pub struct Wallet {
    pub(super) key: Key,
    owner: Vec<u8>,
}

pub(super) enum Key {
    Rsa(Box<RsaKey>),
    Secp256k1(k256::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
}

/// Kinds of keys that can be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// secp256k1, signature type 3. Signs thousands of times a second.
    #[default]
    Ethereum,
    /// RSA with 4096 bits, signature type 1: the kind that Arweave's own tools take. Takes seconds to make,
    /// and signs about a hundred times a second.
    Rsa,
    /// ed25519, signature type 2.
    Ed25519,
}

impl Wallet {
    /// A new key.
    pub fn generate(kind: KeyKind) -> Result<Self, WalletError> {
        let key = match kind {
            KeyKind::Rsa => Key::Rsa(Box::new(RsaKey::generate()?)),
            KeyKind::Ethereum => return Self::generate_secp256k1(),
            KeyKind::Ed25519 => Key::Ed25519(ed25519_dalek::SigningKey::from_bytes(&random()?)),
        };
        Ok(Self::from_key(key))
    }

    /// Nearly all 32 bytes are a key; the others are drawn again.
    fn generate_secp256k1() -> Result<Self, WalletError> {
        loop {
            if let Ok(wallet) = Self::from_ethereum_key(&random()?) {
                return Ok(wallet);
            }
        }
    }

    /// The wallet of an Ethereum private key, 32 bytes.
    pub fn from_ethereum_key(key: &[u8; 32]) -> Result<Self, WalletError> {
        let key = k256::ecdsa::SigningKey::from_slice(key).map_err(|_| {
            WalletError::Malformed("its number is no secp256k1 key: 0 or too large".to_owned())
        })?;
        Ok(Self::from_key(Key::Secp256k1(key)))
    }

    pub(super) fn from_key(key: Key) -> Self {
        let owner = match &key {
            Key::Rsa(key) => key.parts().n.clone(),
            Key::Secp256k1(key) => key.verifying_key().to_encoded_point(false).as_bytes().to_vec(),
            Key::Ed25519(key) => key.verifying_key().to_bytes().to_vec(),
        };
        Self { key, owner }
    }

    /// How it signs.
    pub fn scheme(&self) -> Scheme {
        match self.key {
            Key::Rsa(_) => Scheme::Arweave,
            Key::Secp256k1(_) => Scheme::Ethereum,
            Key::Ed25519(_) => Scheme::Ed25519,
        }
    }

    /// Its public key, as items carry it.
    pub fn owner(&self) -> &[u8] {
        &self.owner
    }

    /// Its address as schedulers and gateways write it.
    pub fn address(&self) -> Id {
        address::address(&self.owner)
    }

    /// Its address as a process meets it: `0x…` for a secp256k1 key.
    pub fn ao_address(&self) -> String {
        address::ao_address(&self.owner)
    }

    /// Signs a draft.
    pub fn sign(&self, draft: &Draft) -> Result<DataItem, WalletError> {
        let unsigned = Unsigned::new(draft, self.scheme(), &self.owner)
            .map_err(|error| WalletError::Unusable(error.to_string()))?;
        let signature = self.sign_hash(&unsigned.deep_hash())?;
        unsigned.seal(&signature).map_err(|error| WalletError::Unusable(error.to_string()))
    }

    fn sign_hash(&self, hash: &[u8; 48]) -> Result<Vec<u8>, WalletError> {
        match &self.key {
            Key::Rsa(key) => key.sign(hash),
            Key::Ed25519(key) => Ok(key.sign(hash).to_bytes().to_vec()),
            Key::Secp256k1(key) => {
                let (signature, recovery) =
                    key.sign_prehash_recoverable(&personal_message(hash))
                        .map_err(|error| WalletError::Unusable(error.to_string()))?;
                let mut bytes = signature.to_bytes().to_vec();
                bytes.push(27 + recovery.to_byte());
                Ok(bytes)
            }
        }
    }
}

/// Its address alone: a key is never shown.
impl fmt::Debug for Wallet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wallet({}, {:?})", self.address(), self.scheme())
    }
}

fn random() -> Result<[u8; 32], WalletError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| WalletError::Unusable(error.to_string()))?;
    Ok(bytes)
}
