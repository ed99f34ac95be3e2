//! The programs that the laws ask for, from `roles/`.

use crate::asm::assemble;
use drivebay_conformance::{
    Proof,
    laws::{Ladder, Role, Roles, roles::as_it_is},
};
use drivebay_disk::{Fuel, Limits, Module};

macro_rules! role {
    ($name:literal) => {
        role($name, include_str!(concat!("../roles/", $name, ".s")))
    };
}

/// What a program that serves this machine certifies it with.
pub const PROOF: Proof =
    Proof { name: "riscv", roles, recorded: include_str!("../tests/golden.txt") };

/// All roles.
///
/// # Panics
///
/// If a program that was built in cannot be assembled; the laws' own test would show it.
pub fn roles() -> Roles {
    Roles {
        counter: role!("counter"),
        echo: role!("echo"),
        spin: role!("spin"),
        late: role!("late"),
        hog: role!("hog").into(),
        deep: role!("deep").into(),
        catcher: role!("catcher").into(),
        peek: role!("peek").into(),
        walk: Role::Without("memory has an order"),
        float: Role::Without("RV32IM has no floating point"),
        start_loops: role!("start_loops").into(),
        start_traps: role!("start_traps").into(),
        start_writes: role!("start_writes").into(),
        limits: Limits {
            fuel: Fuel(50_000),
            gas: None,
            memory_bytes: 1 << 24,
            output_bytes: 8192,
            depth: 1000,
        },
        memory: Ladder::Rungs(vec![1 << 16, 1 << 20, 4 << 20]),
        depth: Ladder::Rungs(vec![10, 100, 1000]),
        dress: as_it_is,
        golden: Some(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden.txt").into()),
    }
}

fn role(name: &str, text: &str) -> Module {
    let text = format!("{text}\n{}", include_str!("../roles/prelude.s"));
    let code = assemble(&text).unwrap_or_else(|error| panic!("{name}.s: {error}"));
    Module::new(code, "rv32im-flat-1", Vec::new())
}
