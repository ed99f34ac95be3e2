//! Real modules, where they are at hand.

use crate::roles::root;
use drivebay_disk::{Limits, Module, Process};
use libtest_mimic::Completion;

/// A module that `modules/fetch` brings, or why there is none.
pub(crate) fn module(file: &str, format: &str) -> Result<Module, Completion> {
    let path = root().join("modules/aos").join(file);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Module::new(bytes, format, Vec::new())),
        Err(_) => {
            Err(Completion::ignored_with(format!("no {}; run modules/fetch", path.display())))
        }
    }
}

/// The limits of a process without tags.
pub(crate) fn limits(reader: &dyn drivebay_disk::DiskReader, module: &Module) -> Limits {
    reader.limits(module, &Process::default())
}
