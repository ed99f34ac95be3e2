//! Bytecode and messages that nobody vouches for. Seeded: what fails once fails again.

use crate::asm::asm;
use crate::roles::{FORMAT, LIMITS};
use crate::stage::{Stage, trial};
use drivebay_conformance::laws::Rng;
use drivebay_disk::{DiskReader, FaultCode, Fuel, Limits, Module, NoArtifacts, ReadError, Tag};
use drivebay_evm::{Abi, EvmReader, OUTBOX};
use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("hostile: random programs end, and a fault leaves no mark", programs),
        trial("hostile: random messages end", messages),
        trial("hostile: calldata of the outbox", outbox),
        trial("hostile: modules that are none", modules),
        trial("hostile: ABIs that unfold", abis),
        trial("hostile: the dearest of everything has an end", dearest),
    ]
}

fn count(few: u64) -> u64 {
    if std::env::var_os("DRIVEBAY_LONG").is_some() { few * 50 } else { few }
}

/// Instructions that do something, so that a random program does not stop at once.
const USEFUL: &[u8] = &[
    0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x08, 0x09, 0x0a, 0x0b, 0x10, 0x14, 0x16, 0x19, 0x1a, 0x1b,
    0x20, 0x30, 0x31, 0x33, 0x34, 0x35, 0x36, 0x37, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x40,
    0x42, 0x43, 0x44, 0x47, 0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x5b,
    0x5c, 0x5d, 0x5e, 0x5f, 0x80, 0x81, 0x82, 0x90, 0x91, 0xa0, 0xa1, 0xa2, 0xf0, 0xf1, 0xf2, 0xf3,
    0xf4, 0xf5, 0xfa, 0xfd, 0xff,
];

fn program(rng: &mut Rng) -> Vec<u8> {
    let mut code = Vec::new();
    for _ in 0..rng.below(120) {
        match rng.below(10) {
            0..4 => {
                // Small numbers, addresses of precompiles and of the outbox among them.
                match rng.below(4) {
                    0 => code.extend(asm(&OUTBOX.to_string())),
                    1 => code.extend([0x60, (rng.byte() % 0x14)]),
                    2 => code.extend([0x61, rng.byte(), rng.byte()]),
                    _ => code.extend([0x60, rng.byte()]),
                }
            }
            4 => code.push(rng.byte()),
            _ => code.push(USEFUL[rng.place(USEFUL.len())]),
        }
    }
    code
}

fn programs() {
    for seed in 0..count(400) {
        let mut rng = Rng::new(seed, "evm programs");
        let code = program(&mut rng);
        if code.is_empty() || code[0] == 0xef {
            continue;
        }
        let mut stage = Stage::of(code);
        stage.limits = Limits { fuel: Fuel(2_000_000), gas: Some(2_000_000), ..stage.limits };
        for call in 0..3 {
            let before = stage.root();
            let data: Vec<u8> = (0..rng.below(70)).map(|_| rng.byte()).collect();
            let dry = stage.dry(data.clone(), &[]);
            assert_eq!(stage.root(), before, "seed {seed}: a dry-run left a mark");
            let shown = stage.send(data, &[]);
            assert_eq!((dry.fault, dry.meter), (shown.fault, shown.meter), "seed {seed}.{call}");
            assert!(shown.meter.fuel.0 <= 2_000_000, "seed {seed}: over its fuel");
            if shown.fault.is_some() {
                assert_eq!(stage.root(), before, "seed {seed}: a fault left a mark");
            }
        }
        // What it came to is an image that mounts, and is the same.
        let image = stage.image();
        let mut again = stage.disk.clone().mount(&image).expect("its own image");
        assert_eq!(again.freeze().unwrap().image().unwrap().root(), image.root(), "seed {seed}");
    }
}

fn messages() {
    let abi = "function f(uint256[] a,(string,bytes)[] b) returns (string[]);event E(string a)";
    let code = asm("CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY CALLDATASIZE PUSH0 RETURN");
    let mut stage = Stage::with_abi(crate::asm::returning(&code), abi, &[]);
    let texts = [
        "f",
        "f(",
        "f()",
        "f(uint256[],(string,bytes)[])",
        "[]",
        "[[],[]]",
        "{\"a\":[1],\"b\":[]}",
        "0x",
        "0xzz",
        "create",
        "0x616f2e6f7574626f7800000000000000000000a0",
        "-1",
        "1e9",
        "null",
        "[1e400]",
        "[\"\\ud800\"]",
        "eth_sendRawTransaction",
        "Credit-Notice",
        "é",
        "\u{0}",
        "0x01",
    ];
    for seed in 0..count(600) {
        let mut rng = Rng::new(seed, "evm messages");
        let text = |rng: &mut Rng| texts[rng.place(texts.len())].to_owned();
        let (data, action, to, amount) =
            (text(&mut rng), text(&mut rng), text(&mut rng), text(&mut rng));
        let tags = [("Action", action.as_str()), ("To", &to), ("Value", &amount), ("Arg-0", &data)];
        let tags: Vec<_> = tags.into_iter().filter(|_| rng.below(2) == 0).collect();
        let shown = stage.send(data.clone(), &tags);
        assert!(shown.fault.is_some() || shown.field("data") != drivebay_disk::json::Value::Null);
    }
    // Signed transactions, bent.
    for seed in 0..count(300) {
        let mut rng = Rng::new(seed, "evm transactions");
        let mut data: Vec<u8> = (0..rng.below(300)).map(|_| rng.byte()).collect();
        if let Some(first) = data.first_mut() {
            *first = [0xf8, 0x01, 0x02, 0x03, 0x04, 0xc0, 0xff][rng.place(7)];
        }
        let shown = stage.send(data, &[("Action", "eth_sendRawTransaction")]);
        assert_eq!(shown.fault, Some(FaultCode::BadCall));
    }
}

fn outbox() {
    let names = [
        "send(string,(string,string)[],bytes)",
        "spawn(string,(string,string)[],bytes)",
        "assign(string,string[])",
        "withdraw(string)",
        "message()",
        "tag(string)",
        "data()",
        "process()",
        "read(string,uint256,uint256)",
        "addressOf(string)",
    ];
    let code = format!(
        "CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY PUSH0 PUSH0 CALLDATASIZE PUSH0 PUSH0 {OUTBOX} GAS CALL \
         RETURNDATASIZE PUSH0 PUSH0 RETURNDATACOPY RETURNDATASIZE PUSH0 RETURN"
    );
    let mut stage = Stage::of(asm(&code));
    for seed in 0..count(800) {
        let mut rng = Rng::new(seed, "evm outbox");
        let name = names[rng.place(names.len())];
        let mut data = drivebay_evm::revm::primitives::keccak256(name)[..4].to_vec();
        for _ in 0..rng.below(20) {
            let mut word = [0; 32];
            match rng.below(4) {
                0 => word.iter_mut().for_each(|byte| *byte = rng.byte()),
                1 => word[24..].iter_mut().for_each(|byte| *byte = 0xff),
                2 => word[31] = (rng.below(10) * 32) as u8,
                _ => word[31] = rng.byte() % 4,
            }
            data.extend(word);
        }
        let sent = data.len();
        let shown = stage.send(data, &[("Reference", "7")]);
        let said: usize = shown.reply.messages.iter().map(|out| out.json.as_str().len()).sum();
        assert!(said <= 8 * sent + 1000, "seed {seed}: {sent} bytes unfold to {said}");
    }
}

fn refused(bytes: &[u8], tags: Vec<Tag>) -> String {
    match EvmReader::default().read(&Module::new(bytes.to_vec(), FORMAT, tags), &NoArtifacts) {
        Err(ReadError::Refused(refusal)) => refusal.to_string(),
        Err(ReadError::Host(error)) => panic!("{error}"),
        Ok(_) => panic!("it was read"),
    }
}

fn modules() {
    assert!(refused(b"", vec![]).contains("0 bytes"));
    assert!(refused(b"0x60zz", vec![]).contains("hexadecimal"));
    assert!(refused(b"{\"abi\":[]}", vec![]).contains("artifact"));
    assert!(refused(&[0x60; 49_153], vec![]).contains("49152"));
    let runtime = |bytes: &[u8]| refused(bytes, vec![Tag::new("Code-Kind", "runtime")]);
    assert!(runtime(&[0x60; 24_577]).contains("24576"));
    assert!(runtime(&[0xef, 0]).contains("EIP-3541"));
    assert!(refused(&[0x60], vec![Tag::new("Code-Kind", "elf")]).contains("init or runtime"));
    assert!(refused(&[0x60], vec![Tag::new("ABI", "[{")]).contains("ABI"));
}

fn abis() {
    let deep = format!("function f({}uint8{})", "(".repeat(3000), ")".repeat(3000));
    for bad in [
        "function f(uint8[1000000000][1000000000])",
        "function f(uint8[0][])",
        "event E(uint8[2000])",
        "function",
        "error",
        &deep,
        "\u{0}",
        "function f(uint257)",
    ] {
        assert!(Abi::parse(bad).is_err(), "{bad:.60}");
    }
    for good in ["", ";", "function f(uint8[2][3] a) returns (bool);\nerror E(string)"] {
        Abi::parse(good).unwrap();
    }
}

/// The dearest things per gas, with all the gas that a message gets by default: each ends.
fn dearest() {
    let loops = |body: &str| asm(&format!("more: {body} @more JUMP"));
    let call =
        |address: u8, size: u32| format!("PUSH0 PUSH0 {size} PUSH0 {address} GAS STATICCALL POP");
    let all = [
        loops("GAS GAS TSTORE"),
        loops(&call(1, 128)),
        loops(&call(6, 128)),
        loops(&call(11, 256)),
        loops("0x8000 PUSH0 KECCAK256 POP"),
        loops("0x1000 PUSH0 LOG0"),
        loops("GAS GAS SSTORE"),
    ];
    for code in all {
        let mut stage = Stage::of(code);
        let fuel = if std::env::var_os("DRIVEBAY_LONG").is_some() { 30_000_000 } else { 3_000_000 };
        stage.limits = Limits { fuel: Fuel(fuel), gas: Some(fuel), ..stage.limits };
        let shown = stage.send("", &[]);
        assert_eq!(shown.fault, Some(FaultCode::OutOfFuel));
        assert_eq!(shown.meter.fuel, Fuel(fuel));
    }
    // The same, when the fuel is less than the gas.
    for body in ["GAS GAS TSTORE", &call(5, 192), &call(1, 128)] {
        let mut stage = Stage::of(loops(body));
        stage.limits = LIMITS;
        let shown = stage.send("", &[]);
        assert_eq!((shown.fault, shown.meter.fuel), (Some(FaultCode::OutOfFuel), LIMITS.fuel));
    }
}
