//! Messages on a drive, against the bare call of the same code: CPU time of the thread.
//!
//! `cargo bench -p drivebay-wasm --bench wasm -- WORKLOAD.json MODULE.wasm FORMAT [key=value …]` prints one line of
//! JSON for every kind of step on every road. `benches/run` calls it. Keys:
//!
//! - `road`: one of `bare`, `drive`, `read`, `root`, `thaw` (a dry-run is only thawed and dropped) and `memory`
//!   (`drive`, for what it holds), or several with commas between: they take turns, message by message, and the lines
//!   of all but the first have the ratios to the first of what was measured in the same turn.
//! - `together=1`: in a turn they run at the same time, each in a thread. On one processor (`taskset -c 1`) the system
//!   has them alternate every few milliseconds, so that long messages meet the same speeds of the machine.
//! - `beside`: another workload with the same steps, which takes turns with the first on the same roads.
//! - `limit`: messages of a step at most. `times`: the whole workload so often, each time anew.
//! - `pages`: raise the module's declared memory maximum to so many pages.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench")]

#[path = "../clock.rs"]
mod clock;
mod lane;
#[path = "../memory.rs"]
mod memory;
mod module;
mod workload;

use drivebay_disk::testing::NoHost;
use drivebay_disk::{
    DiskReader, Drive, Frozen, Limits, Mode, Module, NoArtifacts, Output, Process, Ran, Reply,
};
use drivebay_wasm::{Bare, EngineKind, WasmReader};
use lane::Lane;
use std::collections::BTreeMap;
use std::sync::Arc;
use workload::Workload;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [workload, module, format, options @ ..] = args.as_slice() else {
        println!(
            "usage: wasm WORKLOAD.json MODULE.wasm FORMAT [road=bare|drive|read|root|thaw|memory[,…]] [together=1] [beside=WORKLOAD.json] [limit=N] [times=N] [pages=N]"
        );
        return;
    };
    let options: BTreeMap<&str, &str> =
        options.iter().filter_map(|option| option.split_once('=')).collect();
    let number = |key| options.get(key).and_then(|text| text.parse::<u64>().ok());
    let mut bytes = std::fs::read(module).unwrap();
    if let Some(pages) = number("pages") {
        bytes = module::with_memory_maximum(&bytes, pages);
    }
    let module = Module::new(bytes, format.as_str(), Vec::new());
    let paths = std::iter::once(workload.as_str()).chain(options.get("beside").copied());
    let workloads: Vec<_> = paths.map(|path| Workload::load(path, number("limit"))).collect();
    let names: Vec<&str> = options.get("road").copied().unwrap_or("drive").split(',').collect();
    let lanes = workloads.iter().flat_map(|it| names.iter().map(move |name| Lane::new(it, name)));
    let mut lanes: Vec<_> = lanes.collect();
    for _ in 0..number("times").unwrap_or(1) {
        let mut roads: Vec<_> = lanes.iter().map(|lane| road(lane.road, &module)).collect();
        lane::run(&mut lanes, &mut roads, options.contains_key("together"));
    }
    for lane in &lanes {
        lane.print(&lanes[0], workloads.len() > 1);
    }
}

fn road(name: &str, module: &Module) -> Box<dyn Road> {
    match name {
        "bare" => Box::new(BareRoad::new(module)),
        "root" => Box::new(DriveRoad::new(module, Reader::Root)),
        "read" => Box::new(DriveRoad::new(module, Reader::State)),
        "thaw" => Box::new(ThawRoad(DriveRoad::new(module, Reader::None))),
        _ => Box::new(DriveRoad::new(module, Reader::None)),
    }
}

/// A way to evaluate messages.
trait Road: Send {
    /// Evaluates one; bytes of its answer, roughly.
    fn message(&mut self, workload: &Workload, at: usize, dry: bool) -> usize;
    /// After each message, what a host does that serves reads meanwhile.
    fn rest(&mut self) {}
}

fn limits(reader: &WasmReader, module: &Module) -> Limits {
    reader.limits(module, &Process::default())
}

struct BareRoad {
    guest: Bare,
    limits: Limits,
}

impl BareRoad {
    fn new(module: &Module) -> Self {
        let reader = WasmReader::new(EngineKind::Speed).unwrap();
        let guest = reader.bare(module).unwrap_or_else(|error| panic!("{error}"));
        Self { guest, limits: limits(&reader, module) }
    }
}

impl Road for BareRoad {
    fn message(&mut self, workload: &Workload, at: usize, _: bool) -> usize {
        let call = workload.call(at, Mode::Scheduled);
        self.guest.call(&call, &self.limits, Arc::new(NoHost)).unwrap()
    }
}

/// Who reads between any two messages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    None,
    /// The state, so that no commit waits.
    State,
    /// And its Merkle root.
    Root,
}

struct DriveRoad {
    drive: Option<Box<dyn Drive>>,
    frozen: Option<Arc<dyn Frozen>>,
    /// The drive of the last dry-run, which serves the next one at the same state.
    window: Option<Box<dyn Drive>>,
    limits: Limits,
    reader: Reader,
}

impl DriveRoad {
    fn new(module: &Module, reads: Reader) -> Self {
        let reader = WasmReader::new(EngineKind::Speed).unwrap();
        let disk = reader.read(module, &NoArtifacts).unwrap_or_else(|error| panic!("{error}"));
        let drive = Arc::clone(&disk).mount(disk.blank()).unwrap_or_else(|error| panic!("{error}"));
        let limits = limits(&reader, module);
        Self { drive: Some(drive), frozen: None, window: None, limits, reader: reads }
    }
}

impl Road for DriveRoad {
    fn message(&mut self, workload: &Workload, at: usize, dry: bool) -> usize {
        let mode = if dry { Mode::DryRun } else { Mode::Scheduled };
        let call = workload.call(at, mode);
        let drive = if dry {
            // The worst case: every read comes at a new state.
            self.frozen.as_ref().unwrap().thaw().unwrap()
        } else {
            self.frozen = None;
            self.window = None;
            self.drive.take().unwrap()
        };
        let ran = drive.run(call, &self.limits, Arc::new(NoHost));
        match ran.unwrap_or_else(|failure| panic!("{}", failure.error)) {
            Ran::Done { drive, reply, .. } => {
                self.drive = Some(drive);
                answer(&reply)
            }
            Ran::Faulted { drive, .. } => {
                self.drive = drive;
                0
            }
            Ran::Dry { drive, reply, .. } => {
                self.window = drive;
                answer(&reply)
            }
        }
    }

    fn rest(&mut self) {
        let frozen = self.drive.as_mut().unwrap().freeze().unwrap();
        if self.reader != Reader::None {
            let image = frozen.image().unwrap();
            if self.reader == Reader::Root {
                std::hint::black_box(image.root());
            }
        }
        self.frozen = Some(frozen);
    }
}

/// A dry-run without the run: a drive thawed, and dropped. Other messages are evaluated.
struct ThawRoad(DriveRoad);

impl Road for ThawRoad {
    fn message(&mut self, workload: &Workload, at: usize, dry: bool) -> usize {
        if !dry {
            return self.0.message(workload, at, dry);
        }
        drop(self.0.frozen.as_ref().unwrap().thaw().unwrap());
        0
    }

    fn rest(&mut self) {
        self.0.rest();
    }
}

/// Bytes of the answer's output.
fn answer(reply: &Reply) -> usize {
    match &reply.output {
        Output::Absent => 0,
        Output::Json(json) => json.as_str().len(),
        Output::Text(text) => text.len(),
        Output::Raw(bytes) => bytes.len(),
    }
}
