//! The roles in the language of `Tape`.

use drivebay_conformance::laws::{
    Ladder, Role, Roles,
    roles::{DEEP, as_it_is},
};
use drivebay_disk::{Fuel, Limits, Module};

/// A module of `Tape`.
pub(crate) fn tape(program: &str) -> Module {
    Module::new(program.as_bytes().to_vec(), "tape-1", Vec::new())
}

/// All of them keep their number in cell 1, and leave 0 in cell 0.
pub(crate) fn tape_roles() -> Roles {
    assert!(DEEP.starts_with('d'), "each program looks at the first byte of what it is told");
    Roles {
        counter: tape(">+."),
        echo: tape(",[.,]"),
        spin: tape(",=s[]  >+."),
        late: tape(">.+<  ,=f['x!]"),
        hog: tape(",=h[)+]  >+.").into(),
        // The second time it finds the 1 that it left in cell 0.
        deep: tape("[@]  ,=d[@]  >+.").into(),
        // The language has no handlers. The id to ask for is `As…`, so its second byte tells.
        catcher: tape(",=s[]  ,=s[?[-]]  >+.").into(),
        peek: tape(">+.<  ?.  >>,[.,]").into(),
        walk: Role::Without("a tape has an order"),
        float: Role::Without("there are no floats"),
        start_loops: tape("+[]").into(),
        start_traps: tape("<").into(),
        start_writes: tape("+.").into(),
        limits: Limits {
            fuel: Fuel(50_000),
            gas: None,
            memory_bytes: 1 << 24,
            output_bytes: 4096,
            depth: 100,
        },
        memory: Ladder::Rungs(vec![1 << 16, 1 << 18, 1 << 20]),
        depth: Ladder::Rungs(vec![10, 50, 90]),
        dress: as_it_is,
        golden: Some(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/tape-1.txt").into()),
    }
}
