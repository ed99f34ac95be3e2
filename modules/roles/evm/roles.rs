//! The programs in this folder: what the laws ask of the EVM reader.

use data_encoding::HEXLOWER;
use drivebay_conformance::laws::{Ladder, Role, Roles, roles::as_it_is};
use drivebay_disk::{Fuel, Limits, Module, Tag};

const FORMAT: &str = "evm-bytecode-osaka-1";

macro_rules! code {
    ($name:literal) => {
        include_str!(concat!($name, ".hex"))
    };
}

/// What the laws ask for. What its transcript should be is for whoever asks to say.
pub(crate) fn roles() -> Roles {
    Roles {
        counter: runtime(code!("counter")),
        echo: runtime(code!("echo")),
        spin: runtime(code!("spin")),
        late: runtime(code!("late")),
        hog: runtime(code!("hog")).into(),
        deep: runtime(code!("deep")).into(),
        catcher: runtime(code!("catcher")).into(),
        peek: runtime(code!("peek")).into(),
        walk: Role::Without("the EVM has no container that can be iterated"),
        float: Role::Without("the EVM has no floating-point numbers"),
        start_loops: module(code!("start_loops"), Vec::new()).into(),
        start_traps: module(code!("start_traps"), Vec::new()).into(),
        start_writes: module(code!("start_writes"), Vec::new()).into(),
        limits: Limits {
            fuel: Fuel(3_000_000),
            gas: Some(1 << 50),
            memory_bytes: 512 << 10,
            output_bytes: 64 << 10,
            depth: 1000,
        },
        memory: Ladder::Rungs(vec![128 << 10, 256 << 10, 512 << 10]),
        depth: Ladder::Rungs(vec![100, 300, 1000]),
        dress: as_it_is,
        golden: None,
    }
}

fn runtime(hex: &str) -> Module {
    module(hex, vec![Tag::new("Code-Kind", "runtime")])
}

/// Code of this folder. It was built in, so a mistake in it is ours, and the transcript shows it.
fn module(hex: &str, tags: Vec<Tag>) -> Module {
    match HEXLOWER.decode(hex.trim().as_bytes()) {
        Ok(bytes) => Module::new(bytes, FORMAT, tags),
        Err(error) => panic!("a role is not hexadecimal: {error}"),
    }
}
