//! The WebAssembly reader, held to the laws on small programs and on real modules.
//!
//! Real modules are in `modules/aos`, where `modules/fetch` puts them; without them their trials are
//! ignored, and say so. `DRIVEBAY_LONG=1` runs the full numbers of everything that is sampled otherwise.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

mod bombs;
mod hard;
mod hard_bounds;
mod hard_guests;
mod hostile;
mod logs;
mod real;
mod rewriting;
mod roles;
mod spare;
mod swath;

use drivebay_conformance::laws;
use drivebay_disk::DiskReader;
use drivebay_wasm::{EngineKind, WasmReader};
use libtest_mimic::{Arguments, Trial};
use std::sync::Arc;

fn reader(kind: EngineKind) -> Arc<dyn DiskReader> {
    Arc::new(WasmReader::new(kind).expect("the engine takes its own configuration"))
}

/// A reader whose drives commit as late as they may.
fn late() -> Arc<dyn DiskReader> {
    let reader =
        WasmReader::new(EngineKind::Speed).expect("the engine takes its own configuration");
    Arc::new(reader.late())
}

/// Every engine, by name.
fn readers() -> Vec<(&'static str, Arc<dyn DiskReader>)> {
    EngineKind::ALL.into_iter().map(|kind| (kind.name(), reader(kind))).collect()
}

fn long() -> bool {
    std::env::var_os("DRIVEBAY_LONG").is_some()
}

fn engines_agree() -> Trial {
    Trial::test("engines agree on the roles", || {
        let held = laws::engines(&readers(), &Arc::new(roles::roles()));
        held.map_err(|broken| broken.to_string().into())
    })
}

fn main() {
    let mut trials = laws::trials(reader(EngineKind::Speed), Arc::new(roles::roles()));
    trials.extend(laws::trials(late(), Arc::new(roles::roles())));
    trials.push(engines_agree());
    trials.extend(bombs::trials());
    trials.extend(hard::trials());
    trials.extend(hard_bounds::trials());
    trials.extend(hostile::trials());
    trials.extend(logs::trials());
    trials.extend(rewriting::trials());
    trials.extend(spare::trials());
    trials.extend(swath::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
