//! The Lua reader, held to the laws on small programs, and to more.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

mod differential;
mod held;
mod hostile;
mod limits;
mod logs;
mod maker;
mod names;
mod roles;
mod stock;

use drivebay_conformance::laws;
use drivebay_disk::DiskReader;
use drivebay_lua::LuaReader;
use libtest_mimic::Arguments;
use std::sync::Arc;

fn reader() -> Arc<dyn DiskReader> {
    Arc::new(LuaReader::default())
}

fn long() -> bool {
    std::env::var_os("DRIVEBAY_LONG").is_some()
}

fn main() {
    let mut trials = laws::trials(reader(), Arc::new(roles::roles()));
    trials.extend(differential::trials());
    trials.extend(held::trials());
    trials.extend(hostile::trials());
    trials.extend(limits::trials());
    trials.extend(logs::trials());
    trials.extend(names::trials());
    trials.extend(stock::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
