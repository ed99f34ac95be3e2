//! Signed Ethereum transactions, and what others did wrong with them.

use crate::asm::{asm, returning};
use crate::stage::{Shown, Stage, trial};
use alloy_consensus::{
    SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxEnvelope, TxLegacy,
};
use alloy_eips::{
    eip2718::Encodable2718,
    eip2930::{AccessList, AccessListItem},
    eip7702::{Authorization, SignedAuthorization},
};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex, keccak256};
use drivebay_conformance::laws::Rng;
use drivebay_disk::{FaultCode, SectionName, json::Value};
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
        trial("peers: the signed gas limit and price are those of the call", signed_fields),
        trial("peers: a slot that is zero again is gone", zero_is_gone),
        trial("peers: who destroys itself is gone", destroyed),
        trial("hostile: signed transactions with any fields", any_fields),
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
    let shown = raw(&mut stage, sign(&key, tx));
    assert_eq!(shown.fault, Some(FaultCode::BadCall));
    assert!(shown.said.contains("insufficient funds"), "{}", shown.said);
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

fn signed_fields() {
    let (mut stage, key) = (
        stage("CALLDATASIZE @spin JUMPI GASPRICE PUSH0 MSTORE 32 PUSH0 RETURN spin: @spin JUMP"),
        key(15),
    );
    credit(&mut stage, address(&key), 10_000_000);
    let tx = TxEip1559 { max_fee_per_gas: 7, max_priority_fee_per_gas: 5, ..plain(&stage, 0) };
    assert_eq!(raw(&mut stage, sign(&key, tx)).number(), 5);
    let input = Bytes::from_static(b"x");
    let tx = TxEip1559 { gas_limit: 34_567, input, ..plain(&stage, 1) };
    let shown = raw(&mut stage, sign(&key, tx));
    assert_eq!((shown.meter.gas, shown.error().as_str()), (Some(34_567), "out of gas"));
}

/// Rows of the accounts, and of the storage of all of them.
fn rows(stage: &mut Stage) -> (u64, u64) {
    let image = stage.image();
    let accounts = image.table(&SectionName::new("accounts")).unwrap();
    let slots = accounts.iter().filter_map(|row| row.table).map(|table| table.len()).sum();
    (accounts.len(), slots)
}

fn zero_is_gone() {
    // Writes the second word of the data to the slot that the first says.
    let (mut stage, key) = (stage("32 CALLDATALOAD PUSH0 CALLDATALOAD SSTORE"), key(16));
    let expected = [(5u64, 1u64, 1u64), (6, 1, 2), (5, 0, 1), (7, 0, 1), (6, 2, 1), (6, 0, 0)];
    for (nonce, (slot, value, slots)) in expected.into_iter().enumerate() {
        let words = [slot, value].map(|word| B256::from(U256::from(word)).0);
        let input = Bytes::from(words.concat());
        let tx = TxEip1559 { input, ..plain(&stage, nonce as u64) };
        let shown = raw(&mut stage, sign(&key, tx));
        assert_eq!((shown.fault, rows(&mut stage).1), (None, slots), "slot {slot}, value {value}");
    }
}

fn destroyed() {
    let (mut stage, key) = (stage("STOP"), key(17));
    credit(&mut stage, address(&key), 1000);
    let tx = plain(&stage, 0);
    raw(&mut stage, sign(&key, tx));
    let before = rows(&mut stage);
    // It writes to a slot, and is gone in the transaction that made it (EIP-6780): so is the slot. What it had
    // goes to whoever it says.
    let input = Bytes::from(asm("1 PUSH0 SSTORE CALLER SELFDESTRUCT"));
    let (to, value) = (TxKind::Create, U256::from(100));
    let tx = TxEip1559 { to, value, input, ..plain(&stage, 1) };
    assert_eq!(raw(&mut stage, sign(&key, tx)).fault, None);
    assert_eq!(rows(&mut stage), before);
    let tx = TxEip1559 { value: U256::from(1000), ..plain(&stage, 2) };
    assert_eq!(raw(&mut stage, sign(&key, tx)).fault, None, "all of its value is there");
}

/// An authorization with a signature of something else: whoever it is of, it makes nobody anybody's delegate but
/// its own.
fn stray(
    key: &SigningKey,
    address: Address,
    [chain, nonce]: [u64; 2],
    of: u8,
) -> SignedAuthorization {
    let auth = Authorization { chain_id: U256::from(chain), address, nonce };
    auth.into_signed(signature(key, B256::repeat_byte(of)))
}

/// Transactions that are signed as they should be, and say anything.
fn any_fields() {
    let (mut stage, key) = (stage(SLOTS), key(18));
    credit(&mut stage, address(&key), 1 << 40);
    let (chain_id, home) = (chain_id_of(&stage.process.id), home(&stage));
    let count = if std::env::var_os("DRIVEBAY_LONG").is_some() { 20_000 } else { 400 };
    let (mut nonce, mut done) = (0, 0);
    for seed in 0..count {
        let mut rng = Rng::new(seed, "evm signed transactions");
        let big = |rng: &mut Rng| [0, 1, 7, 1 << 40, u64::MAX][rng.place(5)];
        let wide = |rng: &mut Rng| u128::from(big(rng)) << [0, 64][rng.place(2)];
        let data: Vec<u8> = (0..rng.below(100)).map(|_| rng.byte()).collect();
        let some_nonce = if rng.below(8) == 0 { big(&mut rng) } else { nonce };
        let some_chain = if rng.below(8) == 0 { big(&mut rng) } else { chain_id };
        let to = [TxKind::Create, TxKind::Call(home), TxKind::Call(address(&key))][rng.place(3)];
        let gas_limit = [0, 21_000, 60_000, 500_000, 30_000_000, u64::MAX][rng.place(6)];
        let (fee, tip) = if rng.below(3) == 0 { (wide(&mut rng), wide(&mut rng)) } else { (0, 0) };
        let value = if rng.below(3) == 0 {
            U256::from(big(&mut rng)) << [0, 190][rng.place(2)]
        } else {
            U256::ZERO
        };
        let keys = (0..rng.below(4)).map(|n| B256::from(U256::from(n))).collect();
        let list = AccessList(vec![AccessListItem { address: home, storage_keys: keys }]);
        let tx = match rng.below(2) {
            0 => {
                let (of, by) = ([big(&mut rng), big(&mut rng)], rng.byte());
                let to = to.to().copied().unwrap_or_default();
                sign(
                    &key,
                    TxEip7702 {
                        chain_id: some_chain,
                        nonce: some_nonce,
                        gas_limit,
                        max_fee_per_gas: fee,
                        max_priority_fee_per_gas: tip,
                        to,
                        value,
                        access_list: list,
                        authorization_list: vec![stray(&key, home, of, by)],
                        input: data.into(),
                    },
                )
            }
            _ => sign(
                &key,
                TxEip1559 {
                    chain_id: some_chain,
                    nonce: some_nonce,
                    gas_limit,
                    max_fee_per_gas: fee,
                    max_priority_fee_per_gas: tip,
                    to,
                    value,
                    access_list: list,
                    input: data.into(),
                },
            ),
        };
        let before = stage.root();
        let shown = raw(&mut stage, tx);
        match shown.fault {
            None => (nonce, done) = (nonce + 1, done + 1),
            Some(_) => assert_eq!(stage.root(), before, "seed {seed}: a fault left a mark"),
        }
        assert!(shown.meter.fuel <= stage.limits.fuel, "seed {seed}: over its fuel");
    }
    assert!(done * 10 > count, "only {done} of {count} were taken");
}
