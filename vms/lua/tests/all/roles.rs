//! The programs in `modules/roles/lua`, and what they answered.

use drivebay_conformance::laws::Roles;
use drivebay_disk::Module;
use std::path::{Path, PathBuf};

#[path = "../../../../modules/roles/lua/roles.rs"]
mod programs;

pub(crate) use programs::LIMITS;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A module of our format.
pub(crate) fn module(source: impl Into<Vec<u8>>) -> Module {
    Module::new(source.into(), drivebay_lua::FORMAT, Vec::new())
}

/// What the laws ask for.
pub(crate) fn roles() -> Roles {
    let golden = root().join("conformance/golden/receipts/lua.txt");
    Roles { golden: Some(golden), ..programs::roles() }
}
