//! Two aos processes play ball through gateway, scheduler, messenger and compute unit: four programs over
//! sockets and a real disk, killed at random moments. Each message is scheduled once, in order, whoever died
//! when; and whoever evaluates the schedule without being killed comes to the same.

use super::kit::{check_chain, tag, tags, wallet};
use crate::kit::Bench;
use drivebay::{
    item::{DataItem, Draft, Id},
    net::{Http, Request, Transport},
};
use serde_json::Value;
use std::{
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};
use tokio::{net::TcpListener, time::sleep};

const AOS: &str = "modules/aos/aos2_0_6.wasm";
const UNITS: [&str; 4] = ["gateway", "su", "cu", "mu"];
/// What a process does with a ball: counts it, and sends it back until none is left.
const PLAY: &str = r#"Handlers.add("Ball", "Ball", function(m)
  Got = (Got or 0) + 1
  local left = tonumber(m.Data)
  if left > 0 then Send({ Target = m.From, Action = "Ball", Data = tostring(left - 1) }) end
end)"#;

/// Four programs on ports of their own, which are started again whenever they have ended.
struct Programs {
    bench: Bench,
    ports: [u16; 4],
    running: Vec<Child>,
    http: Http,
}

impl Programs {
    async fn new() -> Self {
        let mut listeners = Vec::new();
        for _ in UNITS {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        // Free now, and nobody else takes them soon.
        let ports: Vec<u16> =
            listeners.iter().map(|door| door.local_addr().unwrap().port()).collect();
        drop(listeners);
        let (bench, ports) = (Bench::new(), ports.try_into().unwrap());
        let http = Http::new(Duration::from_secs(20)).unwrap();
        let mut programs = Self { bench, ports, running: Vec::new(), http };
        for unit in 0..UNITS.len() {
            let child = programs.start(unit);
            programs.running.push(child);
            // Each needs those before it when it starts for the first time.
            programs.answers(unit).await;
        }
        programs
    }

    fn url(&self, unit: &str) -> String {
        let at = UNITS.iter().position(|name| *name == unit).unwrap();
        format!("http://127.0.0.1:{}", self.ports[at])
    }

    fn start(&self, unit: usize) -> Child {
        let gateway = format!("gateway.urls={}", self.url("gateway"));
        let (su, cu) = (format!("cu.su={}", self.url("su")), format!("mu.cu={}", self.url("cu")));
        let port = self.ports[unit].to_string();
        let mut args = vec![UNITS[unit], "--port", &port, "--json"];
        match UNITS[unit] {
            "gateway" => {}
            "su" => args.extend(["--set", &gateway]),
            "cu" => args.extend(["--set", &gateway, "--set", &su]),
            _ => args.extend(["--set", &gateway, "--set", &cu]),
        }
        let mut command = self.bench.command(&args);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn kill(&mut self, unit: usize) {
        self.running[unit].kill().unwrap();
        self.running[unit].wait().unwrap();
        self.running[unit] = self.start(unit);
    }

    /// A program that could not start because another was dead is started again, as any keeper of services
    /// does.
    fn keep(&mut self) {
        for unit in 0..self.running.len().min(UNITS.len()) {
            if self.running[unit].try_wait().unwrap().is_some() {
                self.running[unit] = self.start(unit);
            }
        }
    }

    async fn answers(&mut self, unit: usize) {
        for _ in 0..600 {
            self.keep();
            if self.read(UNITS[unit], "/health").await.is_some() {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("{} does not start", UNITS[unit]);
    }

    /// What a unit says, unless it is dead.
    async fn read(&self, unit: &str, path: &str) -> Option<Value> {
        let answer =
            self.http.call(Request::get(format!("{}{path}", self.url(unit)))).await.ok()?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        (answer.status == 200).then(|| serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn must_read(&mut self, unit: &str, path: &str) -> Value {
        for _ in 0..600 {
            if let Some(value) = self.read(unit, path).await {
                return value;
            }
            self.keep();
            sleep(Duration::from_millis(50)).await;
        }
        panic!("{unit} does not answer {path}");
    }

    /// Sends the same bytes to the messenger until they have arrived.
    async fn insist(&mut self, item: &DataItem) -> Id {
        for _ in 0..1200 {
            let sent = self.http.call(Request::post(self.url("mu"), item.bytes().clone())).await;
            if sent.is_ok_and(|answer| answer.status == 202) {
                return item.id();
            }
            self.keep();
            sleep(Duration::from_millis(50)).await;
        }
        panic!("an item never arrives");
    }

    async fn evaluate(&mut self, process: Id, code: &str) -> Id {
        let all = tags(&[("Data-Protocol", "ao"), ("Type", "Message"), ("Action", "Eval")]);
        let draft = Draft::new(Some(process), all, code.to_owned());
        self.insist(&wallet(3).sign(&draft).unwrap()).await
    }

    /// The whole schedule of a process, unless the scheduler is dead.
    async fn schedule(&self, process: Id) -> Option<Vec<Value>> {
        let page = self.read("su", &format!("/{process}?limit=10000")).await?;
        Some(page["edges"].as_array()?.iter().map(|edge| edge["node"].clone()).collect())
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The numbers on the balls that a process got, in order.
fn balls(schedule: &[Value]) -> Vec<u64> {
    let messages = schedule.iter().map(|node| &node["message"]);
    let balls = messages.filter(|message| tag(message, "Action") == Some("Ball"));
    balls.map(|ball| ball["data"].as_str().unwrap().parse().unwrap()).collect()
}

/// Every result of a process, by a unit of this test's own that is never killed, on the same schedule.
async fn results(unit: &str, http: &Http, process: Id, schedule: &[Value]) -> Vec<String> {
    let mut results = Vec::new();
    for node in schedule {
        let id = tag(&node["assignment"], "Message").map_or(process.to_string(), str::to_owned);
        let path = format!("{unit}/result/{id}?process-id={process}");
        let mut tries = 0;
        let answer = loop {
            let answer = http.call(Request::get(&path)).await;
            match answer {
                Ok(answer) if answer.status == 200 => break answer,
                // It says how far it is.
                _ if tries < 100 => sleep(Duration::from_millis(100)).await,
                other => panic!("{path}: {other:?}"),
            }
            tries += 1;
        };
        results.push(String::from_utf8(answer.body.to_vec()).unwrap());
    }
    results
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
async fn killed_units_lose_nothing_and_double_nothing() {
    let aos = Path::new(env!("CARGO_MANIFEST_DIR")).join(AOS);
    if !aos.is_file() {
        return eprintln!("skipped: {} is not there; modules/fetch brings it", aos.display());
    }
    let is_long = std::env::var_os("DRIVEBAY_LONG").is_some();
    let (rounds, kills) = if is_long { (1000, 100) } else { (60, 6) };
    let mut programs = Programs::new().await;
    let peers = spawn(&mut programs, &aos).await;
    let code = format!(
        r#"Send({{ Target = "{}", Action = "Ball", Data = "{}" }})"#,
        peers[1],
        rounds * 2 - 1
    );
    programs.evaluate(peers[0], &code).await;
    let ended = play(&mut programs, peers, rounds, kills).await;

    // Time for something that should not come.
    sleep(Duration::from_millis(500)).await;
    for (at, process) in peers.iter().enumerate() {
        let schedule = programs.schedule(*process).await.unwrap();
        assert_eq!(balls(&schedule), balls(&ended[at]));
        check_chain(*process, &schedule);
        // The second of them gets the first ball.
        let expected = (0..rounds).rev().map(|round| round * 2 + at as u64);
        assert!(balls(&schedule).into_iter().eq(expected), "process {at}");
    }
    let shelf = programs.must_read("mu", "/status").await;
    assert_eq!(
        (&shelf["shelved"], &shelf["waiting"]),
        (&Value::from(0), &Value::from(0)),
        "{shelf}"
    );
    compare(&mut programs, peers).await;
}

/// Two processes that can play, on units that live.
async fn spawn(programs: &mut Programs, aos: &Path) -> [Id; 2] {
    let gateway = programs.url("gateway");
    let publish = ["publish", aos.to_str().unwrap(), "--gateway", &gateway];
    let published = programs.bench.drivebay(&publish).expect(0, "");
    let module = published.out.trim().to_owned();
    let scheduler = programs.must_read("su", "/").await["address"].as_str().unwrap().to_owned();
    let status = programs.must_read("mu", "/status").await;
    let authority = status["authority"].as_str().unwrap().to_owned();
    let mut peers = Vec::new();
    for name in ["a", "b"] {
        let all = tags(&[
            ("Data-Protocol", "ao"),
            ("Variant", "ao.TN.1"),
            ("Type", "Process"),
            ("Module", &module),
            ("Scheduler", &scheduler),
            ("Authority", &authority),
            ("Name", name),
        ]);
        let item = wallet(3).sign(&Draft::new(None, all, " ")).unwrap();
        peers.push(programs.insist(&item).await);
    }
    for process in &peers {
        programs.evaluate(*process, PLAY).await;
    }
    peers.try_into().unwrap()
}

/// Kills units until there are kills enough and no ball is left: the schedules at the end.
async fn play(programs: &mut Programs, peers: [Id; 2], rounds: u64, kills: u32) -> [Vec<Value>; 2] {
    let (mut killed, mut seed) = (0, 12345_u64);
    for _ in 0..20_000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        sleep(Duration::from_millis(50 + (seed >> 33) % 400)).await;
        programs.keep();
        if killed < kills {
            programs.kill((seed >> 62) as usize);
            killed += 1;
            continue;
        }
        let found = (programs.schedule(peers[0]).await, programs.schedule(peers[1]).await);
        let (Some(one), Some(two)) = found else { continue };
        if balls(&one).len() as u64 >= rounds && balls(&two).len() as u64 >= rounds {
            let waiting = programs.must_read("mu", "/status").await["waiting"].clone();
            if waiting == 0 {
                return [one, two];
            }
        }
    }
    panic!("the game does not end");
}

/// What the killed unit answers, and what one does that was never killed: the same, to the byte, and the same
/// state at the end.
async fn compare(programs: &mut Programs, peers: [Id; 2]) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let gateway = format!("gateway.urls={}", programs.url("gateway"));
    let (su, port) = (format!("cu.su={}", programs.url("su")), port.to_string());
    let args =
        ["cu", "--data", "other", "--port", &port, "--json", "--set", &gateway, "--set", &su];
    let child = programs.bench.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let other = format!("http://127.0.0.1:{port}");
    // Ended with the others.
    programs.running.push(child.unwrap());
    for process in peers {
        let schedule = programs.schedule(process).await.unwrap();
        programs.answers(2).await;
        let killed = results(&programs.url("cu"), &programs.http, process, &schedule).await;
        let honest = results(&other, &programs.http, process, &schedule).await;
        assert_eq!(killed.len(), honest.len());
        for (nonce, (killed, honest)) in killed.iter().zip(&honest).enumerate() {
            assert_eq!(killed, honest, "slot {nonce} of {process}");
        }
        let root = async |unit: &str| {
            let path = format!("{unit}/state/{process}?at=head&format=image");
            let answer = programs.http.call(Request::get(path)).await.unwrap();
            answer.headers["etag"].to_str().unwrap().to_owned()
        };
        assert_eq!(root(&programs.url("cu")).await, root(&other).await);
    }
}
