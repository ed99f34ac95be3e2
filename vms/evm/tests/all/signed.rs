//! Signed Ethereum transactions, and what others did wrong with them.

use crate::asm::{asm, returning};
use crate::stage::{Shown, Stage, trial};
use alloy_consensus::{
    SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxEnvelope, TxLegacy,
};
use alloy_eips::{
    eip2718::Encodable2718,
    eip2930::{AccessList, AccessListItem},
    eip7702::Authorization,
};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex, keccak256};
use drivebay_disk::{FaultCode, json::Value};
use drivebay_evm::{address_of, chain_id_of};
use k256::ecdsa::SigningKey;
use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("signed: nonce, chain, funds and gas are checked", checked),
        trial("signed: every type of transaction", types),
        trial("signed: fees and value are conserved", conserved),
        trial("signed: a failed transaction costs its nonce and fee", failed),
        trial("peers: storage is kept, beside what a transaction touched", storage_is_kept),
        trial("peers: logs are not lost, and success is not always", logs_and_status),
        trial("peers: what is bent is refused, without panic", bent),
    ]
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32].into()).unwrap()
}

fn address(key: &SigningKey) -> Address {
    Address::from_public_key(key.verifying_key())
}

fn signature(key: &SigningKey, hash: B256) -> Signature {
    let (signature, recovery) = key.sign_prehash_recoverable(hash.as_slice()).unwrap();
    Signature::from_signature_and_parity(signature, recovery.is_y_odd())
}

fn sign<T: SignableTransaction<Signature>>(key: &SigningKey, tx: T) -> String
where
    TxEnvelope: From<alloy_consensus::Signed<T>>,
{
    let signature = signature(key, tx.signature_hash());
    hex::encode_prefixed(TxEnvelope::from(tx.into_signed(signature)).encoded_2718())
}

/// A process whose contract is `code`, and that knows a native token.
fn stage(code: &str) -> Stage {
    Stage::new(&crate::roles::runtime(asm(code)), &[("Native-Token", "token")])
}

fn home(stage: &Stage) -> Address {
    address_of(&stage.process.id)
}

fn raw(stage: &mut Stage, tx: String) -> Shown {
    stage.send(tx, &[("Action", "eth_sendRawTransaction")])
}

fn credit(stage: &mut Stage, to: Address, amount: u64) {
    let call = stage.builder().message(|message| {
        (message.from, message.owner) = ("token".into(), "token".into());
    });
    let call = call.tag("Action", "Credit-Notice").tag("Sender", &to.to_string());
    let shown = stage.play(&call.tag("Quantity", &amount.to_string()).build());
    assert_eq!(shown.fault, None, "{}", shown.said);
}

fn plain(stage: &Stage, nonce: u64) -> TxEip1559 {
    TxEip1559 {
        chain_id: chain_id_of(&stage.process.id),
        nonce,
        gas_limit: 100_000,
        max_fee_per_gas: 0,
        max_priority_fee_per_gas: 0,
        to: TxKind::Call(home(stage)),
        ..TxEip1559::default()
    }
}

const CALLER: &str = "CALLER PUSH0 MSTORE 32 PUSH0 RETURN";

fn checked() {
    let (mut stage, key) = (stage(CALLER), key(7));
    let tx = plain(&stage, 0);
    let signed = sign(&key, tx.clone());
    let shown = raw(&mut stage, signed.clone());
    assert_eq!(shown.fault, None, "{}", shown.said);
    assert_eq!(shown.returned()[26..], hex::encode(address(&key)));
    let hash = hex::encode_prefixed(keccak256(hex::decode(&signed).unwrap()));
    assert_eq!(shown.field("transaction"), Value::from(hash));
    let mut no = |tx: TxEip1559, expected: &str| {
        let before = stage.root();
        let shown = raw(&mut stage, sign(&key, tx));
        assert_eq!(shown.fault, Some(FaultCode::BadCall), "{expected}");
        assert!(shown.said.contains(expected), "{} is not {expected}", shown.said);
        assert_eq!(stage.root(), before, "{expected}");
    };
    no(tx.clone(), "nonce too low: 0; expected 1");
    let tx = TxEip1559 { nonce: 1, ..tx };
    no(TxEip1559 { nonce: 2, ..tx.clone() }, "nonce too high: 2; expected 1");
    no(TxEip1559 { chain_id: 1, ..tx.clone() }, "another chain; expected chain id");
    no(TxEip1559 { value: U256::ONE, ..tx.clone() }, "insufficient funds");
    no(TxEip1559 { gas_limit: 40_000_000, ..tx.clone() }, "over the block's 30000000");
    no(TxEip1559 { max_priority_fee_per_gas: 1, ..tx }, "priority fee above the fee cap");
}

fn types() {
    let (mut stage, key) = (stage("PUSH0 SLOAD PUSH0 MSTORE 32 PUSH0 RETURN"), key(8));
    let (chain_id, to) = (chain_id_of(&stage.process.id), TxKind::Call(home(&stage)));
    stage.send("", &[]);
    let cold = raw(&mut stage, sign(&key, plain(&stage_like(), 0)));
    let legacy = |nonce, chain_id| TxLegacy {
        chain_id,
        nonce,
        gas_limit: 100_000,
        to,
        ..TxLegacy::default()
    };
    for tx in [legacy(1, Some(chain_id)), legacy(2, None)] {
        let shown = raw(&mut stage, sign(&key, tx));
        assert_eq!((shown.fault, shown.meter.gas), (None, cold.meter.gas), "{}", shown.said);
    }
    // The access list is paid for, and makes the slot warm.
    let list = AccessListItem { address: home(&stage), storage_keys: vec![B256::ZERO] };
    let tx = TxEip2930 {
        chain_id,
        nonce: 3,
        gas_limit: 100_000,
        to,
        access_list: AccessList(vec![list]),
        ..TxEip2930::default()
    };
    let shown = raw(&mut stage, sign(&key, tx));
    assert_eq!(shown.meter.gas, cold.meter.gas.map(|gas| gas + 2400 + 1900 - 2000));
    // EIP-7702: the key's own account runs the contract's code.
    let authority = self::key(9);
    let auth = Authorization { chain_id: U256::from(chain_id), address: home(&stage), nonce: 0 };
    let auth_signature = signature(&authority, auth.signature_hash());
    let tx = TxEip7702 {
        chain_id,
        nonce: 4,
        gas_limit: 200_000,
        to: address(&authority),
        authorization_list: vec![auth.into_signed(auth_signature)],
        ..TxEip7702::default()
    };
    let shown = raw(&mut stage, sign(&key, tx));
    assert_eq!((shown.fault, shown.number()), (None, 0), "{}", shown.said);
    let blob = TxEip4844 { chain_id, nonce: 5, gas_limit: 100_000, ..TxEip4844::default() };
    let shown = raw(&mut stage, sign(&key, blob));
    assert!(shown.said.contains("blobs"), "{}", shown.said);
}

/// For the fields that all stages share.
fn stage_like() -> Stage {
    stage("STOP")
}

fn conserved() {
    let (mut stage, key) = (stage("STOP"), key(10));
    credit(&mut stage, address(&key), 1_000_000);
    let tx = TxEip1559 {
        max_fee_per_gas: 3,
        max_priority_fee_per_gas: 2,
        value: U256::from(1000),
        ..plain(&stage, 0)
    };
    let shown = raw(&mut stage, sign(&key, tx));
    let fee = shown.meter.gas.unwrap() * 2;
    let balance = |stage: &mut Stage, who: Address| {
        let code = format!("{who} BALANCE PUSH0 MSTORE 32 PUSH0 RETURN");
        stage.dry(asm(&code), &[("To", "create")]).field("data")
    };
    let number = |value: Value| U256::from_str_radix(&value.as_str().unwrap()[2..], 16).unwrap();
    let (payer, home) = (address(&key), home(&stage));
    assert_eq!(number(balance(&mut stage, payer)), U256::from(1_000_000 - 1000 - fee));
    assert_eq!(number(balance(&mut stage, home)), U256::from(1000));
    assert_eq!(number(balance(&mut stage, drivebay_evm::COINBASE)), U256::from(fee));
}

fn failed() {
    // Writes, logs, then fails by what the data says.
    let code = "1 PUSH0 SSTORE PUSH0 PUSH0 LOG0 CALLDATASIZE @spin JUMPI PUSH0 PUSH0 REVERT \
                spin: @spin JUMP";
    let (mut stage, key) = (stage(code), key(11));
    credit(&mut stage, address(&key), 1_000_000);
    for (nonce, data, expected) in [(0, "", "execution reverted"), (1, "x", "out of gas")] {
        let tx = TxEip1559 {
            max_fee_per_gas: 1,
            max_priority_fee_per_gas: 1,
            input: Bytes::from_static(data.as_bytes()),
            ..plain(&stage, nonce)
        };
        let before = stage.root();
        let shown = raw(&mut stage, sign(&key, tx));
        assert_eq!((shown.fault, shown.error().as_str()), (None, expected));
        assert_eq!(shown.field("status"), Value::from(0_u32));
        assert_ne!(stage.root(), before, "nonce and fee are taken");
    }
    let shown = raw(&mut stage, sign(&key, plain(&stage_like(), 1)));
    assert!(shown.said.contains("expected 2"), "{}", shown.said);
}

/// Writes 1 to the slot that the data says, and answers with the slot after it.
const SLOTS: &str =
    "1 PUSH0 CALLDATALOAD SSTORE PUSH0 CALLDATALOAD 1 ADD SLOAD PUSH0 MSTORE 32 PUSH0 RETURN";

fn storage_is_kept() {
    let (mut stage, key) = (stage(SLOTS), key(12));
    for (nonce, slot) in [9u64, 8, 5, 7].into_iter().enumerate() {
        let input = Bytes::from(B256::from(U256::from(slot)).to_vec());
        let tx = TxEip1559 { input, ..plain(&stage, nonce as u64) };
        let shown = raw(&mut stage, sign(&key, tx));
        assert_eq!(shown.number(), u64::from(slot == 8 || slot == 7), "slot {slot}");
    }
    // Mounted from its image, too.
    let image = stage.image();
    assert!(image.table(&drivebay_disk::SectionName::new("accounts")).is_some());
}

fn logs_and_status() {
    let code =
        "0xaa PUSH0 MSTORE 0xbb 32 PUSH0 LOG1 CALLDATASIZE @bad JUMPI STOP bad: PUSH0 PUSH0 REVERT";
    let (mut stage, key) = (stage(code), key(13));
    let shown = raw(&mut stage, sign(&key, plain(&stage_like(), 0)));
    assert_eq!(shown.field("status"), Value::from(1_u32));
    let logs = shown.field("logs");
    let log = &logs.as_array().unwrap()[0];
    assert_eq!(log.get("data").unwrap(), &Value::from(format!("0x{:064x}", 0xaa)));
    assert_eq!(
        log.get("topics").unwrap().as_array().unwrap()[0],
        Value::from(format!("0x{:064x}", 0xbb))
    );
    let tx = TxEip1559 { input: Bytes::from_static(b"x"), ..plain(&stage, 1) };
    let shown = raw(&mut stage, sign(&key, tx));
    assert_eq!(shown.field("status"), Value::from(0_u32));
}

fn bent() {
    let (mut stage, key) = (stage(CALLER), key(14));
    // Above 2^128: a value that a narrower machine would choke on.
    let tx = TxEip1559 { value: U256::MAX, ..plain(&stage, 0) };
    assert!(
        raw(&mut stage, sign(&key, tx)).said.contains("valid under the format's fork")
            || stage.next > 0
    );
    let whole = hex::decode(sign(&key, plain(&stage, 0))).unwrap();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        let before = stage.root();
        for data in [flipped, whole[..at].to_vec()] {
            let shown = stage.dry(data, &[("Action", "eth_sendRawTransaction")]);
            let who = shown.fault.is_none().then(|| shown.returned());
            let who = who.and_then(|said| said.get(26..).map(str::to_owned));
            assert_ne!(who, Some(hex::encode(address(&key))), "byte {at}: a forged sender");
        }
        assert_eq!(stage.root(), before);
    }
    let mut longer = whole;
    longer.push(0);
    let shown = stage.send(longer, &[("Action", "eth_sendRawTransaction")]);
    assert_eq!(shown.fault, Some(FaultCode::BadCall));
    let deployed = stage.send(returning(&asm("STOP")), &[("To", "create")]);
    assert_eq!(deployed.fault, None);
}
