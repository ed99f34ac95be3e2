//! What an account of a private chain signs when it is asked to: texts (ERC-191), typed data (EIP-712), and
//! transactions that somebody else will send.

use super::{
    super::{
        error::RpcError,
        params::{Params, data},
        process::Process,
    },
    Private, keys,
    methods::wish,
};
use alloy_dyn_abi::TypedData;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, eip191_hash_message};
use serde_json::Value;

/// Parts of a type, written out.
const PARTS_MAX: usize = 4096;
/// Types that typed data may define.
const TYPES_MAX: usize = 256;

/// `eth_sign` (who, what), `personal_sign` (what, who), `eth_signTypedData_v4` (who, what).
pub(super) fn words(method: &str, params: &Params) -> Result<Value, RpcError> {
    match method {
        "personal_sign" => by(params.address(1)?, eip191_hash_message(params.bytes(0)?)),
        "eth_sign" => by(params.address(0)?, eip191_hash_message(params.bytes(1)?)),
        _ => by(params.address(0)?, typed(params.get(1))?),
    }
}

/// `eth_signTransaction`.
pub(super) async fn transaction(
    process: &Process,
    private: &Private,
    params: &Params,
) -> Result<Value, RpcError> {
    let wish = wish(params)?;
    let signed = private.work(process, move |chain, means| chain.fill(wish, means, false));
    let signed = signed.await?;
    match signed.is_borrowed {
        false => Ok(data(signed.envelope.encoded_2718())),
        true => Err(no_key(signed.from)),
    }
}

/// The hash that is signed for typed data, which clients send as an object or as the text of one.
fn typed(said: Option<&Value>) -> Result<B256, RpcError> {
    let wrong = |error: String| RpcError::invalid(format!("parameter 1 is no typed data: {error}"));
    let said = match said {
        Some(Value::String(text)) => {
            serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?
        }
        said => said.cloned().unwrap_or_default(),
    };
    if parts(&said).is_none_or(|parts| parts > PARTS_MAX) {
        return Err(wrong(format!("its types have more than {PARTS_MAX} parts, or none")));
    }
    let data: TypedData = serde_json::from_value(said).map_err(|error| wrong(error.to_string()))?;
    data.eip712_signing_hash().map_err(|error| wrong(error.to_string()))
}

/// How many parts its type has when every structure in it is written out, which is what hashing it makes of it: a few
/// structures that name each other twice can be any number.
fn parts(typed: &Value) -> Option<usize> {
    let types = typed.get("types")?.as_object()?;
    if types.len() > TYPES_MAX {
        return None;
    }
    let fields = |name: &str| -> Option<Vec<&str>> {
        let fields = types.get(name)?.as_array()?.iter();
        // Without what makes an array of a type.
        Some(fields.filter_map(|field| field.get("type")?.as_str()?.split('[').next()).collect())
    };
    let mut total = 0;
    let mut open = vec![typed.get("primaryType")?.as_str()?];
    while let Some(name) = open.pop() {
        total += 1;
        open.extend(fields(name).unwrap_or_default());
        if total + open.len() > PARTS_MAX {
            return Some(total + open.len());
        }
    }
    Some(total)
}

fn by(who: Address, hash: B256) -> Result<Value, RpcError> {
    let signature = keys::signature(who, hash).ok_or_else(|| no_key(who))?;
    Ok(data(signature.as_bytes()))
}

fn no_key(who: Address) -> RpcError {
    RpcError::server(format!("the key of {who} is not here: eth_accounts lists those that are"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use alloy_primitives::{Signature, address};
    use jsonrpsee::types::ErrorObjectOwned;
    use serde_json::json;

    const FIRST: Address = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");

    fn asked(method: &str, params: Value) -> Result<Value, RpcError> {
        let Value::Array(params) = params else { panic!("no params") };
        words(method, &Params::new(params))
    }

    fn signer(method: &str, params: Value, hash: B256) -> Address {
        let signed = asked(method, params).unwrap();
        let bytes: alloy_primitives::Bytes = serde_json::from_value(signed).unwrap();
        Signature::from_raw(&bytes).unwrap().recover_address_from_prehash(&hash).unwrap()
    }

    #[test]
    fn a_text_is_signed_by_who_was_asked_to() {
        let hash = eip191_hash_message("hello");
        assert_eq!(signer("personal_sign", json!(["0x68656c6c6f", FIRST]), hash), FIRST);
        assert_eq!(signer("eth_sign", json!([FIRST, "0x68656c6c6f"]), hash), FIRST);
    }

    /// The example of EIP-712, whose hash it gives.
    #[test]
    fn typed_data_is_hashed_as_the_eip_does() {
        let person =
            json!([{ "name": "name", "type": "string" }, { "name": "wallet", "type": "address" }]);
        let mail = json!([
            { "name": "from", "type": "Person" },
            { "name": "to", "type": "Person" },
            { "name": "contents", "type": "string" },
        ]);
        let domain = json!([
            { "name": "name", "type": "string" },
            { "name": "version", "type": "string" },
            { "name": "chainId", "type": "uint256" },
            { "name": "verifyingContract", "type": "address" },
        ]);
        let typed = json!({
            "types": { "EIP712Domain": domain, "Person": person, "Mail": mail },
            "primaryType": "Mail",
            "domain": {
                "name": "Ether Mail",
                "version": "1",
                "chainId": 1,
                "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC",
            },
            "message": {
                "from": { "name": "Cow", "wallet": "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826" },
                "to": { "name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB" },
                "contents": "Hello, Bob!",
            },
        });
        let hash: B256 =
            "0xbe609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2".parse().unwrap();
        assert_eq!(signer("eth_signTypedData_v4", json!([FIRST, typed]), hash), FIRST);
        assert_eq!(signer("eth_signTypedData_v4", json!([FIRST, typed.to_string()]), hash), FIRST);
    }

    #[test]
    fn what_cannot_be_signed_says_why() {
        let ask = |method: &str, params: Value| {
            ErrorObjectOwned::from(asked(method, params).unwrap_err()).message().to_owned()
        };
        assert!(ask("eth_sign", json!([Address::ZERO, "0x"])).contains("is not here"));
        assert!(ask("eth_signTypedData_v4", json!([FIRST, "{"])).contains("is no typed data"));
        let rings = json!({
            "types": { "EIP712Domain": [], "A": [{ "name": "b", "type": "A" }] },
            "primaryType": "A",
            "domain": {},
            "message": { "b": {} },
        });
        assert!(ask("eth_signTypedData_v4", json!([FIRST, rings])).contains("4096 parts"));
    }

    /// Thirty structures, each with two of the next: a billion parts.
    #[test]
    fn types_that_grow_are_refused_before_they_do() {
        let mut types = serde_json::Map::new();
        types.insert("EIP712Domain".to_owned(), json!([]));
        for at in 0..30 {
            let next = format!("T{}", at + 1);
            let twice = json!([{ "name": "a", "type": next }, { "name": "b", "type": next }]);
            types.insert(format!("T{at}"), twice);
        }
        let typed = json!({ "types": types, "primaryType": "T0", "domain": {}, "message": {} });
        assert!(parts(&typed) > Some(PARTS_MAX));
        let few = json!({ "types": types, "primaryType": "T25", "domain": {}, "message": {} });
        assert_eq!(parts(&few), Some(63));
    }
}
