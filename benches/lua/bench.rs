//! Lua natively: workloads as the other benches play them, and what a state of some size costs. CPU time of this
//! thread, medians.
//!
//!     cargo bench -p drivebay-lua --bench lua -- workload WORKLOAD.json MODULE [limit=N]
//!     cargo bench -p drivebay-lua --bench lua -- state MEGABYTES [spare=MEGABYTES]
//!     cargo bench -p drivebay-lua --bench lua -- once PROGRAM.lua [times=N]
//!
//! The first two print one line of JSON for each figure; `once` evaluates a program N times and prints what it
//! returned, so that its instructions can be counted from outside. `benches/lua/run` calls them.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench")]

#[path = "../clock.rs"]
mod clock;
#[path = "../memory.rs"]
mod memory;
mod play;
mod state;
#[path = "../wasm/workload.rs"]
mod workload;

use clock::cpu;
use drivebay_disk::json::Value;
use drivebay_disk::{Call, Frozen, Mode};
use play::Player;
use std::collections::BTreeMap;
use std::sync::Arc;
use workload::{Step, Workload};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let options: BTreeMap<&str, u64> = args
        .iter()
        .filter_map(|arg| arg.split_once('='))
        .filter_map(|(key, text)| Some((key, text.parse().ok()?)))
        .collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["workload", file, module, ..] => workload(file, module, options.get("limit").copied()),
        ["state", megabytes, ..] => {
            let spare = options.get("spare").copied().unwrap_or(64);
            drivebay_lua::spare_bytes(spare << 20);
            state::run(megabytes.parse().unwrap(), spare);
        }
        ["once", program, ..] => once(program, options.get("times").copied().unwrap_or(1)),
        _ => println!(
            "usage: lua workload FILE MODULE [limit=N] | state MEGABYTES [spare=MEGABYTES] | once FILE [times=N]"
        ),
    }
}

/// Messages of a workload, each committed and frozen, as a unit does so that reads can start there.
fn workload(file: &str, module: &str, limit: Option<u64>) {
    let workload = Workload::load(file, limit);
    let mut player = Player::new(&std::fs::read(module).unwrap());
    let mut frozen: Option<Arc<dyn Frozen>> = None;
    for Step { label, dry, range } in &workload.steps {
        let mut times = Vec::new();
        let mut answered = 0;
        for at in range.clone() {
            let mode = if *dry { Mode::DryRun } else { Mode::Scheduled };
            let call = spoken(&workload.call(at, mode));
            let start = cpu();
            if *dry {
                // The worst case: every read comes at a new state.
                let window = frozen.as_ref().unwrap().thaw().unwrap();
                answered += Player::on(window).play(call);
            } else {
                answered += player.play(call);
                frozen = Some(player.freeze());
            }
            times.push(cpu() - start);
        }
        print(&workload.name, label, &times, answered);
    }
}

/// The call with the sender and the data that its message names.
fn spoken(call: &Call) -> Arc<Call> {
    let value = Value::parse(&call.json.message).unwrap();
    let text = |key| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut message = (*call.message).clone();
    (message.owner, message.from) = (text("Owner"), text("From"));
    message.data = Some(text("Data").into());
    Arc::new(Call { message: Arc::new(message), ..call.clone() })
}

/// A program as the body of `handle`, evaluated `times` times.
fn once(program: &str, times: u64) {
    let text = std::fs::read_to_string(program).unwrap();
    let mut player = Player::new(
        format!("local function all()\n{text}\nend\nfunction handle() return tostring(all()) end")
            .as_bytes(),
    );
    let call = drivebay_disk::testing::call(0).build();
    let answered: usize = (0..times).map(|_| player.play(Arc::clone(&call))).sum();
    println!("{answered} {}", player.last);
}

fn print(name: &str, step: &str, times: &[u64], answered: usize) {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
    let mean = times.iter().sum::<u64>() as f64 / times.len().max(1) as f64;
    println!(
        "{{\"workload\":\"{name}\",\"road\":\"lua\",\"step\":\"{step}\",\"n\":{},\"median_us\":{:.1},\"mean_us\":{:.1},\"answered\":{answered},\"rss_mb\":{}}}",
        times.len(),
        median as f64 / 1e3,
        mean / 1e3,
        memory::resident_mb(),
    );
}
