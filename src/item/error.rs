//! Why bytes are no valid item, and why a wallet cannot sign.

/// Why bytes are no data item, or one whose signature does not hold. Always the sender's mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ItemError {
    /// The bytes end within a field.
    #[error(
        "the data item ends within its {field}: {needed} more bytes were expected, {left} are left"
    )]
    Truncated {
        /// The field.
        field: &'static str,
        /// Bytes that the field takes.
        needed: u64,
        /// Bytes that are there.
        left: u64,
    },
    /// A scheme that is not known, or not verified here.
    #[error(
        "signature type {0} is not supported: sign with 1 (Arweave RSA), 2 (ed25519), 3 (Ethereum), 4 (Solana) or 7 (typed Ethereum)"
    )]
    UnknownScheme(u16),
    /// A presence flag that is neither 0 nor 1.
    #[error("the {field} flag is {value}, and must be 0 (absent) or 1 (present)")]
    BadFlag {
        /// `target` or `anchor`.
        field: &'static str,
        /// What is there.
        value: u8,
    },
    /// The tag section breaks a bound or its encoding.
    #[error("the tags cannot be read: {0}")]
    BadTags(String),
    /// The signature is not one of this owner over this content.
    #[error(
        "the signature does not hold: {0}. The item was changed after it was signed, or was signed with another key"
    )]
    BadSignature(String),
    /// The bundle around items is broken.
    #[error("the bundle cannot be read: {0}")]
    BadBundle(String),
    /// A draft that cannot be signed.
    #[error("this cannot be signed as a data item: {0}")]
    BadDraft(String),
}

/// Why there is no wallet, or it did not sign.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WalletError {
    /// The text is no key that is known.
    #[error("this is no wallet: {0}")]
    Malformed(String),
    /// The file cannot be read or written.
    #[error("the wallet file {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds no wallet.
    #[error("the wallet file {path}: {source}")]
    InFile {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: Box<WalletError>,
    },
    /// The machine gave no randomness, or the key could not be used.
    #[error("the key could not be used: {0}")]
    Unusable(String),
}
