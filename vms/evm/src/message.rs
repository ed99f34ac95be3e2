//! From a message to what it asks of the machine.

use crate::{
    abi::{Abi, Args},
    address::{address_of, chain_id_of, ethereum},
    machine::Manner,
    signed,
};
use alloy_dyn_abi::JsonAbiExt;
use alloy_json_abi::Function;
use drivebay_disk::{Call, Message, Process, Tag, json::Value};
use revm::{
    context::TxEnv,
    primitives::{Address, B256, Bytes, TxKind, U256, hex},
};

/// The `Action` of a message whose data is a signed Ethereum transaction.
const RAW: &str = "eth_sendRawTransaction";

/// What a message wants.
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all are transactions, and are taken apart at once"
)]
pub(crate) enum Intent {
    /// It is the spawn itself: the contract is made, and that is all.
    Spawn,
    /// The process's native token credits somebody.
    Deposit { to: Address, amount: U256 },
    /// A transaction.
    Run(Plan),
}

/// A transaction to be run.
pub(crate) struct Plan {
    pub(crate) manner: Manner,
    pub(crate) tx: TxEnv,
    /// The function that is called, where the message names one.
    pub(crate) function: Option<Function>,
    /// The hash of a signed transaction.
    pub(crate) hash: Option<B256>,
}

/// Who a message speaks for. A contract cannot know whom the process trusts, so `From-Process` counts only
/// if the signer is one of the process's authorities; else it is the signer.
pub(crate) fn sender<'a>(process: &Process, message: &'a Message) -> &'a str {
    let mut authorities = process.tags.iter().filter(|tag| tag.name == "Authority");
    let is_trusted =
        message.from == message.owner || authorities.any(|tag| tag.value == message.owner);
    if is_trusted { &message.from } else { &message.owner }
}

/// The process's chain id: its `Chain-Id` tag, else what follows from its id.
pub fn chain_id(process: &Process) -> u64 {
    let tag = Tag::last(&process.tags, "Chain-Id").and_then(number);
    tag.and_then(|id| id.try_into().ok()).unwrap_or_else(|| chain_id_of(&process.id))
}

/// A number in decimal digits, or in hexadecimal ones after `0x`.
pub(crate) fn number(text: &str) -> Option<U256> {
    let text = text.trim();
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !text.is_empty();
    match text.strip_prefix("0x") {
        _ if !is_plain => None,
        Some(digits) => U256::from_str_radix(digits, 16).ok(),
        None => U256::from_str_radix(text, 10).ok(),
    }
}

/// The bytes that `0x` and hexadecimal digits spell.
pub(crate) fn hex_bytes(data: &[u8]) -> Option<Vec<u8>> {
    let text = data.trim_ascii().strip_prefix(b"0x")?;
    hex::decode(text).ok()
}

/// Data as it is meant: as bytes, or as hexadecimal digits after `0x`. Bytes are shared, not copied.
fn bytes_of(message: &Message) -> Bytes {
    let Some(data) = &message.data else { return Bytes::new() };
    hex_bytes(data).map_or_else(|| Bytes::from(data.clone()), Bytes::from)
}

/// Whose signature counts.
pub(crate) enum Signing {
    /// The message's own.
    Message,
    /// That of the Ethereum transaction, whose bytes these are.
    Ethereum(Bytes),
}

/// Whether a message is but the bearer of a signed transaction.
pub(crate) fn signing(message: &Message) -> Signing {
    signing_by(message, Tag::last(&message.tags, "Action"))
}

/// The same, of a message whose action is known.
fn signing_by(message: &Message, action: Option<&str>) -> Signing {
    match action {
        Some(RAW) => Signing::Ethereum(bytes_of(message)),
        _ => Signing::Message,
    }
}

/// What `call` asks of a process whose contract stands at `home`, with `gas` for the transaction.
pub(crate) fn intent(call: &Call, abi: &Abi, home: Address, gas: u64) -> Result<Intent, String> {
    let (process, message) = (&*call.process, &*call.message);
    if message.id == process.id {
        return Ok(Intent::Spawn);
    }
    let from = sender(process, message);
    let action = Tag::last(&message.tags, "Action");
    if let Some(deposit) = deposit(process, message, from, action)? {
        return Ok(deposit);
    }
    if let Signing::Ethereum(bytes) = signing_by(message, action) {
        let signed = signed::read(&bytes)?;
        let plan = Plan {
            manner: Manner::Ethereum,
            tx: signed.tx,
            function: None,
            hash: Some(signed.hash),
        };
        return Ok(Intent::Run(plan));
    }
    let (data, function) = input(message, abi, action)?;
    let tx = TxEnv {
        caller: address_of(from),
        gas_limit: gas,
        kind: target(message, home)?,
        value: tag_number(&message.tags, "Value")?,
        data,
        chain_id: None,
        // Written out: to build the default costs more than all of it.
        tx_type: 0,
        gas_price: 0,
        nonce: 0,
        access_list: Default::default(),
        gas_priority_fee: None,
        blob_hashes: Vec::new(),
        max_fee_per_blob_gas: 0,
        authorization_list: Vec::new(),
    };
    Ok(Intent::Run(Plan { manner: Manner::Message, tx, function, hash: None }))
}

/// A credit notice of the token that the process's spawn names as `Native-Token`.
fn deposit(
    process: &Process,
    message: &Message,
    from: &str,
    action: Option<&str>,
) -> Result<Option<Intent>, String> {
    let is_token = Tag::last(&process.tags, "Native-Token").is_some_and(|token| token == from);
    if !is_token || action != Some("Credit-Notice") {
        return Ok(None);
    }
    let amount = tag_number(&message.tags, "Quantity")?;
    let recipient = Tag::last(&message.tags, "X-Recipient");
    let Some(to) = recipient.or_else(|| Tag::last(&message.tags, "Sender")) else {
        return Err("a credit notice has no Sender".into());
    };
    Ok(Some(Intent::Deposit { to: address_of(to), amount }))
}

/// A number in a tag; 0 if there is no such tag.
pub(crate) fn tag_number(tags: &[Tag], name: &str) -> Result<U256, String> {
    let Some(text) = Tag::last(tags, name) else { return Ok(U256::ZERO) };
    number(text).ok_or_else(|| {
        format!("tag {name} is no number below 2^256; expected decimal digits, or hexadecimal ones after 0x")
    })
}

fn target(message: &Message, home: Address) -> Result<TxKind, String> {
    match Tag::last(&message.tags, "To") {
        None => Ok(TxKind::Call(home)),
        Some("create") => Ok(TxKind::Create),
        Some(text) => ethereum(text).map(TxKind::Call).ok_or_else(|| {
            "tag To is no address; expected 0x and 40 hexadecimal digits, or `create`".into()
        }),
    }
}

/// The input of the call: what `Action` says with its arguments, else the data.
pub(crate) fn input(
    message: &Message,
    abi: &Abi,
    action: Option<&str>,
) -> Result<(Bytes, Option<Function>), String> {
    let Some(action) = action else { return Ok((bytes_of(message), None)) };
    let data = message.data.as_deref().unwrap_or_default();
    let json = std::str::from_utf8(data).ok().and_then(|text| Value::parse(text).ok());
    let json = json.filter(|json| matches!(json, Value::Array(_) | Value::Object(_)));
    let args = json.as_ref().map_or(Args::Tags(&message.tags), Args::Json);
    let function = abi.function(action, |params| args.fits(params)).map_err(|why| why.0)?;
    let Some(function) = function else { return Ok((bytes_of(message), None)) };
    let values = args.values(&function.inputs).map_err(|why| why.0)?;
    let input = function.abi_encode_input(&values).map_err(|why| why.to_string())?;
    Ok((input.into(), Some(function)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn message(from: &str, owner: &str) -> Message {
        Message { from: from.into(), owner: owner.into(), ..Message::default() }
    }

    #[test]
    fn from_process_counts_only_from_an_authority() {
        let tags = ["mu-one", "mu-two"].map(|mu| Tag::new("Authority", mu)).into();
        let process = Process { tags, ..Process::default() };
        assert_eq!(sender(&process, &message("wallet", "wallet")), "wallet");
        assert_eq!(sender(&process, &message("process", "mu-two")), "process");
        assert_eq!(sender(&process, &message("process", "forger")), "forger");
        assert_eq!(sender(&Process::default(), &message("process", "mu-two")), "mu-two");
    }

    #[test]
    fn numbers_are_decimal_or_hexadecimal() {
        assert_eq!(number(" 12 "), Some(U256::from(12)));
        assert_eq!(number("0xff"), Some(U256::from(255)));
        for bad in ["", "0x", "-1", "1_000", "1e3", &"9".repeat(90)] {
            assert_eq!(number(bad).filter(|n| !n.is_zero()), None, "{bad}");
        }
    }

    #[test]
    fn a_signature_is_encoded_from_data_or_tags() {
        let expected = hex::decode(
            "a9059cbb000000000000000000000000d8da6bf26964af9d7eed9e03e53415d37aa960450000000000000000000000000000000000000000000000000000000000000007",
        )
        .unwrap();
        let to = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045";
        let action = Some("transfer(address,uint256)");
        let mut said = message("a", "a");
        said.data = Some(format!("[\"{to}\", \"7\"]").into());
        let (input, _) = super::input(&said, &Abi::default(), action).unwrap();
        assert_eq!(input, expected);
        said.data = None;
        said.tags = vec![Tag::new("Arg-0", to), Tag::new("Arg-1", "7")];
        let (input, _) = super::input(&said, &Abi::default(), action).unwrap();
        assert_eq!(input, expected);
        let abi =
            Abi::parse("function transfer(address to, uint256 amount) returns (bool)").unwrap();
        said.tags = vec![Tag::new("To", to), Tag::new("amount", "7")];
        let (input, _) = super::input(&said, &abi, Some("transfer")).unwrap();
        assert_eq!(input, expected);
        said.tags = vec![Tag::new("amount", "7")];
        let why = super::input(&said, &abi, Some("transfer")).unwrap_err();
        assert!(why.contains("argument to of type address is missing"), "{why}");
    }
}
