//! The programs in `modules/roles/wasm`, and what they answered.

use drivebay_conformance::laws::Roles;
use drivebay_disk::Module;
use std::path::{Path, PathBuf};

#[path = "../../../../modules/roles/wasm/roles.rs"]
mod programs;

pub(crate) use programs::LIMITS;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A role's module.
pub(crate) fn role(name: &str) -> Module {
    let role = programs::roles().all().into_iter().find(|(known, _)| *known == name);
    role.and_then(|(_, role)| role.program().cloned()).expect(name)
}

/// What the laws ask for.
pub(crate) fn roles() -> Roles {
    let golden = root().join("conformance/golden/receipts/wasm.txt");
    Roles { golden: Some(golden), ..programs::roles() }
}
