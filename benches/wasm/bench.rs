//! Messages on a drive, against the bare call of the same code: CPU time of this thread, medians.
//!
//! `cargo bench -p drivebay-wasm --bench wasm -- WORKLOAD.json MODULE.wasm FORMAT [key=value …]` prints one line of
//! JSON for every step of the workload. Keys: `limit` (messages of a step at most), `road` (`bare`, `drive`,
//! `read`, `root`, or `all` four in turn, message by message; `thaw`: a dry-run is only thawed and dropped; `memory`:
//! `drive`, for what it holds), `times` (the whole workload so often, each time anew), `pages` (raise the module's
//! declared memory maximum to so many pages). `benches/run` calls it.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench")]

#[path = "../clock.rs"]
mod clock;
#[path = "../memory.rs"]
mod memory;
mod module;
mod workload;

use clock::cpu;
use drivebay_disk::testing::NoHost;
use drivebay_disk::{
    DiskReader, Drive, Frozen, Limits, Mode, Module, NoArtifacts, Output, Process, Ran, Reply,
};
use drivebay_wasm::{Bare, EngineKind, WasmReader};
use std::collections::BTreeMap;
use std::sync::Arc;
use workload::{Step, Workload};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [workload, module, format, options @ ..] = args.as_slice() else {
        println!(
            "usage: wasm WORKLOAD.json MODULE.wasm FORMAT [limit=N] [road=bare|drive|read|root|all|thaw|memory] [times=N] [pages=N]"
        );
        return;
    };
    let options: BTreeMap<&str, &str> =
        options.iter().filter_map(|option| option.split_once('=')).collect();
    let number = |key| options.get(key).and_then(|text| text.parse::<u64>().ok());
    let workload = Workload::load(workload, number("limit"));
    let mut bytes = std::fs::read(module).unwrap();
    if let Some(pages) = number("pages") {
        bytes = module::with_memory_maximum(&bytes, pages);
    }
    let module = Module::new(bytes, format.as_str(), Vec::new());
    let names = match options.get("road").copied().unwrap_or("drive") {
        "all" => vec!["bare", "drive", "read", "root"],
        one => vec![one],
    };
    let mut taken = vec![vec![Taken::default(); names.len()]; workload.steps.len()];
    for _ in 0..number("times").unwrap_or(1) {
        let mut roads: Vec<_> = names.iter().map(|name| road(name, &module)).collect();
        run(&workload, &mut roads, &mut taken);
    }
    for (step, taken) in workload.steps.iter().zip(taken) {
        for (name, taken) in names.iter().zip(taken) {
            print(&workload, step, name, taken);
        }
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
trait Road {
    /// Evaluates one; bytes of its answer, roughly.
    fn message(&mut self, workload: &Workload, at: usize, dry: bool) -> usize;
    /// After each message, what a host does that serves reads meanwhile.
    fn rest(&mut self) {}
}

/// Runs the messages on every road, in turn.
fn run(workload: &Workload, roads: &mut [Box<dyn Road>], taken: &mut [Vec<Taken>]) {
    for (Step { dry, range, .. }, taken) in workload.steps.iter().zip(taken) {
        for at in range.clone() {
            for (road, taken) in roads.iter_mut().zip(&mut *taken) {
                let start = cpu();
                taken.answered += road.message(workload, at, *dry);
                if !dry {
                    road.rest();
                }
                taken.times.push(cpu() - start);
                taken.resident = memory::resident_mb();
            }
        }
    }
}

#[derive(Clone, Default)]
struct Taken {
    times: Vec<u64>,
    answered: usize,
    /// Memory of the program after the last one, in MB.
    resident: u64,
}

fn print(workload: &Workload, step: &Step, road: &str, taken: Taken) {
    let Taken { mut times, answered, resident } = taken;
    let total: u64 = times.iter().sum();
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or(0);
    println!(
        "{{\"workload\":\"{}\",\"road\":\"{road}\",\"step\":\"{}\",\"n\":{},\"median_us\":{:.1},\"mean_us\":{:.1},\"answered\":{answered},\"rss_mb\":{resident}}}",
        workload.name,
        step.label,
        times.len(),
        median as f64 / 1e3,
        total as f64 / 1e3 / times.len().max(1) as f64,
    );
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
