//! `drivebay up`: a whole ao in one process, used by the program's own client commands.

use crate::kit::Bench;
use drivebay::net::{Http, Request, Transport};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdout, Stdio},
    time::Duration,
};

/// A whole ao on ports of its own. Ended with the test.
pub(crate) struct Ao {
    child: Child,
    _out: BufReader<ChildStdout>,
    about: Value,
}

impl Ao {
    pub(crate) fn up(bench: &Bench, more: &[&str]) -> Self {
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

    pub(crate) fn text(&self, pointer: &str) -> String {
        self.about.pointer(pointer).and_then(Value::as_str).unwrap().to_owned()
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        std::process::Command::new("kill").args([name, &id]).status().unwrap();
    }

    /// Ends it as an operator does, and gives the exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        self.signal("-TERM");
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

pub(crate) fn bench() -> Bench {
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

/// Asks until the answer has this status.
fn until(bench: &Bench, args: &[&str], code: i32, said: &str) {
    for _ in 0..100 {
        let ended = bench.drivebay(args);
        if ended.code == code && format!("{}{}", ended.out, ended.err).contains(said) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    bench.drivebay(args).expect(code, said);
}

#[test]
fn lists_are_read_again_while_units_run() {
    let bench = bench();
    bench.write("units.toml", "");
    let ao = Ao::up(&bench, &["--config", "units.toml"]);
    let gateway = ao.text("/gateway");
    let module = ao.text("/modules/counter");
    let spawned = bench.drivebay(&["spawn", &module, "--gateway", &gateway]).expect(0, "");
    let process = spawned.out.lines().last().unwrap().trim().to_owned();
    let result = ["result", &process, &process, "--gateway", &gateway];
    bench.drivebay(&result).expect(0, "");
    bench.write("units.toml", &format!("[deny]\nprocesses = [\"{process}\"]\n"));
    ao.signal("-HUP");
    until(&bench, &result, 2, &format!("Access denied for process {process}"));
    // What cannot be read changes nothing.
    bench.write("units.toml", "[deny]\nprocess = 1\n");
    ao.signal("-HUP");
    std::thread::sleep(std::time::Duration::from_millis(300));
    bench.drivebay(&result).expect(2, "Access denied");
    bench.write("units.toml", "");
    ao.signal("-HUP");
    until(&bench, &result, 0, "");
    let started = std::time::Instant::now();
    assert_eq!(ao.end(), Some(0));
    // Nobody is under way, so nobody is waited for.
    assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
}

/// What a path of a unit says.
fn fetch(url: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let http = drivebay::net::Http::new(std::time::Duration::from_secs(20)).unwrap();
    let request = drivebay::net::Request::get(url);
    let answer = runtime.block_on(drivebay::net::Transport::call(&http, request)).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    String::from_utf8(answer.body.to_vec()).unwrap()
}

#[test]
fn a_schedulers_answer_is_a_log_to_replay() {
    let bench = bench();
    let ao = Ao::up(&bench, &[]);
    let (gateway, su) = (ao.text("/gateway"), ao.text("/su"));
    let module = ao.text("/modules/counter");
    let spawned = bench.drivebay(&["spawn", &module, "--gateway", &gateway]).expect(0, "");
    let process = spawned.out.lines().last().unwrap().trim().to_owned();
    for data in ["one", "two", "sorry", "four"] {
        bench.drivebay(&["message", &process, "--gateway", &gateway, "-b", data]).expect(0, "");
    }
    // In two pages, as whoever reads a long schedule gets it.
    let first = fetch(&format!("{su}/{process}?process-id={process}&limit=2"));
    let rest = fetch(&format!("{su}/{process}?process-id={process}&from-nonce=1"));
    bench.write("pages.json", &format!("[{first},{rest}]"));
    let replay = ["replay", "pages.json", "counter.wasm", "--json"];
    let replayed = bench.drivebay(&replay).expect(1, "").lines();
    assert_eq!(replayed.len(), 5);
    for (nonce, line) in replayed.iter().enumerate() {
        let page = fetch(&format!("{su}/{process}?process-id={process}"));
        let page: Value = serde_json::from_str(&page).unwrap();
        let assignment = page["edges"][nonce]["node"]["assignment"]["id"].as_str().unwrap();
        let shown = ["result", &process, assignment, "--json", "--gateway", &gateway];
        let shown = bench.drivebay(&shown).lines();
        for key in ["Output", "Messages", "Error"] {
            assert_eq!(line.get(key), shown[0].get(key), "{nonce} {key}");
        }
    }
    assert_eq!(ao.end(), Some(0));
    bench.write(
        "bent.json",
        &first.replace("Hash-Chain\",\"value\":\"", "Hash-Chain\",\"value\":\"A"),
    );
    let bent = ["replay", "bent.json", "counter.wasm"];
    bench.drivebay(&bent).expect(2, "HashChain invalid on message");
    bench.write("rest.json", &rest);
    let rest = ["replay", "rest.json", "counter.wasm"];
    bench.drivebay(&rest).expect(2, "does not begin with the process itself");
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

/// What an operator does not want to read is refused, and the refusal says by whose choice.
#[tokio::test]
async fn a_reader_that_is_turned_off_refuses_its_processes_by_name() {
    let bench = bench();
    bench.write("stop.hex", "00");
    let ao = Ao::up(&bench, &["--set", "readers.evm=false"]);
    let (gateway, cu) = (ao.text("/gateway"), ao.text("/cu"));
    let run = |args: &[&str]| {
        let ended = bench.drivebay(&[args, &["--gateway", &gateway]].concat()).expect(0, "");
        ended.out.lines().last().unwrap().trim().to_owned()
    };
    let format = ["--format", "evm-bytecode-prague-1", "--tag", "Code-Kind=runtime"];
    let module = run(&[&["publish", "stop.hex"], &format[..]].concat());
    let process = run(&["spawn", &module]);
    let http = Http::new(Duration::from_secs(20)).unwrap();
    let url = format!("{cu}/result/{process}?process-id={process}");
    let refused = http.call(Request::get(url)).await.unwrap();
    let said = refused.text();
    assert_eq!(refused.status, 422, "{said}");
    assert!(said.contains("drivebay-evm, which readers.evm = false turns off"), "{said}");
}
