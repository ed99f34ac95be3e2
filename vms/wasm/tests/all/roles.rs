//! The programs in `modules/roles/wasm`, assembled.

use drivebay_conformance::laws::roles::as_it_is;
use drivebay_conformance::laws::{Ladder, Role, Roles};
use drivebay_disk::{Fuel, Limits, Module};
use std::path::{Path, PathBuf};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A role's module.
pub(crate) fn role(name: &str) -> Module {
    let folder = root().join("modules/roles/wasm");
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).expect(file);
    let text = read(&format!("{name}.wat"));
    let text = text.replace("(include \"prelude.wat\")", &read("prelude.wat"));
    let format = if name == "catcher" { "wasm32-unknown-emscripten4" } else { "wasm32-drivebay-1" };
    let bytes = wat::parse_str(&text).unwrap_or_else(|error| panic!("{name}.wat: {error}"));
    Module::new(bytes, format, Vec::new())
}

/// Little, so that a loop ends soon.
pub(crate) const LIMITS: Limits = Limits {
    fuel: Fuel(3_000_000),
    gas: None,
    memory_bytes: 16 << 20,
    output_bytes: 64 << 10,
    depth: 100_000,
};

/// What the laws ask for.
pub(crate) fn roles() -> Roles {
    let program = |name| Role::Program(role(name));
    Roles {
        counter: role("counter"),
        echo: role("echo"),
        spin: role("spin"),
        late: role("late"),
        hog: program("hog"),
        deep: program("deep"),
        catcher: program("catcher"),
        peek: program("peek"),
        walk: Role::Without("WebAssembly has no container without order"),
        float: program("float"),
        start_loops: program("start_loops"),
        start_traps: program("start_traps"),
        start_writes: program("start_writes"),
        limits: LIMITS,
        memory: Ladder::Rungs(vec![1 << 20, 2 << 20, 8 << 20]),
        depth: Ladder::Rungs(vec![1_000, 10_000, 100_000]),
        dress: as_it_is,
        golden: Some(root().join("conformance/golden/receipts/wasm.txt")),
    }
}
