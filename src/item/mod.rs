//! ANS-104 data items: parsed, verified, signed; their ids and addresses; bundles of them; and the chain
//! of hashes that orders a process's assignments. Pure: bytes in, values out.
//!
//! What is signed is the *deep hash* of all fields but the signature, and the id is the hash of the
//! signature. So an id says nothing of the content, and two valid signatures of one content are two items.
//! Where a scheme would let a stranger make a second valid signature out of a first (ECDSA's other half,
//! a recovery bit that nobody checks), the second one is refused here: it would be a replay.
//!
//! Sources: the text of ANS-104, and npm `arbundles` where it differs from the text.

mod address;
mod bundle;
mod chain;
mod data_item;
mod deep_hash;
mod draft;
mod error;
mod id;
mod jwk;
mod keyfile;
mod layout;
mod rsa_key;
mod scheme;
mod tags;
mod verify;
mod wallet;

#[cfg(test)]
mod tests;

pub use crate::disk::Tag;
pub use address::{address, ao_address, checksummed};
pub use bundle::{Bundle, NESTING_MAX, is_bundle, read_nested, write_bundle};
pub use chain::{first_link, next_link};
pub use data_item::DataItem;
pub use draft::{Draft, assemble};
pub use error::{ItemError, WalletError};
pub use id::{Id, IdError, b64url, from_b64url};
pub use keyfile::{create_wallet, load_wallet};
pub use layout::{TAG_BYTES_MAX, TAG_BYTES_SIGNED_MAX, TAGS_MAX};
pub use scheme::Scheme;
pub use wallet::{KeyKind, Wallet};
