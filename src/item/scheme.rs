//! The signature types of ANS-104: how long keys and signatures are.

use super::ItemError;

/// How an item is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// 1: RSA-PSS with a 4096-bit modulus, SHA-256, any salt length.
    Arweave,
    /// 2: ed25519 over the deep hash.
    Ed25519,
    /// 3: secp256k1 over the deep hash as an Ethereum personal message.
    Ethereum,
    /// 4: ed25519 over the deep hash as hexadecimal text.
    Solana,
    /// 7: secp256k1 over EIP-712 typed data; the owner is an address.
    TypedEthereum,
}

impl Scheme {
    /// The scheme that the first two bytes of an item name.
    pub fn from_number(number: u16) -> Result<Self, ItemError> {
        match number {
            1 => Ok(Self::Arweave),
            2 => Ok(Self::Ed25519),
            3 => Ok(Self::Ethereum),
            4 => Ok(Self::Solana),
            7 => Ok(Self::TypedEthereum),
            other => Err(ItemError::UnknownScheme(other)),
        }
    }

    /// Its number in ANS-104.
    pub fn number(self) -> u16 {
        match self {
            Self::Arweave => 1,
            Self::Ed25519 => 2,
            Self::Ethereum => 3,
            Self::Solana => 4,
            Self::TypedEthereum => 7,
        }
    }

    /// Bytes of a signature.
    pub fn signature_len(self) -> usize {
        match self {
            Self::Arweave => 512,
            Self::Ed25519 | Self::Solana => 64,
            Self::Ethereum | Self::TypedEthereum => 65,
        }
    }

    /// Bytes of an owner.
    pub fn owner_len(self) -> usize {
        match self {
            Self::Arweave => 512,
            Self::Ed25519 | Self::Solana => 32,
            Self::Ethereum => 65,
            Self::TypedEthereum => 42,
        }
    }
}
