//! RSA-PSS with SHA-256 and a modulus of 4096 bits, as Arweave's wallets have it.
//!
//! Signers differ in the length of the salt: browsers take 32 bytes, arweave-js on Node as many as fit.
//! `ring` verifies the first kind several times faster, so it is asked first.

use super::WalletError;
use ring::{
    rand::SystemRandom,
    rsa::{KeyPair, KeyPairComponents, PublicKeyComponents},
    signature::{RSA_PSS_2048_8192_SHA256, RSA_PSS_SHA256},
};
use rsa::{
    BoxedUint, PrivateKey, PublicKey,
    pss::{Signature, VerifyingKey},
    rand_core::{TryCryptoRng, TryRng},
    signature::Verifier,
    traits::{PrivateKeyParts, PublicKeyParts},
};

/// The public exponent of all Arweave keys, and its bytes.
const EXPONENT: u64 = 65_537;
const EXPONENT_BYTES: &[u8] = &[1, 0, 1];
/// Bytes of a modulus, and so of a signature.
pub(super) const LEN: usize = 512;

/// Whether `signature` is one over `message` by the key with this modulus, whatever its salt.
pub(super) fn verify(modulus: &[u8], message: &[u8], signature: &[u8]) -> Result<(), &'static str> {
    let fast = PublicKeyComponents { n: modulus, e: EXPONENT_BYTES };
    if fast.verify(&RSA_PSS_2048_8192_SHA256, message, signature).is_ok() {
        return Ok(());
    }
    let n = BoxedUint::from_be_slice_vartime(modulus);
    let key = PublicKey::new(n, EXPONENT.into()).map_err(|_| "the owner is no RSA key")?;
    let signature = Signature::try_from(signature).map_err(|_| "it is malformed")?;
    VerifyingKey::<rsa::sha2::Sha256>::new_with_auto_salt_len(key)
        .verify(message, &signature)
        .map_err(|_| "it is not the owner's")
}

/// A private key, ready to sign.
pub(super) struct RsaKey {
    pair: KeyPair,
    parts: Parts,
}

/// A private key as numbers, big endian, without leading zeros.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) n: Vec<u8>,
    pub(super) d: Vec<u8>,
    pub(super) p: Vec<u8>,
    pub(super) q: Vec<u8>,
    pub(super) dp: Vec<u8>,
    pub(super) dq: Vec<u8>,
    pub(super) qi: Vec<u8>,
}

impl RsaKey {
    pub(super) fn generate() -> Result<Self, WalletError> {
        let key = PrivateKey::new(&mut System, LEN * 8).map_err(unusable)?;
        let [p, q] = key.primes() else { return Err(unusable("a new key has not two primes")) };
        Self::from_parts(&bytes(key.n()), &bytes(key.d()), &bytes(p), &bytes(q))
    }

    /// A key from its modulus, exponent and primes. All else is computed, so a file that lies in it, or
    /// leaves it out, does no harm.
    pub(super) fn from_parts(n: &[u8], d: &[u8], p: &[u8], q: &[u8]) -> Result<Self, WalletError> {
        let number = BoxedUint::from_be_slice_vartime;
        // The larger prime first: the coefficient that `ring` wants is the inverse of the smaller one.
        let (p, q) = if (p.len(), p) >= (q.len(), q) { (p, q) } else { (q, p) };
        let primes = vec![number(p), number(q)];
        let key = PrivateKey::from_components(number(n), EXPONENT.into(), number(d), primes);
        Self::from_private(&key.map_err(malformed)?)
    }

    fn from_private(key: &PrivateKey) -> Result<Self, WalletError> {
        let parts = parts(key).ok_or_else(|| malformed("it has not two primes"))?;
        let pair = KeyPair::from_components(&KeyPairComponents {
            public_key: PublicKeyComponents { n: parts.n.as_slice(), e: EXPONENT_BYTES },
            d: parts.d.as_slice(),
            p: parts.p.as_slice(),
            q: parts.q.as_slice(),
            dP: parts.dp.as_slice(),
            dQ: parts.dq.as_slice(),
            qInv: parts.qi.as_slice(),
        });
        let pair = pair.map_err(malformed)?;
        if parts.n.len() != LEN {
            return Err(malformed(format!("its modulus has {} bits, not 4096", parts.n.len() * 8)));
        }
        Ok(Self { pair, parts })
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, WalletError> {
        let mut signature = vec![0; self.pair.public().modulus_len()];
        let random = SystemRandom::new();
        self.pair.sign(&RSA_PSS_SHA256, &random, message, &mut signature).map_err(unusable)?;
        Ok(signature)
    }
}

fn bytes(number: &BoxedUint) -> Vec<u8> {
    number.to_be_bytes_trimmed_vartime().into_vec()
}

fn parts(key: &PrivateKey) -> Option<Parts> {
    let [p, q] = key.primes() else { return None };
    Some(Parts {
        n: bytes(key.n()),
        d: bytes(key.d()),
        p: bytes(p),
        q: bytes(q),
        dp: bytes(key.dp()?),
        dq: bytes(key.dq()?),
        qi: bytes(&key.crt_coefficient()?),
    })
}

fn malformed(why: impl ToString) -> WalletError {
    WalletError::Malformed(format!("its RSA key does not hold together ({})", why.to_string()))
}

fn unusable(why: impl ToString) -> WalletError {
    WalletError::Unusable(why.to_string())
}

/// The system's randomness, as the `rsa` crate asks for it.
pub(super) struct System;

impl TryRng for System {
    type Error = getrandom::Error;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        getrandom::u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        getrandom::u64()
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        getrandom::fill(out)
    }
}

impl TryCryptoRng for System {}
