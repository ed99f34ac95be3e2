//! Whether a signature is one of an owner over a deep hash, for each scheme.

use super::{
    ItemError, Scheme,
    address::{ethereum_address, keccak},
    deep_hash, rsa_key,
};
use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};

type DeepHash = [u8; deep_hash::LEN];

pub(super) fn signature(
    scheme: Scheme,
    owner: &[u8],
    hash: &DeepHash,
    signature: &[u8],
) -> Result<(), ItemError> {
    let holds = match scheme {
        Scheme::Arweave => rsa_key::verify(owner, hash, signature),
        Scheme::Ed25519 => ed25519(owner, hash, signature),
        Scheme::Solana => {
            ed25519(owner, data_encoding::HEXLOWER.encode(hash).as_bytes(), signature)
        }
        Scheme::Ethereum => ethereum(owner, hash, signature),
        Scheme::TypedEthereum => typed_ethereum(owner, hash, signature),
    };
    holds.map_err(|why| ItemError::BadSignature(why.to_owned()))
}

/// What an Ethereum wallet signs when asked to sign the deep hash as a personal message (EIP-191).
pub(super) fn personal_message(hash: &DeepHash) -> [u8; 32] {
    keccak(&[b"\x19Ethereum Signed Message:\n48", hash])
}

/// What an Ethereum wallet signs when asked to sign typed data (EIP-712): a struct of the deep hash and the
/// signer's address, under a fixed domain.
pub(super) fn typed_data(hash: &DeepHash, address: &[u8; 20]) -> [u8; 32] {
    let domain_type = keccak(&[b"EIP712Domain(string name,string version)"]);
    let domain = keccak(&[&domain_type, &keccak(&[b"Bundlr"]), &keccak(&[b"1"])]);
    let kind = keccak(&[b"Bundlr(bytes Transaction hash,address address)"]);
    let content = keccak(&[&kind, &keccak(&[hash]), &[0; 12], address]);
    keccak(&[b"\x19\x01", &domain, &content])
}

fn ed25519(owner: &[u8], message: &[u8], signature: &[u8]) -> Result<(), &'static str> {
    let key =
        owner.try_into().ok().and_then(|key| ed25519_dalek::VerifyingKey::from_bytes(key).ok());
    let key = key.ok_or("the owner is no ed25519 key")?;
    let signature =
        ed25519_dalek::Signature::from_slice(signature).map_err(|_| "it is malformed")?;
    // Strict: no signature that another can be made of.
    key.verify_strict(message, &signature).map_err(|_| "it is not the owner's")
}

fn ethereum(owner: &[u8], hash: &DeepHash, signature: &[u8]) -> Result<(), &'static str> {
    let signer = recover(&personal_message(hash), signature)?;
    if signer.to_encoded_point(false).as_bytes() == owner {
        return Ok(());
    }
    Err("it is not the owner's")
}

fn typed_ethereum(owner: &[u8], hash: &DeepHash, signature: &[u8]) -> Result<(), &'static str> {
    let hex = owner.strip_prefix(b"0x").unwrap_or_default();
    let address = data_encoding::HEXLOWER_PERMISSIVE.decode(hex).ok();
    let address = address.and_then(|bytes| bytes.try_into().ok());
    let address: [u8; 20] = address.ok_or("the owner is no Ethereum address")?;
    let signer = recover(&typed_data(hash, &address), signature)?;
    if ethereum_address(signer.to_encoded_point(false).as_bytes()) == Some(address) {
        return Ok(());
    }
    Err("it is not the owner's")
}

/// The key that made a signature r, s, v. Only the low s and a v of 27 or 28 are taken: with any other, who
/// sees an item could make a second one of it.
fn recover(prehash: &[u8; 32], signature: &[u8]) -> Result<VerifyingKey, &'static str> {
    let (v, rs) = signature.split_last().ok_or("it is empty")?;
    let recovery = v.checked_sub(27).filter(|bit| *bit < 2).and_then(RecoveryId::from_byte);
    let recovery = recovery.ok_or("its last byte must be 27 or 28")?;
    let signature = Signature::from_slice(rs).map_err(|_| "it is malformed")?;
    if signature.normalize_s().is_some() {
        return Err("its s is in the upper half, which no wallet writes");
    }
    VerifyingKey::recover_from_prehash(prehash, &signature, recovery)
        .map_err(|_| "no key has made it")
}
