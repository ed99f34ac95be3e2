//! A whole ao under load: `drivebay up` as a program of its own, 1,000 processes, 64 clients that each send a
//! message, wait for its result, and send the next. What is claimed are shares and bounds; the rates are this
//! machine's.
//!
//! `cargo bench --bench load -- [MESSAGES] [--set KEY=VALUE]…` with the program built before
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a bench")]

use drivebay::{
    item::{DataItem, Draft, Id, Tag, Wallet},
    net::{Http, Request, Transport},
};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

const PROCESSES: usize = 1000;
const CLIENTS: usize = 64;
const MESSAGES: usize = 20_000;
/// Processor time is told in ticks of this length.
const TICK_MS: f64 = 10.0;

struct Ao {
    child: Child,
    about: Value,
    _out: BufReader<std::process::ChildStdout>,
}

impl Ao {
    fn up(dir: &Path, more: &[String]) -> Self {
        let modules = dir.join("modules");
        fs::create_dir_all(&modules).unwrap();
        let counter = wat::parse_str(include_str!("../tests/all/counter.wat")).unwrap();
        fs::write(modules.join("counter.wasm"), counter).unwrap();
        let program =
            std::env::var("DRIVEBAY").unwrap_or(env!("CARGO_BIN_EXE_drivebay").to_owned());
        let mut command = Command::new(program);
        command.args(["--data", "data", "up", "--json", "--port", "0", "--modules", "modules"]);
        command.args(["--set", "units.log_filter=warn"]);
        command.args(more).current_dir(dir).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        Self { child, about: serde_json::from_str(&line).unwrap(), _out: out }
    }

    fn text(&self, pointer: &str) -> String {
        self.about.pointer(pointer).and_then(Value::as_str).unwrap().to_owned()
    }

    /// Milliseconds of processor time so far.
    fn cpu_ms(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) * TICK_MS
    }

    /// The most memory that was resident, in MiB.
    fn peak_mib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
    }
}

impl Drop for Ao {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn item(owner: &Wallet, target: Option<Id>, kind: &str, more: &[(&str, &str)]) -> DataItem {
    let tags = [("Data-Protocol", "ao"), ("Variant", "ao.TN.1"), ("Type", kind)];
    let tags = tags.iter().chain(more).map(|(name, value)| Tag::new(*name, *value)).collect();
    owner.sign(&Draft::new(target, tags, "load").with_random_anchor().unwrap()).unwrap()
}

async fn post(http: &Http, url: &str, item: &DataItem) {
    let answer = http.call(Request::post(url, item.bytes().clone())).await.unwrap();
    assert!(answer.is_success(), "{}", answer.text());
}

async fn result(http: &Http, cu: &str, process: Id, message: Id) {
    let path = format!("{cu}/result/{message}?process-id={process}");
    for _ in 0..100 {
        let answer = http.call(Request::get(&path)).await.unwrap();
        if answer.status == 200 {
            return assert!(answer.text().contains("Output"), "{}", answer.text());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no result of {message}");
}

/// Milliseconds that something takes of one processor.
fn each_ms(times: u32, mut run: impl FnMut()) -> f64 {
    let started = Instant::now();
    (0..times).for_each(|_| run());
    started.elapsed().as_secs_f64() * 1000.0 / f64::from(times)
}

fn percentile(sorted: &[f64], part: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * part) as usize]
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let count = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(MESSAGES);
    let sets: Vec<String> = args.into_iter().filter(|arg| arg.parse::<usize>().is_err()).collect();
    let dir = tempfile::tempdir().unwrap();
    let ao = Ao::up(dir.path(), &sets);
    let (mu, cu) = (ao.text("/mu"), ao.text("/cu"));
    let http = Arc::new(Http::new(Duration::from_secs(60)).unwrap());
    let owner = Arc::new(Wallet::from_ethereum_key(&[3; 32]).unwrap());
    let (module, scheduler) = (ao.text("/modules/counter"), ao.text("/scheduler"));
    let mut processes = Vec::new();
    for _ in 0..PROCESSES {
        let more = [("Module", module.as_str()), ("Scheduler", scheduler.as_str())];
        let process = item(&owner, None, "Process", &more);
        post(&http, &mu, &process).await;
        processes.push(process.id());
    }
    for process in &processes {
        result(&http, &cu, *process, *process).await;
    }

    let (processes, next) = (Arc::new(processes), Arc::new(AtomicUsize::new(0)));
    let (cpu, started) = (ao.cpu_ms(), Instant::now());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (http, owner) = (http.clone(), owner.clone());
            let (processes, next) = (processes.clone(), next.clone());
            let (mu, cu) = (mu.clone(), cu.clone());
            tokio::spawn(async move {
                let mut took = Vec::new();
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count {
                        return took;
                    }
                    // Neighbours in time are far apart, as strangers are.
                    let process = processes[at * 617 % PROCESSES];
                    let message = item(&owner, Some(process), "Message", &[("Action", "Load")]);
                    let started = Instant::now();
                    post(&http, &mu, &message).await;
                    result(&http, &cu, process, message.id()).await;
                    took.push(started.elapsed().as_secs_f64() * 1000.0);
                }
            })
        })
        .collect();
    let mut took = Vec::new();
    for client in clients {
        took.extend(client.await.unwrap());
    }
    let (wall, cpu) = (started.elapsed().as_secs_f64(), (ao.cpu_ms() - cpu) / count as f64);
    took.sort_by(f64::total_cmp);
    println!("{PROCESSES} processes, {CLIENTS} clients, {count} messages, each with its result");
    println!("  {:.0} messages a second", count as f64 / wall);
    println!("  p50 {:.1} ms, p99 {:.1} ms", percentile(&took, 0.5), percentile(&took, 0.99));
    println!("  {} MiB of memory at most", ao.peak_mib());
    println!("  {cpu:.2} ms of processor time a message, of which");
    shares(&http, &cu, &owner, cpu).await;
}

/// What the parts cost that can be measured by themselves.
async fn shares(http: &Http, cu: &str, owner: &Wallet, cpu: f64) {
    let one = item(owner, Some(Id([7; 32])), "Message", &[("Action", "Load")]);
    let sign = each_ms(500, || {
        item(owner, Some(Id([7; 32])), "Assignment", &[]);
    });
    let verify = each_ms(500, || one.verify().unwrap());
    let status = http.call(Request::get(format!("{cu}/status"))).await.unwrap();
    let status: Value = serde_json::from_slice(&status.body).unwrap();
    let rates = status["processes"].as_array().unwrap().iter();
    let rates: Vec<f64> = rates.filter_map(|process| process["rate"].as_f64()).collect();
    // A process's rate is of its own time: how long the machine, its call and its receipt take.
    let machine = rates.iter().map(|rate| 1000.0 / rate).sum::<f64>() / rates.len() as f64;
    // Messenger and scheduler verify; the scheduler signs one assignment.
    let parts = [("signing", sign), ("verifying, twice", verify * 2.0), ("evaluating", machine)];
    for (name, ms) in parts {
        println!("    {name:<20} {ms:.3} ms, {:.0} %", ms / cpu * 100.0);
    }
    let rest = cpu - parts.iter().map(|(_, ms)| ms).sum::<f64>();
    println!("    {:<20} {rest:.3} ms, {:.0} %", "storing, HTTP, JSON", rest / cpu * 100.0);
}
