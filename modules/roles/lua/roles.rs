//! The programs in this folder: what the laws ask of the Lua reader.

use drivebay_conformance::laws::{Ladder, Roles, roles::as_it_is};
use drivebay_disk::{Fuel, Limits, Module};

macro_rules! role {
    ($name:literal) => {
        Module::new(include_str!(concat!($name, ".lua")).as_bytes(), "lua-5.3-1", Vec::new())
    };
}

/// Little, so that a loop ends soon.
pub(crate) const LIMITS: Limits = Limits {
    fuel: Fuel(3_000_000),
    gas: None,
    memory_bytes: 8 << 20,
    output_bytes: 64 << 10,
    depth: 100_000,
};

/// What the laws ask for. What its transcript should be is for whoever asks to say.
pub(crate) fn roles() -> Roles {
    Roles {
        counter: role!("counter"),
        echo: role!("echo"),
        spin: role!("spin"),
        late: role!("late"),
        hog: role!("hog").into(),
        deep: role!("deep").into(),
        catcher: role!("catcher").into(),
        peek: role!("peek").into(),
        walk: role!("walk").into(),
        float: role!("float").into(),
        start_loops: role!("start_loops").into(),
        start_traps: role!("start_traps").into(),
        start_writes: role!("start_writes").into(),
        limits: LIMITS,
        memory: Ladder::Rungs(vec![1 << 20, 2 << 20, 4 << 20]),
        depth: Ladder::Rungs(vec![1_000, 10_000, 100_000]),
        dress: as_it_is,
        golden: None,
    }
}
