//! The programs that the laws ask for, assembled.

use crate::asm::asm;
use drivebay_conformance::laws::{Ladder, Role, Roles, roles::as_it_is};
use drivebay_disk::{Fuel, Limits, Module, Tag};
use drivebay_evm::{OUTBOX, revm::primitives::keccak256};
use std::path::{Path, PathBuf};

/// Gas is no matter here: what ends a role is its fuel.
pub(crate) const LIMITS: Limits = Limits {
    fuel: Fuel(3_000_000),
    gas: Some(1 << 50),
    memory_bytes: 512 << 10,
    output_bytes: 64 << 10,
    depth: 1000,
};

pub(crate) const FORMAT: &str = "evm-bytecode-osaka-1";

/// Adds one to slot 0, and answers with it.
const COUNT: &str = "PUSH0 SLOAD 1 ADD DUP1 PUSH0 SSTORE PUSH0 MSTORE 32 PUSH0 RETURN";

/// Jumps to `label` if the data is `word`.
fn on(word: &str, label: &str) -> String {
    format!("PUSH0 CALLDATALOAD \"{word}\" EQ @{label} JUMPI ")
}

/// Jumps to `label` if the data has 43 bytes.
fn on_id(label: &str) -> String {
    format!("CALLDATASIZE 43 EQ @{label} JUMPI ")
}

/// Asks the outbox for the first 4,096 bytes of the data whose id the calldata is; leaves the success.
fn read() -> String {
    let selector = keccak256("read(string,uint256,uint256)");
    let selector: String = selector[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "0x{selector} 224 SHL PUSH0 MSTORE 0x60 4 MSTORE PUSH0 36 MSTORE 4096 68 MSTORE \
         43 100 MSTORE 43 PUSH0 132 CALLDATACOPY \
         PUSH0 PUSH0 196 PUSH0 {OUTBOX} GAS STATICCALL "
    )
}

pub(crate) fn runtime(code: Vec<u8>) -> Module {
    Module::new(code, FORMAT, vec![Tag::new("Code-Kind", "runtime")])
}

fn program(text: &str) -> Module {
    runtime(asm(text))
}

fn start(text: &str) -> Role {
    Role::Program(Module::new(asm(text), FORMAT, Vec::new()))
}

fn counter() -> Module {
    program(COUNT)
}

fn echo() -> Module {
    program("CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY CALLDATASIZE PUSH0 RETURN")
}

fn spin() -> Module {
    program(&format!("{} {COUNT} spin: @spin JUMP", on("spin", "spin")))
}

fn late() -> Module {
    program(&format!(
        "{} {COUNT} fault: PUSH0 SLOAD DUP1 PUSH0 MSTORE 32 PUSH0 LOG0 1 ADD PUSH0 SSTORE INVALID",
        on("fault", "fault")
    ))
}

fn hog() -> Module {
    program(&format!(
        "{} {COUNT} hog: PUSH0 more: 0x8000 ADD DUP1 DUP1 MSTORE @more JUMP",
        on("hog", "hog")
    ))
}

fn deep() -> Module {
    program(&format!(
        "{} {COUNT} deep: CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY \
         PUSH0 PUSH0 CALLDATASIZE PUSH0 PUSH0 ADDRESS GAS CALL PUSH0 MSTORE 32 PUSH0 RETURN",
        on("deep", "deep")
    ))
}

/// Whatever goes wrong in a callee, the caller ends well.
fn catcher() -> Module {
    let call = |word: &str| {
        format!(
            "\"{word}\" PUSH0 MSTORE PUSH0 PUSH0 32 PUSH0 PUSH0 ADDRESS GAS CALL POP \
             \"caught\" PUSH0 MSTORE 32 PUSH0 RETURN "
        )
    };
    program(&format!(
        "{} {} {} {COUNT} spin: {} loop: more: @more JUMP \
         ask: {} POP \"caught\" PUSH0 MSTORE 32 PUSH0 RETURN",
        on("spin", "spin"),
        on("loop", "loop"),
        on_id("ask"),
        call("loop"),
        read(),
    ))
}

fn peek() -> Module {
    program(&format!(
        "{} {COUNT} peek: PUSH0 SLOAD 1 ADD PUSH0 SSTORE {} @ok JUMPI PUSH0 PUSH0 REVERT \
         ok: RETURNDATASIZE PUSH0 32 RETURNDATACOPY PUSH0 SLOAD PUSH0 MSTORE \
         32 RETURNDATASIZE ADD PUSH0 RETURN",
        on_id("peek"),
        read(),
    ))
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What the laws ask for.
pub(crate) fn roles() -> Roles {
    Roles {
        counter: counter(),
        echo: echo(),
        spin: spin(),
        late: late(),
        hog: hog().into(),
        deep: deep().into(),
        catcher: catcher().into(),
        peek: peek().into(),
        walk: Role::Without("the EVM has no container that can be iterated"),
        float: Role::Without("the EVM has no floating-point numbers"),
        start_loops: start("more: @more JUMP"),
        start_traps: start("INVALID"),
        start_writes: start("1 PUSH0 SSTORE PUSH0 PUSH0 RETURN"),
        limits: LIMITS,
        memory: Ladder::Rungs(vec![128 << 10, 256 << 10, 512 << 10]),
        depth: Ladder::Rungs(vec![100, 300, 1000]),
        dress: as_it_is,
        golden: Some(root().join("conformance/golden/receipts/evm.txt")),
    }
}
