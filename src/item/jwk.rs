//! Wallets as text: JSON Web Keys (RFC 7517) of kinds `RSA`, `EC` on secp256k1 (RFC 8812) and `OKP` on
//! Ed25519 (RFC 8037); or an Ethereum private key in hexadecimal.

use super::{
    WalletError, b64url, from_b64url,
    rsa_key::RsaKey,
    wallet::{Key, Wallet},
};
use serde_json::{Map, Value, json};

impl Wallet {
    /// The wallet that a text holds.
    pub fn parse(text: &str) -> Result<Self, WalletError> {
        let text = text.trim();
        if let Some(key) = hex_key(text) {
            return Self::from_ethereum_key(&key);
        }
        let value: Value = serde_json::from_str(text).map_err(|_| {
            malformed("it is neither a JSON Web Key nor an Ethereum key of 64 hexadecimal digits")
        })?;
        let jwk = value.as_object().ok_or_else(|| malformed("a JSON Web Key is a JSON object"))?;
        let kind = |name| jwk.get(name).and_then(Value::as_str);
        match (kind("kty"), kind("crv")) {
            (Some("RSA"), _) => rsa(jwk),
            (Some("EC"), Some("secp256k1")) => Self::from_ethereum_key(&field_32(jwk, "d")?),
            (Some("OKP"), Some("Ed25519")) => {
                let key = ed25519_dalek::SigningKey::from_bytes(&field_32(jwk, "d")?);
                Ok(Self::from_key(Key::Ed25519(key)))
            }
            _ => Err(malformed(
                "its kty must be RSA, EC (with crv secp256k1) or OKP (with crv Ed25519)",
            )),
        }
    }

    /// The wallet as a JSON Web Key, private part included.
    pub fn to_jwk(&self) -> String {
        let owner = self.owner();
        let value = match &self.key {
            Key::Rsa(key) => {
                let parts = key.parts();
                json!({
                    "kty": "RSA", "e": "AQAB",
                    "n": b64url(&parts.n), "d": b64url(&parts.d), "p": b64url(&parts.p),
                    "q": b64url(&parts.q), "dp": b64url(&parts.dp), "dq": b64url(&parts.dq),
                    "qi": b64url(&parts.qi),
                })
            }
            Key::Secp256k1(key) => {
                let (x, y) = owner.get(1..).unwrap_or_default().split_at(32);
                json!({
                    "kty": "EC", "crv": "secp256k1",
                    "x": b64url(x), "y": b64url(y), "d": b64url(&key.to_bytes()),
                })
            }
            Key::Ed25519(key) => {
                json!({
                    "kty": "OKP", "crv": "Ed25519",
                    "x": b64url(owner), "d": b64url(key.as_bytes()),
                })
            }
        };
        value.to_string()
    }
}

fn rsa(jwk: &Map<String, Value>) -> Result<Wallet, WalletError> {
    let [n, e, d, p, q] = ["n", "e", "d", "p", "q"].map(|name| field(jwk, name));
    if e? != [1, 0, 1] {
        return Err(malformed("its public exponent e must be AQAB (65537)"));
    }
    let n = n?;
    if n.len() != super::rsa_key::LEN {
        return Err(malformed(format!(
            "its modulus n has {} bits, and Arweave's wallets have 4096",
            n.len() * 8
        )));
    }
    Ok(Wallet::from_key(Key::Rsa(Box::new(RsaKey::from_parts(&n, &d?, &p?, &q?)?))))
}

fn field(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, WalletError> {
    let text = jwk.get(name).and_then(Value::as_str);
    let bytes = text.and_then(|text| from_b64url(text.trim_end_matches('=')));
    bytes.ok_or_else(|| malformed(format!("its field {name} is missing, or is not base64url")))
}

fn field_32(jwk: &Map<String, Value>, name: &str) -> Result<[u8; 32], WalletError> {
    let bytes = field(jwk, name)?;
    let length = bytes.len();
    bytes
        .try_into()
        .map_err(|_| malformed(format!("its field {name} has {length} bytes, and must have 32")))
}

fn hex_key(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?.try_into().ok()
}

fn malformed(why: impl Into<String>) -> WalletError {
    WalletError::Malformed(why.into())
}
