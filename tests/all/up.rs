//! `drivebay up`: a whole ao in one process, used by the program's own client commands.

use crate::kit::Bench;
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdout, Stdio},
};

/// A whole ao on ports of its own. Ended with the test.
struct Ao {
    child: Child,
    _out: BufReader<ChildStdout>,
    about: Value,
}

impl Ao {
    fn up(bench: &Bench, more: &[&str]) -> Self {
        let args = ["up", "--json", "--port", "0", "--modules", "modules"];
        let mut command = bench.command(&[&args, more].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        if line.is_empty() {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("up did not start: {said}");
        }
        Self { child, _out: out, about: serde_json::from_str(&line).unwrap() }
    }

    fn text(&self, pointer: &str) -> String {
        self.about.pointer(pointer).and_then(Value::as_str).unwrap().to_owned()
    }

    /// Ends it as an operator does, and gives the exit code.
    fn end(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Ao {
    fn drop(&mut self) {
        // It has ended already, where a test came so far.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bench() -> Bench {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("modules")).unwrap();
    std::fs::copy(bench.path("counter.wasm"), bench.path("modules/counter.wasm")).unwrap();
    bench
}

#[test]
fn a_process_outlives_its_units_and_a_reader_that_is_off_says_so() {
    let bench = bench();
    let ao = Ao::up(&bench, &[]);
    let gateway = ao.text("/gateway");
    let module = ao.text("/modules/counter");
    let spawned = bench.drivebay(&["spawn", &module, "--gateway", &gateway]).expect(0, "");
    let process = spawned.out.lines().last().unwrap().trim().to_owned();
    let sent = bench.drivebay(&["message", &process, "--gateway", &gateway, "--wait"]);
    let sent = sent.expect(0, "");
    assert!(!sent.out.is_empty());
    assert_eq!(ao.end(), Some(0));

    let off = Ao::up(&bench, &["--set", "readers.wasm=false"]);
    let gateway = off.text("/gateway");
    // What is recorded is answered still; what needs the machine is not.
    bench.drivebay(&["result", &process, &process, "--gateway", &gateway]).expect(0, "");
    let refused = bench.drivebay(&["dry-run", &process, "--gateway", &gateway]);
    assert_ne!(refused.code, 0);
    let said = format!("{}{}", refused.out, refused.err);
    assert!(said.contains("drivebay-wasm") && said.contains("readers.wasm = false"), "{said}");
    assert_eq!(off.end(), Some(0));

    let on = Ao::up(&bench, &[]);
    let gateway = on.text("/gateway");
    bench.drivebay(&["result", &process, &process, "--gateway", &gateway]).expect(0, "");
    assert_eq!(on.end(), Some(0));
}

#[test]
fn every_choice_is_listed_with_where_it_is_from() {
    let bench = bench();
    bench.write("drivebay.toml", "[cu]\nworkers = 3\n");
    let mut command = bench.command(&["config", "--set", "readers.evm=false"]);
    let shown = command.env("DRIVEBAY_MU_PORT", "7").output().unwrap();
    let shown = crate::kit::ended(&shown).expect(0, "").out;
    for line in [
        "cu.workers = 3  # file drivebay.toml",
        "mu.port = 7  # environment DRIVEBAY_MU_PORT",
        "readers.evm = false  # flag --set",
        "units.port = 4000  # default",
    ] {
        assert!(shown.contains(line), "{line:?} is not in:\n{shown}");
    }
    bench.drivebay(&["config", "--set", "readers.riscv=false"]).expect(2, "names no reader");
    bench.drivebay(&["config", "--set", "cu.worker=1"]).expect(2, "there is no choice");
}
