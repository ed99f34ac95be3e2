//! What Ethereum's compilers write, taken apart: bytecode to publish, and the ABI as a tag of it.
//!
//! Known are hexadecimal digits (`solc --bin`), and JSON of Hardhat, Truffle and OpenZeppelin, of Foundry,
//! of Solidity (standard and `--combined-json`), and of Vyper (`-f combined_json`).

use super::error::usage;
use crate::{
    cu::abi_lines,
    disk::{
        Tag,
        json::{Json, Value},
    },
};
use anyhow::anyhow;

/// Code that can be published, and the tags that go with it.
pub(crate) struct Artifact {
    pub(crate) code: Vec<u8>,
    pub(crate) tags: Vec<Tag>,
}

/// A contract in an artifact.
struct Contract {
    name: String,
    abi: Option<Value>,
    code: String,
}

/// The contract in a compiler's output; `None` if the bytes are none. Where there are several, `wanted`
/// names one.
pub(crate) fn take(bytes: &[u8], wanted: Option<&str>) -> anyhow::Result<Option<Artifact>> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(None) };
    let text = text.trim();
    if let Some(code) = hex(text) {
        return Ok(Some(Artifact { code, tags: Vec::new() }));
    }
    if !text.starts_with('{') {
        return Ok(None);
    }
    let value = Value::parse(text).map_err(|error| {
        usage(format!("the module is neither bytecode nor whole JSON: {error}"))
    })?;
    let mut found = Vec::new();
    contracts("", &value, 0, &mut found);
    found.retain(|contract| !contract.code.is_empty());
    choose(found, wanted)?.artifact().map(Some)
}

/// The bytes that an even number of hexadecimal digits spell, with or without `0x`.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let is_hex = digits.len() >= 2 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()).flatten()
}

/// Where contracts stand: file, then name.
const DEPTH_MAX: usize = 4;

fn contracts(name: &str, value: &Value, depth: usize, found: &mut Vec<Contract>) {
    if let Some(code) = code_in(value) {
        let own = value.get("contractName").and_then(Value::as_str);
        let name = own.unwrap_or(name).to_owned();
        found.push(Contract { name, abi: value.get("abi").cloned(), code });
        return;
    }
    let Some(pairs) = value.as_object().filter(|_| depth < DEPTH_MAX) else { return };
    for (key, inner) in pairs {
        contracts(&key.to_string_lossy(), inner, depth + 1, found);
    }
}

fn code_in(value: &Value) -> Option<String> {
    let object = |value: &Value| value.get("object").and_then(Value::as_str).map(str::to_owned);
    let places = [
        value.get("bytecode").and_then(Value::as_str).map(str::to_owned),
        value.get("bytecode").and_then(object),
        value.get("evm").and_then(|evm| evm.get("bytecode")).and_then(object),
        value.get("bin").and_then(Value::as_str).map(str::to_owned),
    ];
    places.into_iter().flatten().next().map(|code| match code.as_str() {
        "0x" => String::new(),
        _ => code,
    })
}

fn choose(mut found: Vec<Contract>, wanted: Option<&str>) -> anyhow::Result<Contract> {
    let names: Vec<String> = found.iter().map(|contract| contract.name.clone()).collect();
    if let Some(wanted) = wanted {
        let matches = |name: &str| name == wanted || name.rsplit(':').next() == Some(wanted);
        found.retain(|contract| matches(&contract.name));
    }
    match (found.len(), found.pop()) {
        (1, Some(contract)) => Ok(contract),
        (0, _) if names.is_empty() => Err(usage(
            "the module is JSON in which there is no bytecode; expected what solc, vyper, hardhat or \
             foundry write",
        )),
        (count, _) => Err(usage(format!(
            "{count} of the contracts are meant; name one with --contract: {}",
            names.join(", ")
        ))),
    }
}

impl Contract {
    fn artifact(self) -> anyhow::Result<Artifact> {
        let code = hex(&self.code).ok_or_else(|| {
            let what = if self.code.contains("__") {
                "libraries that are not linked"
            } else {
                "no bytecode"
            };
            usage(format!("the bytecode of {} has {what}; link it first", self.name))
        })?;
        let mut tags = Vec::new();
        if let Some(abi) = &self.abi {
            let text =
                abi.as_str().map_or_else(|| Json::from(abi.clone()).to_string(), str::to_owned);
            let lines = abi_lines(&text).map_err(|why| usage(format!("{}: {why}", self.name)))?;
            tags.push(Tag::new("ABI", lines));
        }
        if !self.name.is_empty() {
            tags.push(Tag::new("Name", self.name));
        }
        Ok(Artifact { code, tags })
    }
}

/// The ABI in a file: of a contract in a compiler's output, or the file itself, if it is none.
pub(crate) fn abi(bytes: &[u8], wanted: Option<&str>) -> anyhow::Result<String> {
    let text = std::str::from_utf8(bytes).map_err(|_| usage("an ABI is text"))?.trim();
    if !text.starts_with('{') {
        return Ok(text.to_owned());
    }
    let value = Value::parse(text)
        .map_err(|error| usage(format!("the ABI's file is not whole JSON: {error}")))?;
    let mut found = Vec::new();
    contracts("", &value, 0, &mut found);
    if found.is_empty()
        && let Some(abi) = value.get("abi")
    {
        // An interface has no code.
        return Ok(Json::from(abi.clone()).to_string());
    }
    let chosen = choose(found, wanted)?;
    let abi = chosen.abi.ok_or_else(|| usage(format!("{} has no ABI", chosen.name)))?;
    Ok(abi.as_str().map_or_else(|| Json::from(abi.clone()).to_string(), str::to_owned))
}

/// What a call from the command line says: a function, and its arguments.
pub(crate) fn call(words: &[String]) -> anyhow::Result<crate::wire::Fields> {
    let (function, args) =
        words.split_first().ok_or_else(|| anyhow!("a call without a function"))?;
    let args: Vec<Value> = args.iter().map(|arg| Value::from(arg.as_str())).collect();
    let mut fields = crate::wire::Fields::default();
    fields.set("Data", Json::from(Value::from(args)).to_string());
    let tags = super::message::tags("Message", &[Tag::new("Action", function.as_str())]);
    fields.set("Tags", crate::wire::tags_value(&tags));
    Ok(fields)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const ABI: &str = r#"[{"type":"function","name":"get","inputs":[],"outputs":[{"name":"","type":"uint256"}],"stateMutability":"view"}]"#;

    #[test]
    fn every_compilers_output_is_taken_apart() {
        let all = [
            format!(r#"{{"contractName":"A","abi":{ABI},"bytecode":"0x6001"}}"#),
            format!(r#"{{"abi":{ABI},"bytecode":{{"object":"0x6001"}}}}"#),
            format!(
                r#"{{"contracts":{{"a.sol":{{"A":{{"abi":{ABI},"evm":{{"bytecode":{{"object":"6001"}}}}}}}}}}}}"#
            ),
            format!(r#"{{"contracts":{{"a.sol:A":{{"abi":{ABI},"bin":"6001"}}}}}}"#),
            format!(r#"{{"a.vy":{{"abi":{ABI},"bytecode":"0x6001","bytecode_runtime":"0x60"}}}}"#),
        ];
        for json in &all {
            let artifact = take(json.as_bytes(), None).unwrap().unwrap();
            assert_eq!(artifact.code, [0x60, 1], "{json}");
            let abi = Tag::last(&artifact.tags, "ABI").unwrap();
            assert!(abi.contains("function get()"), "{abi}");
        }
        assert_eq!(take(b"0x6001\n", None).unwrap().unwrap().code, [0x60, 1]);
        assert_eq!(take(b"6001", None).unwrap().unwrap().code, [0x60, 1]);
        assert!(take(b"\0asm\xff", None).unwrap().is_none());
    }

    #[test]
    fn of_several_contracts_one_must_be_named() {
        let json = br#"{"contracts":{"a.sol":{"A":{"evm":{"bytecode":{"object":"6001"}}},"B":{"evm":{"bytecode":{"object":"6002"}}},"I":{"evm":{"bytecode":{"object":""}}}}}}"#;
        let why = take(json, None).err().unwrap().to_string();
        assert!(why.contains("A, B"), "{why}");
        assert_eq!(take(json, Some("B")).unwrap().unwrap().code, [0x60, 2]);
        assert!(
            take(br#"{"bytecode":"0x60__$abc$__"}"#, None)
                .err()
                .unwrap()
                .to_string()
                .contains("link")
        );
        assert!(take(b"{}", None).is_err());
    }
}
