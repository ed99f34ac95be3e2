//! The programs in `modules/roles/lua`.

use drivebay_conformance::laws::roles::as_it_is;
use drivebay_conformance::laws::{Ladder, Role, Roles};
use drivebay_disk::{Fuel, Limits, Module};
use std::path::{Path, PathBuf};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A module of our format.
pub(crate) fn module(source: impl Into<Vec<u8>>) -> Module {
    Module::new(source.into(), drivebay_lua::FORMAT, Vec::new())
}

fn role(name: &str) -> Module {
    let path = root().join(format!("modules/roles/lua/{name}.lua"));
    module(std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// Little, so that a loop ends soon.
pub(crate) const LIMITS: Limits = Limits {
    fuel: Fuel(3_000_000),
    gas: None,
    memory_bytes: 8 << 20,
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
        walk: program("walk"),
        float: program("float"),
        start_loops: program("start_loops"),
        start_traps: program("start_traps"),
        start_writes: program("start_writes"),
        limits: LIMITS,
        memory: Ladder::Rungs(vec![1 << 20, 2 << 20, 4 << 20]),
        depth: Ladder::Rungs(vec![1_000, 10_000, 100_000]),
        dress: as_it_is,
        golden: Some(root().join("conformance/golden/receipts/lua.txt")),
    }
}
