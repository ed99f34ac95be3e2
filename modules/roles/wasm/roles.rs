//! The programs in this folder, assembled: what the laws ask of the WebAssembly reader.

use drivebay_conformance::laws::{Ladder, Role, Roles, roles::as_it_is};
use drivebay_disk::{Fuel, Limits, Module};

macro_rules! text {
    ($name:literal) => {
        include_str!(concat!($name, ".wat"))
    };
}

/// Little, so that a loop ends soon.
pub(crate) const LIMITS: Limits = Limits {
    fuel: Fuel(3_000_000),
    gas: None,
    memory_bytes: 16 << 20,
    output_bytes: 64 << 10,
    depth: 100_000,
};

/// What the laws ask for. What its transcript should be is for whoever asks to say.
pub(crate) fn roles() -> Roles {
    let role = |text| assembled(text, "wasm32-drivebay-1");
    Roles {
        counter: role(text!("counter")),
        echo: role(text!("echo")),
        spin: role(text!("spin")),
        late: role(text!("late")),
        hog: role(text!("hog")).into(),
        deep: role(text!("deep")).into(),
        catcher: assembled(text!("catcher"), "wasm32-unknown-emscripten4").into(),
        peek: role(text!("peek")).into(),
        walk: Role::Without("WebAssembly has no container without order"),
        float: role(text!("float")).into(),
        start_loops: role(text!("start_loops")).into(),
        start_traps: role(text!("start_traps")).into(),
        start_writes: role(text!("start_writes")).into(),
        limits: LIMITS,
        memory: Ladder::Rungs(vec![1 << 20, 2 << 20, 8 << 20]),
        depth: Ladder::Rungs(vec![1_000, 10_000, 100_000]),
        dress: as_it_is,
        golden: None,
    }
}

/// A program of this folder. It was built in, so a mistake in it is ours, and the laws' own test shows it.
fn assembled(text: &str, format: &str) -> Module {
    let text = text.replace("(include \"prelude.wat\")", text!("prelude"));
    match wat::parse_str(&text) {
        Ok(bytes) => Module::new(bytes, format, Vec::new()),
        Err(error) => panic!("a role cannot be assembled: {error}"),
    }
}
