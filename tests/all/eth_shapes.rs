//! What answers look like: the fields that the OpenRPC schema of `ethereum/execution-apis` has for them, no more
//! and no fewer, each in its form.

use crate::eth::{home, stage};
use alloy_primitives::B256;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Fields and their forms: `q` a quantity, `d` bytes, `h` 32 bytes, `a` an address, `b` a bloom, `n` 8 bytes, `?` one that may
/// be null, `l` a list, `t` a truth, `f` a list of fractions.
const BLOCK: &str = "hash:h parentHash:h sha3Uncles:h miner:a stateRoot:h transactionsRoot:h receiptsRoot:h logsBloom:b \
     difficulty:q number:q gasLimit:q gasUsed:q timestamp:q extraData:d mixHash:h nonce:n baseFeePerGas:q \
     withdrawalsRoot:h blobGasUsed:q excessBlobGas:q parentBeaconBlockRoot:h requestsHash:h size:q \
     transactions:l withdrawals:l uncles:l";
const PLACED: &str = "blockHash:h blockNumber:q blockTimestamp:q from:a hash:h transactionIndex:q";
const LEGACY: &str = "type:q nonce:q to:a gas:q value:q input:d gasPrice:q chainId:q v:q r:q s:q";
const DYNAMIC: &str = "type:q nonce:q to:a gas:q value:q input:d maxPriorityFeePerGas:q maxFeePerGas:q gasPrice:q \
     accessList:l chainId:q yParity:q v:q r:q s:q";
const RECEIPT: &str = "type:q transactionHash:h transactionIndex:q blockHash:h blockNumber:q from:a to:a \
     cumulativeGasUsed:q gasUsed:q contractAddress:? logs:l logsBloom:b status:q effectiveGasPrice:q";
const LOG: &str = "removed:t logIndex:q transactionIndex:q transactionHash:h blockHash:h blockNumber:q \
     blockTimestamp:q address:a data:d topics:l";
const FEES: &str =
    "oldestBlock:q baseFeePerGas:l baseFeePerBlobGas:l gasUsedRatio:f blobGasUsedRatio:f reward:l";
const PROOF: &str =
    "address:a accountProof:l balance:q codeHash:h nonce:q storageHash:h storageProof:l";
const SLOT: &str = "key:q value:q proof:l";

/// Hexadecimal digits behind `0x`, as our nodes write them.
fn digits(value: &Value) -> Option<&str> {
    let digits = value.as_str()?.strip_prefix("0x")?;
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    digits.chars().all(is_hex).then_some(digits)
}

fn holds(form: &str, value: &Value) -> bool {
    let bytes = |count: usize| digits(value).is_some_and(|digits| digits.len() == 2 * count);
    match form {
        "q" => digits(value).is_some_and(|d| d == "0" || !d.is_empty() && !d.starts_with('0')),
        "d" => digits(value).is_some_and(|digits| digits.len() % 2 == 0),
        "h" => bytes(32),
        "a" => bytes(20),
        "b" => bytes(256),
        "n" => bytes(8),
        "?" => value.is_null() || bytes(20),
        "l" => value.is_array(),
        "t" => value.is_boolean(),
        "f" => value.as_array().is_some_and(|all| all.iter().all(Value::is_number)),
        other => panic!("there is no form {other}"),
    }
}

#[track_caller]
fn check(value: &Value, wanted: &[&str]) {
    let wanted = wanted.iter().flat_map(|fields| fields.split_whitespace());
    let wanted: BTreeMap<&str, &str> = wanted.map(|pair| pair.split_once(':').unwrap()).collect();
    let got: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    let mut sorted = got.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, wanted.keys().copied().collect::<Vec<_>>());
    for (key, form) in wanted {
        assert!(holds(form, &value[key]), "{key} should be {form}: {}", value[key]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_the_fields_of_the_schema() {
    let stage = stage();
    let (raw, hash) = stage.signed(0).await;
    stage.ask("eth_sendRawTransaction", json!([raw])).await;
    for block in ["0x0", "0x1", "latest"] {
        check(&stage.ask("eth_getBlockByNumber", json!([block, false])).await, &[BLOCK]);
    }
    let whole = stage.ask("eth_getBlockByNumber", json!(["latest", true])).await;
    check(&whole, &[BLOCK]);
    check(&whole["transactions"][0], &[PLACED, DYNAMIC]);
    check(&stage.ask("eth_getTransactionByHash", json!([hash])).await, &[PLACED, DYNAMIC]);
    let place = json!(["0x1", "0x0"]);
    let message = stage.ask("eth_getTransactionByBlockNumberAndIndex", place).await;
    // A message has no signature of Ethereum's: the numbers of it are 32 bytes of zero.
    let unsigned = LEGACY.replace("r:q s:q", "r:h s:h");
    check(&message, &[PLACED, &unsigned]);
    assert_eq!((&message["r"], &message["s"]), (&json!(B256::ZERO), &json!(B256::ZERO)));
    let receipt = stage.ask("eth_getTransactionReceipt", json!([hash])).await;
    check(&receipt, &[RECEIPT]);
    check(&receipt["logs"][0], &[LOG]);
    check(&stage.ask("eth_getLogs", json!([{}])).await[0], &[LOG]);
    let fees = stage.ask("eth_feeHistory", json!(["0x2", "latest", [50]])).await;
    check(&fees, &[FEES]);
    let proof = stage.ask("eth_getProof", json!([home(), ["0x0"], "latest"])).await;
    check(&proof, &[PROOF]);
    check(&proof["storageProof"][0], &[SLOT]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_block_is_a_block_with_calls() {
    let stage = stage();
    let call = json!({ "to": home() });
    let limits = json!({ "gasLimit": "0x186a0" });
    let blocks = json!([{ "blockOverrides": limits, "calls": [call] }, { "calls": [call] }]);
    let said = stage.ask("eth_simulateV1", json!([{ "blockStateCalls": blocks }])).await;
    for block in said.as_array().unwrap() {
        check(block, &[BLOCK, "calls:l"]);
        let call = &block["calls"][0];
        check(call, &["returnData:d logs:l gasUsed:q maxUsedGas:q status:q"]);
        check(&call["logs"][0], &[LOG]);
        assert_eq!(block["gasLimit"], "0x186a0", "a limit holds for the blocks after it");
    }
}
