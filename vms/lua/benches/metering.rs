//! CPU for a unit of fuel, program by program, of the list in `conformance/metering/lua.txt`.
//!
//! `cargo bench -p drivebay-lua --bench metering [TEXT]`; the last line says which is the worst.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and stops at what it lacks"
)]

#[path = "../../../benches/clock.rs"]
mod clock;

use clock::cpu;
use drivebay_disk::testing::{NoHost, call};
use drivebay_disk::{DiskReader, Fuel, Limits, Module, NoArtifacts, Ran};
use drivebay_lua::{FORMAT, LuaReader};
use std::sync::Arc;

/// Enough for a program to settle.
const FUEL: u64 = 20_000_000;

fn main() {
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with("--")).unwrap_or_default();
    let list = include_str!("../../../conformance/metering/lua.txt");
    let mut worst = (0.0, "");
    for part in list.split("\n--- ").skip(1) {
        let (name, program) = part.split_once('\n').unwrap();
        if !name.contains(&only) {
            continue;
        }
        let (nanoseconds, end) = run(program);
        println!("{nanoseconds:8.2} ns/fuel  {end:12}  {name}");
        if nanoseconds > worst.0 {
            worst = (nanoseconds, name);
        }
    }
    println!("{:8.2} ns/fuel  the worst: {}", worst.0, worst.1);
}

fn run(program: &str) -> (f64, String) {
    let reader = LuaReader::default();
    let source = format!("function handle()\n{program}\nend");
    let module = Module::new(source.into_bytes(), FORMAT, Vec::new());
    let disk = reader.read(&module, &NoArtifacts).unwrap();
    let drive = disk.clone().mount(disk.blank()).unwrap();
    let limits = Limits {
        fuel: Fuel(FUEL),
        gas: None,
        memory_bytes: 16 << 20,
        output_bytes: 1 << 30,
        depth: 1_000_000,
    };
    let before = cpu();
    let ran = drive.run(call(0).build(), &limits, Arc::new(NoHost)).unwrap();
    let spent = cpu() - before;
    let (end, fuel) = match &ran {
        Ran::Done { meter, .. } | Ran::Dry { meter, .. } => ("ended".to_owned(), meter.fuel.0),
        Ran::Faulted { fault, meter, .. } => (format!("{:?}", fault.code), meter.fuel.0),
    };
    (spent as f64 / fuel.max(1) as f64, end)
}
