//! What a contract sees, who sends, what comes back: row by row of the crate's README.

use crate::asm::{asm, returning};
use crate::stage::{Stage, trial};
use drivebay_disk::{FaultCode, Tag, json::Value, testing::process};
use drivebay_evm::{OUTBOX, address_of, chain_id_of};
use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("world: the block is the slot", block),
        trial("world: block hashes", block_hashes),
        trial("world: the sender", sender),
        trial("world: a contract by its constructor", constructor),
        trial("world: a failed constructor is tried again", constructor_fails),
        trial("world: an action is a function", action),
        trial("world: a revert leaves the nonce, and says why", revert),
        trial("world: only what is not reverted is sent", outbox),
        trial("world: value comes in and goes out", value),
        trial("world: a contract makes others", create),
        trial("world: memory is given back", memory),
        trial("world: an interrupted call can be tried again", interrupted),
    ]
}

const WORD: &str = "PUSH0 MSTORE 32 PUSH0 RETURN";

fn word(code: &str) -> Stage {
    Stage::of(asm(&format!("{code} {WORD}")))
}

fn block() {
    let mut stage = word("NUMBER");
    stage.next = 77;
    assert_eq!(stage.send("", &[]).number(), 77);
    let mut stage = word("TIMESTAMP");
    stage.next = 5;
    assert_eq!(stage.send("", &[]).number(), 1_700_000_005);
    assert_eq!(word("BASEFEE").send("", &[]).number(), 0);
    assert_eq!(word("GASLIMIT").send("", &[]).number(), 30_000_000);
    let id = process().id;
    assert_eq!(word("CHAINID").send("", &[]).number(), chain_id_of(&id));
    let coinbase = word("COINBASE").send("", &[]).returned();
    assert!(coinbase.ends_with("616f2e636f696e62617365000000000000000000"), "{coinbase}");
    let mut stage = word("PREVRANDAO");
    let call = stage.builder().build();
    let seed: String = call.seed.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(stage.play(&call).returned(), format!("0x{seed}"));
    let module = crate::roles::runtime(asm(&format!("CHAINID {WORD}")));
    let mut stage = Stage::new(&module, &[("Chain-Id", "0x539")]);
    assert_eq!(stage.send("", &[]).number(), 1337);
}

fn block_hashes() {
    let mut stage = word("PUSH0 CALLDATALOAD BLOCKHASH");
    let of = |stage: &mut Stage, n: u64| stage.send(format!("0x{n:064x}"), &[]).returned();
    let zero = format!("0x{}", "0".repeat(64));
    let first = of(&mut stage, 0);
    assert_eq!(first, zero, "a block does not know itself");
    let known = of(&mut stage, 0);
    assert_ne!(known, zero);
    assert_eq!(of(&mut stage, 0), known);
    assert_ne!(of(&mut stage, 1), known);
    stage.next = 200;
    assert_eq!(of(&mut stage, 0), known);
    assert_eq!(of(&mut stage, 100), zero, "no message had this slot");
    stage.next = 256;
    assert_eq!(of(&mut stage, 0), known);
    assert_eq!(of(&mut stage, 0), zero, "256 blocks are kept");
    assert_ne!(of(&mut stage, 200), zero);
}

fn sender() {
    let mut stage = word("CALLER");
    stage.process.tags.push(Tag::new("Authority", "trusted"));
    let seen = |stage: &mut Stage, from: &str, owner: &str| {
        let call = stage.builder().message(|message| {
            (message.from, message.owner) = (from.into(), owner.into());
        });
        let said = stage.play(&call.build()).returned();
        said[26..].to_owned()
    };
    let of = |id: &str| format!("{:x}", address_of(id));
    let eth = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045";
    assert_eq!(seen(&mut stage, eth, eth), eth[2..].to_lowercase());
    assert_eq!(seen(&mut stage, "process", "trusted"), of("process"));
    assert_eq!(seen(&mut stage, "process", "forger"), of("forger"));
    let own = stage.process.id.clone();
    assert_eq!(seen(&mut stage, &own, "trusted"), of(&own), "it may write to itself");
}

const STORE: &str = "constructor(uint256 start) payable;function get() returns (uint256);\
                     error Poor(address who, uint256 missing)";

/// Keeps the constructor's argument in slot 0, and answers with it.
fn store() -> Vec<u8> {
    let runtime = asm(&format!("PUSH0 SLOAD {WORD}"));
    let mut init = asm("32 DUP1 CODESIZE SUB PUSH0 CODECOPY PUSH0 MLOAD PUSH0 SSTORE");
    let tail = asm(&format!("{} DUP1 0xff PUSH0 CODECOPY PUSH0 RETURN", runtime.len()));
    let at = (init.len() + tail.len()) as u8;
    init.extend(tail.iter().map(|byte| if *byte == 0xff { at } else { *byte }));
    init.extend(runtime);
    init
}

fn constructor() {
    let mut stage = Stage::with_abi(store(), STORE, &[("Constructor-Args", "[\"42\"]")]);
    assert_eq!(stage.send("", &[("Action", "get")]).field("data"), Value::from("42"));
    let args = format!("0x{:064x}", 43);
    let mut stage = Stage::with_abi(store(), STORE, &[("Constructor-Args", &args)]);
    let spawn = stage.process.id.clone();
    let call = stage.builder().message(|message| message.id = spawn).build();
    let shown = stage.play(&call);
    assert_eq!(shown.field("contract"), Value::from(address_of(&stage.process.id).to_string()));
    assert_eq!(stage.send("", &[]).number(), 43);
}

fn constructor_fails() {
    let init = asm("TIMESTAMP 1700000001 EQ @ok JUMPI PUSH0 PUSH0 REVERT ok: PUSH0 PUSH0 RETURN");
    let mut stage = Stage::with_abi(init, "", &[]);
    let blank = stage.root();
    assert_eq!(stage.send("", &[]).fault, Some(FaultCode::Raised));
    assert_eq!(stage.root(), blank);
    assert_eq!(stage.send("", &[]).fault, None);
    let mut stage = Stage::with_abi(store(), STORE, &[("Constructor-Args", "[1,2]")]);
    let shown = stage.send("", &[]);
    assert_eq!(shown.fault, Some(FaultCode::BadCall));
    assert!(shown.error().contains("2 arguments were given; expected 1"), "{}", shown.error());
}

fn action() {
    let echo = asm("CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY CALLDATASIZE PUSH0 RETURN");
    let mut stage = Stage::of(echo);
    let said = stage.send(
        "[\"0x00000000000000000000000000000000000000aa\", 7]",
        &[("Action", "transfer(address,uint256)")],
    );
    assert!(said.returned().starts_with("0xa9059cbb"), "{}", said.returned());
    assert_eq!(stage.send("hi", &[("Action", "Ping")]).returned(), "0x6869");
    let shown = stage.send("", &[("Action", "transfer(address,uint256)")]);
    assert_eq!(shown.fault, Some(FaultCode::BadCall));
    assert!(shown.error().contains("argument 0 of type address is missing"), "{}", shown.error());
    let deep = format!("f({}uint8{})", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(stage.send("[]", &[("Action", &deep)]).fault, Some(FaultCode::BadCall));
    for wide in ["f(uint8[99999999999][])", "f(uint8[0][])", "f(uint8[2000])"] {
        assert_eq!(
            stage.send("[1]", &[("Action", wide)]).fault,
            Some(FaultCode::BadCall),
            "{wide}"
        );
    }
}

fn revert() {
    // Poor(address,uint256) of the caller and 5, after a write and a log.
    let selector = &drivebay_evm::revm::primitives::keccak256("Poor(address,uint256)")[..4];
    let selector: String = selector.iter().map(|byte| format!("{byte:02x}")).collect();
    let code = asm(&format!(
        "1 PUSH0 SSTORE PUSH0 PUSH0 LOG0 0x{selector} 224 SHL PUSH0 MSTORE CALLER 4 MSTORE \
         5 36 MSTORE 68 PUSH0 REVERT"
    ));
    let mut stage = Stage::with_abi(returning(&code), STORE, &[]);
    let spawn = stage.process.id.clone();
    let call = stage.builder().message(|message| message.id = spawn).build();
    stage.play(&call);
    let before = stage.root();
    let shown = stage.send("", &[]);
    let who = address_of(&stage.process.owner);
    assert_eq!(shown.fault, None);
    assert_eq!(shown.error(), format!("execution reverted: Poor({who}, 5)"));
    assert_eq!(shown.field("status"), Value::from(0_u32));
    assert!(shown.reply.messages.is_empty());
    assert_ne!(stage.root(), before, "the nonce stays");
}

/// Calldata of `send(target, [], data)`.
fn sending(target: &str) -> String {
    let selector =
        drivebay_evm::revm::primitives::keccak256("send(string,(string,string)[],bytes)");
    let selector: String = selector[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let text: String = target.bytes().map(|byte| format!("{byte:02x}")).collect();
    let words = [0x60, 0xa0, 0xc0, target.len()].map(|n| format!("{n:064x}")).concat();
    format!("0x{selector}{words}{text:0<64}{}", "0".repeat(128))
}

/// Calls the outbox with the calldata, by the instruction that `word` 0 says.
const FORWARD: &str = "CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY ";

fn outbox() {
    let call = |kind: &str, value: &str| {
        format!(
            "PUSH0 PUSH0 CALLDATASIZE PUSH0 {value} {OUTBOX} GAS {kind} PUSH0 MSTORE 32 PUSH0 RETURN"
        )
    };
    let sent = |code: &str| {
        let mut stage = Stage::of(asm(&format!("{FORWARD} {code}")));
        let shown = stage.send(sending("somebody"), &[]);
        (shown.reply.messages.len(), shown)
    };
    let (count, shown) = sent(&call("CALL", "PUSH0"));
    assert_eq!((count, shown.number()), (1, 1));
    let message = shown.reply.messages[0].json.value();
    assert_eq!(message.get("Target"), Some(&Value::from("somebody")));
    assert_eq!(message.get("Anchor").unwrap().as_str().unwrap().len(), 32);
    assert_eq!(sent(&call("CALL", "1")).0, 0, "value does not go with a message");
    let (count, shown) = sent(&call("CALLCODE", "PUSH0"));
    assert_eq!((count, shown.number()), (0, 0));
    for kind in ["DELEGATECALL", "STATICCALL"] {
        let (count, shown) = sent(&call(kind, ""));
        assert_eq!((count, shown.number()), (0, 0), "{kind}");
    }
    let (count, shown) = sent(&format!(
        "PUSH0 PUSH0 CALLDATASIZE PUSH0 PUSH0 {OUTBOX} GAS CALL POP PUSH0 PUSH0 REVERT"
    ));
    assert_eq!((count, shown.fault), (0, None));
    // A callee of its own reverts after sending; the caller sends too, and goes on.
    let inner = format!(
        "CALLER ADDRESS EQ @inner JUMPI {FORWARD} \
         PUSH0 PUSH0 CALLDATASIZE PUSH0 PUSH0 ADDRESS GAS CALL POP {} \
         inner: {FORWARD} PUSH0 PUSH0 CALLDATASIZE PUSH0 PUSH0 {OUTBOX} GAS CALL POP PUSH0 PUSH0 REVERT",
        call("CALL", "PUSH0")
    );
    assert_eq!(Stage::of(asm(&inner)).send(sending("one"), &[]).reply.messages.len(), 1);
    // Nobody forges a log of the outbox, and nobody's bent calldata is sent.
    let mut stage = Stage::of(asm(&format!("{FORWARD} {}", call("CALL", "PUSH0"))));
    let whole = sending("somebody");
    for cut in (10..whole.len()).step_by(16) {
        let shown = stage.send(whole[..cut].to_owned(), &[]);
        assert!(shown.fault.is_none() && shown.reply.messages.len() <= 1);
    }
}

fn value() {
    let code = format!("SELFBALANCE {WORD}");
    let module = crate::roles::runtime(asm(&code));
    let mut stage = Stage::new(&module, &[("Native-Token", "token")]);
    let credit = |stage: &mut Stage, from: &str, tags: &[(&str, &str)]| {
        let builder = stage.builder().message(|message| {
            (message.from, message.owner) = (from.into(), from.into());
        });
        let builder = builder.tag("Action", "Credit-Notice");
        let call = tags.iter().fold(builder, |all, (name, value)| all.tag(name, value)).build();
        stage.play(&call)
    };
    let owner = stage.process.owner.clone();
    let tags = [("Sender", owner.as_str()), ("Quantity", "100")];
    credit(&mut stage, "token", &tags);
    credit(&mut stage, "forger", &tags);
    assert_eq!(stage.send("", &[("Value", "60")]).number(), 60);
    let shown = stage.send("", &[("Value", "60")]);
    assert_eq!(shown.fault, Some(FaultCode::BadCall));
    assert!(shown.error().contains("insufficient funds"), "{}", shown.error());
    assert_eq!(stage.send("", &[("Value", "40")]).number(), 100);
    let bad = [("Sender", owner.as_str()), ("Quantity", "-1")];
    assert_eq!(credit(&mut stage, "token", &bad).fault, Some(FaultCode::BadCall));
}

fn create() {
    let mut stage = Stage::of(asm(&format!("1 {WORD}")));
    let runtime = asm(&format!("99 {WORD}"));
    let shown = stage.send(returning(&runtime), &[("To", "create")]);
    let address = shown.field("contract");
    let address = address.as_str().unwrap();
    assert_eq!(stage.send("", &[("To", address)]).number(), 99);
    assert_eq!(stage.send("", &[]).number(), 1);
    let shown = stage.send("", &[("To", "0x12")]);
    assert!(shown.error().contains("tag To is no address"), "{}", shown.error());
}

fn memory() {
    // Deep enough, and with memory enough, to be given back; then it works as before.
    let code = "CALLDATASIZE @deep JUMPI 7 PUSH0 MSTORE 32 PUSH0 RETURN \
                deep: 1 0x8000 MSTORE PUSH0 PUSH0 1 PUSH0 PUSH0 ADDRESS GAS CALL STOP";
    let mut stage = Stage::of(asm(code));
    stage.limits.gas = Some(1 << 40);
    stage.limits.fuel = drivebay_disk::Fuel(1 << 40);
    let shown = stage.send("x", &[]);
    assert_eq!(shown.fault, None, "{}", shown.said);
    assert_eq!(stage.send("", &[]).number(), 7);
    // 64 MiB is a limit that no handler sees.
    let code = "CALLDATASIZE @deep JUMPI 7 PUSH0 MSTORE 32 PUSH0 RETURN \
                deep: 1 0x18000 MSTORE PUSH0 PUSH0 1 PUSH0 PUSH0 ADDRESS GAS CALL STOP";
    let mut stage = Stage::of(asm(code));
    stage.limits.gas = Some(1 << 40);
    stage.limits.fuel = drivebay_disk::Fuel(1 << 40);
    assert_eq!(stage.send("x", &[]).fault, Some(FaultCode::OutOfMemory));
    assert_eq!(stage.send("", &[]).number(), 7);
}

fn interrupted() {
    use drivebay_disk::{DiskReader, HostError, NoArtifacts, testing::MapHost};
    use std::sync::Arc;
    let reader = drivebay_evm::EvmReader::default();
    let module = crate::roles::runtime(asm(&format!("here: 7 {WORD}")));
    let disk = reader.read(&module, &NoArtifacts).unwrap();
    let drive = disk.clone().mount(disk.blank()).unwrap();
    let stage = Stage::new(&module, &[]);
    reader.stop(true);
    let call = stage.builder().build();
    let failure = drive.run(call.clone(), &stage.limits, Arc::new(MapHost::new())).err().unwrap();
    assert!(matches!(failure.error, HostError::Exhausted { .. }), "{}", failure.error);
    reader.stop(false);
    let ran = failure.drive.unwrap().run(call, &stage.limits, Arc::new(MapHost::new()));
    assert!(matches!(ran, Ok(drivebay_disk::Ran::Done { .. })));
}
