#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use super::{case::Bad, index::sha256_of};
use bytes::Bytes;
use drivebay_disk::json::{Json, Value};
use drivebay_disk::*;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

const MODULE: &[u8] = b"canned";
const STEP: SectionName = SectionName::new("step");
/// Bytes of the checkpoint of every state: three MiB and a little.
const MEMORY: usize = (3 << 20) + 5;

/// What the fake machine answers to one message.
#[derive(Clone)]
enum Canned {
    Done(Reply, Option<u64>),
    Faulted(FaultCode, Reply, Option<u64>),
    /// The same, and the drive is gone.
    Spent(FaultCode, Reply),
    /// Asks the host, and says what it got.
    Ask(Resource, std::ops::Range<u64>),
    /// Says its two arguments.
    Echo,
    HostError,
}

/// A machine that replays answers. Its state is how many of them it has given.
struct Fake {
    format: Format,
    script: Arc<Vec<Canned>>,
    seen: Arc<Mutex<Vec<Arc<Call>>>>,
    limits_asked: Mutex<Vec<(Vec<Tag>, Vec<Tag>)>>,
}

impl Fake {
    fn new(script: Vec<Canned>) -> Self {
        let format = Format { name: "canned-1".into(), rules: Digest::of(b"canned") };
        let seen = Arc::default();
        Self { format, script: Arc::new(script), seen, limits_asked: Mutex::default() }
    }
}

impl DiskReader for Fake {
    fn id(&self) -> ReaderId {
        ReaderId { name: "fake", version: "1".into() }
    }
    fn formats(&self) -> &[Format] {
        std::slice::from_ref(&self.format)
    }
    fn read(&self, module: &Module, _: &dyn ArtifactStore) -> Result<Arc<dyn Disk>, ReadError> {
        let header = Header { module: module.id, state: self.format.name.clone() };
        let blank = Image::new(header).with(STEP, Pages::from_bytes(&[0]));
        let (script, seen) = (self.script.clone(), self.seen.clone());
        Ok(Arc::new(FakeDisk { format: self.format.clone(), script, seen, blank }))
    }
    fn limits(&self, module: &Module, process: &Process) -> Limits {
        self.limits_asked.lock().unwrap().push((module.tags.clone(), process.tags.clone()));
        Limits { fuel: Fuel(1), gas: None, memory_bytes: 1, output_bytes: 1, depth: 1 }
    }
}

struct FakeDisk {
    format: Format,
    script: Arc<Vec<Canned>>,
    seen: Arc<Mutex<Vec<Arc<Call>>>>,
    blank: Image,
}

impl Disk for FakeDisk {
    fn id(&self) -> DiskId {
        DiskId(self.blank.header().module)
    }
    fn format(&self) -> &Format {
        &self.format
    }
    fn blank(&self) -> &Image {
        &self.blank
    }
    fn mount(self: Arc<Self>, image: &Image) -> Result<Box<dyn Drive>, MountError> {
        let step = image.pages(&STEP).unwrap().to_vec(1)?[0];
        Ok(Box::new(FakeDrive { disk: self, step }))
    }
    fn disown(&self, image: &Image) -> Result<Vec<u8>, MountError> {
        Ok(checkpoint(image.pages(&STEP).unwrap().to_vec(1)?[0]))
    }
}

/// The memory after `step` messages: the last MiB says which.
fn checkpoint(step: u8) -> Vec<u8> {
    let mut bytes = vec![7; MEMORY];
    bytes[(2 << 20) + 9] = step;
    bytes
}

#[derive(Clone)]
struct FakeDrive {
    disk: Arc<FakeDisk>,
    step: u8,
}

impl Drive for FakeDrive {
    fn run(
        mut self: Box<Self>,
        call: Arc<Call>,
        _: &Limits,
        host: Arc<dyn Host>,
    ) -> Result<Ran, HostFailure> {
        let at = self.disk.seen.lock().unwrap().len();
        self.disk.seen.lock().unwrap().push(call.clone());
        let canned = self.disk.script[at].clone();
        let meter = |gas| Meter { fuel: Fuel(1), gas };
        let said = |text: String| Reply { output: Output::Text(text), ..Reply::default() };
        let fault = |code| Fault::new(code, "canned");
        let (reply, gas) = match canned {
            Canned::Done(reply, gas) => (reply, gas),
            Canned::Faulted(code, reply, gas) => {
                let (drive, fault, meter) = (Some(self as Box<dyn Drive>), fault(code), meter(gas));
                return Ok(Ran::Faulted { drive, fault, reply, meter });
            }
            Canned::Spent(code, reply) => {
                return Ok(Ran::Faulted {
                    drive: None,
                    fault: fault(code),
                    reply,
                    meter: meter(None),
                });
            }
            Canned::Ask(what, range) => (said(format!("{:?}", host.read(&what, range)?)), None),
            Canned::Echo => (said(format!("{}{}", call.json.message, call.json.env)), None),
            Canned::HostError => return Err(HostError::Exhausted { what: "patience" }.into()),
        };
        self.step += 1;
        Ok(Ran::Done { drive: self, reply, meter: meter(gas) })
    }
    fn freeze(&mut self) -> Result<Arc<dyn Frozen>, HostError> {
        Ok(Arc::new(self.clone()))
    }
    fn resident_bytes(&self) -> u64 {
        0
    }
}

impl Frozen for FakeDrive {
    fn thaw(&self) -> Result<Box<dyn Drive>, HostError> {
        Ok(Box::new(self.clone()))
    }
    fn image(&self) -> Result<Image, HostError> {
        Ok(self.disk.blank.clone().with(STEP, Pages::from_bytes(&[self.step])))
    }
    fn held_bytes(&self) -> u64 {
        0
    }
}

fn json(text: &str) -> Json {
    Json::parse(text).unwrap()
}

fn sent(text: &str) -> Vec<Outgoing> {
    vec![Outgoing { json: json(text) }]
}

/// The reply that `case_of(GOOD)` expects.
fn good() -> Reply {
    Reply {
        output: Output::Json(json(r#"{"data":"2","prompt":">"}"#)),
        messages: sent(r#"{"Target":"T","Tags":[]}"#),
        spawns: sent(r#"{"Module":"M"}"#),
        assignments: vec![Assign { json: json(r#"{"Processes":["P"],"Message":"m"}"#) }],
        ..Reply::default()
    }
}

const GOOD: &str = r#"{"Output":{"data":"2","prompt":">"},"Messages":[{"Target":"T","Tags":[]}],
    "Spawns":[{"Module":"M"}],"Assignments":[{"Processes":["P"],"Message":"m"}],"GasUsed":10}"#;
const ERROR: &str =
    r#"{"Output":"0","Error":{"message":"x","code":1},"GasUsed":3,"next_memory":"previous"}"#;
const THROWN_VALUE: &str =
    r#"{"thrown":{"kind":"value","value":"[string]:1: y"},"next_memory":"previous"}"#;
const THROWN_ERROR: &str =
    r#"{"thrown":{"kind":"Error","message":"out of gas!"},"next_memory":"previous"}"#;

fn error_reply(error: &str) -> Reply {
    Reply { output: Output::Json(json("\"0\"")), error: Some(json(error)), ..Reply::default() }
}

fn case_text(more: &str, message: &str, results: &[&str]) -> String {
    let messages = vec![message; results.len()].join(",");
    let sha = sha256_of(MODULE);
    let results = results.join(",");
    format!(
        r#"{{"module_file":"m","module_sha256":"{sha}","format":"canned-1",{more}
        "env":{{"Process":{{"Id":"P","Owner":"O","Tags":[{{"name":"Compute-Limit","value":"1"}}]}}}},
        "messages":[{messages}],"results":[{results}]}}"#
    )
}

fn case_of(results: &[&str]) -> Case {
    Case::parse("test/case".into(), &case_text("", r#"{"Id":"M"}"#, results)).unwrap()
}

fn run(case: &Case, script: Vec<Canned>, options: &Options) -> Report {
    run_case(&Fake::new(script), Bytes::from_static(MODULE), case, &NoArtifacts, options)
}

/// Runs one message and checks which fields differ.
fn check(want: &str, canned: Canned, fields: &[Field]) -> Report {
    let report = run(&case_of(&[want]), vec![canned], &Options::default());
    let found: Vec<Field> = report.differences.iter().map(|difference| difference.field).collect();
    assert_eq!(found, fields, "{report}");
    assert_eq!(report.replies_equal, usize::from(fields.is_empty()), "{report}");
    assert_eq!((report.passed(), report.first.is_none()), (fields.is_empty(), fields.is_empty()));
    report
}

#[test]
fn an_equal_reply_passes() {
    check(GOOD, Canned::Done(good(), Some(10)), &[]);
    let bare = Reply::default();
    check(r#"{"Messages":[],"GasUsed":0}"#, Canned::Done(bare.clone(), None), &[]);
    check(r#"{}"#, Canned::Done(bare.clone(), None), &[]);
    check(r#"{"Error":""}"#, Canned::Done(bare.clone(), None), &[]);
    check(r#"{"Error":0}"#, Canned::Done(Reply { error: Some(json("false")), ..bare }, None), &[]);
    let text = |text: &str| Reply { output: Output::Text(text.into()), ..Reply::default() };
    check(r#"{"Output":"é"}"#, Canned::Done(text("é"), None), &[]);
    let raw = Reply { output: Output::Raw(b"x".to_vec()), ..Reply::default() };
    check(r#"{"Output":"x"}"#, Canned::Done(raw, None), &[]);
    let number = Reply { output: Output::Json(json("1e2")), ..Reply::default() };
    check(r#"{"Output":100.0}"#, Canned::Done(number, None), &[]);
}

#[test]
fn each_field_is_compared() {
    let with = |change: fn(&mut Reply)| {
        let mut reply = good();
        change(&mut reply);
        Canned::Done(reply, Some(10))
    };
    let report = check(
        GOOD,
        with(|r| r.output = Output::Json(json(r#"{"data":"3","prompt":">"}"#))),
        &[Field::Output],
    );
    let text =
        r#"message 0, Output: expected {"data":"2","prompt":">"}, got {"data":"3","prompt":">"}"#;
    assert_eq!(report.first.as_deref(), Some(text));
    let swapped = r#"{"prompt":">","data":"2"}"#;
    assert_eq!(swapped.len(), r#"{"data":"2","prompt":">"}"#.len());
    check(
        GOOD,
        with(|r| r.output = Output::Json(json(r#"{"prompt":">","data":"2"}"#))),
        &[Field::Output],
    );
    check(GOOD, with(|r| r.output = Output::Absent), &[Field::Output]);
    check(r#"{"Output":null}"#, Canned::Done(Reply::default(), None), &[Field::Output]);
    check(GOOD, with(|r| r.messages = sent(r#"{"Tags":[],"Target":"T"}"#)), &[Field::Messages]);
    check(GOOD, with(|r| r.messages.clear()), &[Field::Messages]);
    check(GOOD, with(|r| r.spawns.clear()), &[Field::Spawns]);
    check(GOOD, with(|r| r.assignments.clear()), &[Field::Assignments]);
    check(GOOD, with(|r| r.error = Some(json("\"x\""))), &[Field::Error]);
    check(GOOD, Canned::Done(good(), Some(11)), &[Field::GasUsed]);
    check(GOOD, Canned::Done(good(), None), &[Field::GasUsed]);
    check("{}", Canned::Done(Reply::default(), Some(5)), &[]);
}

#[test]
fn an_error_must_be_raised_with_its_reply() {
    let error = r#"{"message":"x","code":1}"#;
    check(ERROR, Canned::Faulted(FaultCode::Raised, error_reply(error), Some(3)), &[]);
    let other = r#"{"code":1,"message":"x"}"#;
    check(ERROR, Canned::Faulted(FaultCode::Raised, error_reply(other), Some(3)), &[Field::Error]);
    let trapped = Canned::Faulted(FaultCode::Trapped, error_reply(error), Some(3));
    check(ERROR, trapped, &[Field::Verdict]);
    check(ERROR, Canned::Done(error_reply(error), Some(3)), &[Field::Verdict]);
    let no_output = Reply { output: Output::Absent, ..error_reply(error) };
    check(ERROR, Canned::Faulted(FaultCode::Raised, no_output, Some(3)), &[Field::Output]);
    check(GOOD, Canned::Faulted(FaultCode::Raised, good(), Some(10)), &[Field::Verdict]);
}

#[test]
fn a_throw_must_be_a_fault() {
    let raised = |error: &str| {
        let reply = Reply { error: Some(json(error)), ..Reply::default() };
        Canned::Faulted(FaultCode::Raised, reply, None)
    };
    check(THROWN_VALUE, raised("\"[string]:1: y\""), &[]);
    check(THROWN_VALUE, raised("\"[string]:2: y\""), &[Field::Error]);
    let silent = Canned::Faulted(FaultCode::Trapped, Reply::default(), None);
    check(THROWN_VALUE, silent.clone(), &[Field::Error]);
    check(THROWN_VALUE, Canned::Done(Reply::default(), None), &[Field::Verdict]);
    check(THROWN_ERROR, silent, &[]);
    check(THROWN_ERROR, Canned::Spent(FaultCode::OutOfFuel, Reply::default()), &[]);
    check(THROWN_ERROR, Canned::Done(Reply::default(), None), &[Field::Verdict]);
}

#[test]
fn a_raw_answer_is_read_as_the_loader_would() {
    let raw = |text: &str| format!(r#"{{"raw_json":{}}}"#, Json::from(Value::from(text)).as_str());
    let ok = raw(r#"{"ok":true,"response":{"Output":"x","Messages":[]}}"#);
    let text = Reply { output: Output::Text("x".into()), ..Reply::default() };
    check(&ok, Canned::Done(text.clone(), Some(99)), &[]);
    check(&ok, Canned::Done(Reply::default(), None), &[Field::Output]);
    let failed = Canned::Faulted(FaultCode::Raised, error_reply("\"x\""), None);
    check(&raw(r#"{"ok":true,"response":{"Output":"0","Error":"x"}}"#), failed.clone(), &[]);
    check(&raw(r#"{"ok":false,"response":"x"}"#), failed.clone(), &[]);
    check(&raw(r#"{"ok":false,"response":"y"}"#), failed.clone(), &[Field::Error]);
    check(&raw(""), failed, &[]);
    check(&raw(r#"{"ok":true}"#), Canned::Done(text, None), &[Field::Verdict]);
}

#[test]
fn a_long_difference_is_cut_to_where_it_is() {
    let long = |end: &str| Output::Text(format!("{}{end}{}", "é".repeat(5000), "z".repeat(5000)));
    let want = format!(r#"{{"Output":"{}a{}"}}"#, "é".repeat(5000), "z".repeat(5000));
    let reply = Reply { output: long("b"), ..Reply::default() };
    let report = check(&want, Canned::Done(reply, None), &[Field::Output]);
    let first = report.first.unwrap();
    assert!(first.len() < 600 && first.contains("éaz") && first.contains("ébz"), "{first}");
}

#[test]
fn what_the_guest_gets_is_the_case_to_the_byte() {
    // Key order, a lone surrogate, and a number as JavaScript writes it.
    let message = r#"{ "Nonce": 7, "Data": "é\uD800", "Id": "M", "Tags": [], "2": 1.50,
        "Timestamp": 1729000000000, "Block-Height": 12, "Target": "P", "Epoch": 0 }"#;
    let text = concat!(
        r#"{"2":1.5,"Nonce":7,"Data":"é\ud800","Id":"M","Tags":[],"#,
        r#""Timestamp":1729000000000,"Block-Height":12,"Target":"P","Epoch":0}"#
    );
    let env = r#"{"Process":{"Id":"P","Owner":"O","Tags":[{"name":"Compute-Limit","value":"1"}]}}"#;
    let said = Json::from(Value::from(format!("{text}{env}")));
    let result = format!(r#"{{"Output":{}}}"#, said.as_str());
    let case = Case::parse("test/case".into(), &case_text("", message, &[&result])).unwrap();
    let fake = Fake::new(vec![Canned::Echo]);
    let options = Options::default();
    let report = run_case(&fake, Bytes::from_static(MODULE), &case, &NoArtifacts, &options);
    assert!(report.passed(), "{report}");
    let call = fake.seen.lock().unwrap()[0].clone();
    assert_eq!((call.slot.nonce, call.timestamp_ms, call.block_height), (7, 1_729_000_000_000, 12));
    assert_eq!((call.message.id.as_str(), call.message.anchor.as_ref()), ("M", None));
    assert_eq!(call.message.data.as_deref(), Some("é\u{fffd}".as_bytes()));
    assert_eq!((call.process.id.as_str(), call.process.tags.len()), ("P", 1));
    // Limits are the case's: not the tag of the environment.
    assert_eq!(*fake.limits_asked.lock().unwrap(), [(vec![], vec![])]);
}

#[test]
fn the_compute_limit_is_the_case_s() {
    let text = case_text(r#""options":{"computeLimit":9000000000},"#, "{}", &["{}"]);
    let case = Case::parse("test/case".into(), &text).unwrap();
    let fake = Fake::new(vec![Canned::Done(Reply::default(), None)]);
    let options = Options::default();
    let report = run_case(&fake, Bytes::from_static(MODULE), &case, &NoArtifacts, &options);
    assert!(report.passed(), "{report}");
    let tags = vec![Tag::new("Compute-Limit", "9000000000")];
    assert_eq!(*fake.limits_asked.lock().unwrap(), [(tags, vec![])]);
    assert_eq!(fake.seen.lock().unwrap()[0].slot.nonce, 0, "the index, where there is no nonce");
}

fn with_memory(bytes: &[u8]) -> String {
    let chunks: Vec<String> =
        bytes.chunks(1 << 20).map(|chunk| sha256_of(chunk).to_string()[..8].to_owned()).collect();
    format!(
        r#"{{"memory_sha256":"{}","memory_len":{},"memory_chunks_1mib":"{}","next_memory":"returned"}}"#,
        sha256_of(bytes),
        bytes.len(),
        chunks.join(" ")
    )
}

#[test]
fn memory_is_counted_and_fails_only_if_asked() {
    let (one, wrong) = (with_memory(&checkpoint(1)), with_memory(&checkpoint(9)));
    let done = Canned::Done(Reply::default(), None);
    let faulted = Canned::Faulted(FaultCode::Trapped, Reply::default(), None);
    let case = case_of(&[&one, THROWN_ERROR, &wrong]);
    let script = || vec![done.clone(), faulted.clone(), done.clone()];
    let report = run(&case, script(), &Options::default());
    assert_eq!((report.memories_equal, report.memories), (1, 2), "{report}");
    assert!(report.passed() && report.replies_equal == 3, "{report}");
    let text = "message 2, Memory: first difference in MiB 2";
    assert_eq!(report.first.as_deref(), Some(text));
    assert_eq!(report.memory_differences.len(), 1);
    let strict = Options { strict_memory: true, ..Options::default() };
    let report = run(&case, script(), &strict);
    assert_eq!((report.passed(), report.differences.len()), (false, 1), "{report}");
    let named = Named::parse("test/case | 2 | Memory | for a test").unwrap();
    let report = run(&case, script(), &Options { named: named.clone(), ..strict });
    assert!(report.passed() && report.named.len() == 1, "{report}");
    let blind = Options { memory: false, named, ..Options::default() };
    let report = run(&case, script(), &blind);
    assert_eq!((report.passed(), report.memories), (true, 0), "not stale, since not compared");
    let short = case_of(&[&with_memory(&checkpoint(1)[..1 << 20])]);
    let report = run(&short, vec![done], &Options::default());
    let first = report.first.unwrap();
    assert!(
        first.contains("expected 1048576 bytes, got 3145733; what both have is equal"),
        "{first}"
    );
}

#[test]
fn the_state_after_a_fault_is_the_one_before() {
    let done = || Canned::Done(Reply::default(), None);
    let spent = || Canned::Spent(FaultCode::Trapped, Reply::default());
    let results = [&*with_memory(&checkpoint(1)), THROWN_ERROR, &with_memory(&checkpoint(2))];
    for start in [Start::Warm, Start::Restored] {
        let options = Options { start, strict_memory: true, ..Options::default() };
        let report = run(&case_of(&results), vec![done(), spent(), done()], &options);
        assert!(report.passed() && report.memories_equal == 2, "{start:?}: {report}");
        let first = [THROWN_ERROR, &with_memory(&checkpoint(1))];
        let report = run(&case_of(&first), vec![spent(), done()], &options);
        assert!(report.passed() && report.memories_equal == 1, "{start:?}: {report}");
    }
}

#[test]
fn named_differences_are_used_or_stale() {
    let case = case_of(&[r#"{"Output":"a"}"#, r#"{"Output":"b"}"#]);
    let say = |text: &str| {
        Canned::Done(Reply { output: Output::Text(text.into()), ..Reply::default() }, None)
    };
    let run_named = |script: Vec<Canned>, named: &str| {
        let named = Named::parse(named).unwrap();
        run(&case, script, &Options { named, ..Options::default() })
    };
    let wrong_second = || vec![say("a"), say("x")];
    let report = run_named(wrong_second(), "# why\n\n test/case | 1 | Output | clock ");
    assert!(report.passed() && report.replies_equal == 1, "{report}");
    assert_eq!((report.named.len(), report.named[0].0.reason.as_str()), (1, "clock"));
    assert!(run_named(wrong_second(), "test/case | * | Output | clock").passed());
    assert!(!run_named(wrong_second(), "test/other | 1 | Output | clock").passed());
    let report = run_named(wrong_second(), "test/case | 0 | Output | clock");
    let fields: Vec<_> = report.differences.iter().map(|d| d.field).collect();
    assert_eq!(fields, [Field::Output, Field::Stale], "another message's excuse excuses nothing");
    assert!(!run_named(wrong_second(), "test/case | 1 | GasUsed | clock").passed());
    let report = run_named(vec![say("a"), say("b")], "test/case | * | Output | clock");
    assert_eq!((report.passed(), report.replies_equal), (false, 2));
    let text = "Stale: Output does not differ any more: clock";
    assert_eq!(report.first.as_deref(), Some(text));
}

#[test]
fn a_list_of_differences_is_read_strictly() {
    for (text, problem) in [
        ("a | b", "line 1 of the named differences: expected `case | message | field | reason`"),
        (
            "#\na | x | Output | r",
            "line 2 of the named differences: `x` is no message; use * for all",
        ),
        ("a | 1 | Outputs | r", "line 1 of the named differences: `Outputs` is no field"),
        ("a | 1 | Host | r", "line 1 of the named differences: `Host` is no field"),
        (
            "a | 1 | Output | ",
            "line 1 of the named differences: a difference needs a case and a reason",
        ),
    ] {
        assert_eq!(Named::parse(text).unwrap_err().to_string(), problem);
    }
    let named = Named::parse("a | 1 | Output | one | two").unwrap();
    assert_eq!(named.all()[0].reason, "one | two");
}

#[test]
fn a_failing_host_stops_the_case() {
    let case = case_of(&["{}", "{}"]);
    let done = Canned::Done(Reply::default(), None);
    let report = run(&case, vec![Canned::HostError, done.clone()], &Options::default());
    assert_eq!((report.replies_equal, report.replies, report.passed()), (0, 2, false));
    assert_eq!(report.first.as_deref(), Some("message 0, Host: host ran out of patience"));
    let named = Named::parse("test/case | * | Output | x").unwrap();
    let options = Options { named, ..Options::default() };
    let report = run(&case, vec![Canned::HostError, done.clone()], &options);
    assert_eq!(report.differences.len(), 1, "what did not run is not stale");
    let fake = Fake::new(vec![done]);
    let other = Bytes::from_static(b"another module");
    let report = run_case(&fake, other, &case, &NoArtifacts, &Options::default());
    assert!(!report.passed() && report.first.unwrap().contains("not the one that the case names"));
}

#[test]
fn what_cannot_be_run_is_skipped_with_its_reason() {
    for (more, reason) in [
        (r#""this_program":"/x.js","#, "another program path"),
        (r#""argv_rest":["a"],"#, "arguments"),
        (r#""tz":"Europe/Berlin","#, "time zone"),
    ] {
        let case = Case::parse("test/case".into(), &case_text(more, "{}", &["{}"])).unwrap();
        let report = run(&case, vec![], &Options::default());
        assert!(report.skipped.as_ref().unwrap().contains(reason) && !report.passed(), "{report}");
    }
    let known = r#""this_program":"/usr/app/src/effects/worker/evaluator/index.js","argv_rest":[],"tz":"UTC","#;
    let case = Case::parse("test/case".into(), &case_text(known, "{}", &["{}"])).unwrap();
    assert!(run(&case, vec![Canned::Done(Reply::default(), None)], &Options::default()).passed());
    let mut case = case;
    case.format = "other-1".into();
    let report = run(&case, vec![], &Options::default());
    assert_eq!(report.to_string(), "test/case: skipped, the reader does not know format other-1");
}

#[test]
fn the_host_has_what_the_case_says() {
    let network =
        r#""weavedrive":{"content":{"/D":"0123456789","/tx/T":"{}","/block/height/5":"[]"}},"#;
    let ask = |what: Resource, range| Canned::Ask(what, range);
    let data = |bytes: &'static [u8], total| Some(Data { bytes: Bytes::from_static(bytes), total });
    let wants = [
        (ask(Resource::Data("D".into()), 2..4), data(b"23", 10)),
        (ask(Resource::Data("D".into()), 8..u64::MAX), data(b"89", 10)),
        (ask(Resource::Data("D".into()), 99..100), data(b"", 10)),
        (ask(Resource::Transaction("T".into()), 0..100), data(b"{}", 2)),
        (ask(Resource::Block(5), 0..100), data(b"[]", 2)),
        (ask(Resource::Block(6), 0..100), None),
        (ask(Resource::Data("tx/T".into()), 0..100), None),
    ];
    let result = |want: &Option<Data>| {
        format!(r#"{{"Output":{}}}"#, Json::from(Value::from(format!("{want:?}"))).as_str())
    };
    let results: Vec<String> = wants.iter().map(|(_, want)| result(want)).collect();
    let results: Vec<&str> = results.iter().map(String::as_str).collect();
    let script = || wants.iter().map(|(canned, _)| canned.clone()).collect::<Vec<_>>();
    let case = Case::parse("test/case".into(), &case_text(network, "{}", &results)).unwrap();
    let report = run(&case, script(), &Options::default());
    assert!(report.passed(), "{report}");
    let offline = case_of(&vec![result(&None); 7].iter().map(String::as_str).collect::<Vec<_>>());
    assert!(run(&offline, script(), &Options::default()).passed());
}

#[test]
fn a_file_that_is_no_case_is_refused() {
    let bad = |text: &str| match Case::parse("x/y".into(), text).unwrap_err() {
        Bad::Json(error) => error.to_string(),
        Bad::Shape(what) => what,
    };
    assert_eq!(bad("{"), "unexpected end at byte 1, expected a key or `}`");
    assert_eq!(bad("{}"), "no text `module_file`");
    assert_eq!(
        bad(&case_text("", "{}", &["{}"]).replace("\"format\"", "\"f\"")),
        "no text `format`"
    );
    let odd = case_text(r#""options":{"memoryLimit":1},"#, "{}", &["{}"]);
    assert_eq!(bad(&odd), "option \"memoryLimit\" is not known");
    assert_eq!(bad(&case_text("", "{}", &[])), "expected `messages`, and as many `results`");
    let thrown = case_text("", "{}", &[r#"{"thrown":{"kind":"odd"}}"#]);
    assert_eq!(bad(&thrown), "`thrown` is neither a `value` nor an `Error`");
    let missing = Case::load(Path::new("no/such.json")).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read no/such.json: "), "{missing}");
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

#[test]
fn all_committed_cases_can_be_read() {
    let cases = cases_in(&golden().join("cases")).unwrap();
    assert_eq!(cases.len(), 24);
    let messages: usize = cases.iter().map(|case| case.messages.len()).sum();
    let memories: usize =
        cases.iter().flat_map(|c| &c.results).filter(|r| r.memory.is_some()).count();
    // 206 returned memories, and 13 of the emulated cases but for one error.
    assert_eq!((messages, memories), (254, 218));
    let find = |name: &str| cases.iter().find(|case| case.name == name).unwrap();
    let happy = find("wasm64/1_aos2_0_6");
    assert!(happy.messages.iter().any(|message| message.as_str().contains("\\ud800")));
    let emulated = find("hyperbeam-emulated/0_aos2_pure_xs");
    assert_eq!(emulated.format, "wasm64-hyperbeam-1");
    assert!(matches!(&emulated.results[3].answer, Answer::Reply { error: Some(_), gas: None, .. }));
    assert_eq!(find("emscripten/0_test_module").compute_limit, Some(9_000_000_000));
    let paths = find("weavedrive/0_data_tx_block").weavedrive.as_ref().unwrap();
    assert_eq!(paths.keys().collect::<Vec<_>>(), ["/DATA1", "/block/height/1439783", "/tx/TX1"]);
    let named = Named::load(&golden().join("differences.txt")).unwrap();
    for difference in named.all() {
        let case = find(&difference.case);
        assert!(difference.message.is_none_or(|at| at < case.messages.len()), "{difference:?}");
    }
}

#[test]
fn modules_are_found_by_hash() {
    let index = ModuleIndex::scan(&golden()).unwrap();
    let case = Case::load(&golden().join("cases/emscripten3/0_synthetic.json")).unwrap();
    assert_eq!(index.get(&case.module_sha256), Some(&*golden().join("fixtures/fmt3.wasm")));
    let bytes = index.load(&case.module_sha256).unwrap().unwrap();
    assert_eq!(sha256_of(&bytes), case.module_sha256);
    assert_eq!(index.load(&Digest::default()).unwrap(), None);
    assert!(!index.is_empty() && index.len() == 1);
    assert!(ModuleIndex::scan(Path::new("no such folder")).is_err());
}
